"""From records with columns, whatever they are called, to rows: the form of the user's own files and of rows in memory."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from xlret.config import Settings
from xlret.data.rows import ReadingReport, Row
from xlret.errors import DataError
from xlret.text.languages import language

Column = Literal["group_id", "lang", "query", "title", "text", "cluster"]
COLUMNS: tuple[Column, ...] = ("group_id", "lang", "query", "title", "text", "cluster")


class RecordForm(Settings):
    """What records do not say themselves."""

    lang: str | None = None
    """Language of all their queries and passages; none: the column `lang` says it row by row."""
    passage_lang: str | None = None
    """Language of their passages where it is another than that of the queries."""
    columns: dict[Column, str] = Field({})
    """Our column: what it is called in these records."""

    @field_validator("lang", "passage_lang")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        return language(code) if code is not None else None


class RecordRows:
    """Turns records into rows: ids may be whole numbers, an empty cell is a missing value.

    With `passage_lang`, a passage that many queries of a group repeat is given once; that is kept in mind over all records
    that one instance sees.
    """

    def __init__(self) -> None:
        self._passages: dict[tuple[str, str], int] = {}

    def rows(
        self,
        records: Iterable[tuple[str, Mapping[str, Any]]],
        form: RecordForm,
        name: str,
        report: ReadingReport,
        *,
        check_first: bool = True,
    ) -> Iterator[Row]:
        """The rows of records that all have one form.

        Args:
            records: each with where it stands.
            form: what the records do not say.
            name: what they are called in notes, such as their file.
            report: takes bad rows and names the columns that are not used.
            check_first: whether the first of them is the first of its file, by which the columns are checked.

        Raises:
            DataError: the first record lacks a column that is needed.
        """
        names = {column: form.columns.get(column, column) for column in COLUMNS if column != "lang" or form.lang is None}
        unused: set[str] = set()
        is_first = check_first
        for where, record in records:
            if is_first:
                _check_columns(where, record, names)
                is_first = False
            unused |= record.keys() - names.values()
            yield from self._rows_of_record(where, record, form, names, report)
        if unused:
            report.note_unused(name, unused)

    def _rows_of_record(
        self, where: str, record: Mapping[str, Any], form: RecordForm, names: dict[Column, str], report: ReadingReport
    ) -> Iterator[Row]:
        value: dict[Column, Any] = {column: _given(record.get(name)) for column, name in names.items()}
        group_id, cluster = _as_id(value["group_id"]), _as_id(value["cluster"])
        lang: Any = form.lang or value["lang"]
        query, title, text = value["query"], value["title"], value["text"]
        if form.passage_lang is None or text is None:
            yield Row(group_id, lang, query, title, text, cluster, where)
            return
        key, passage = (form.passage_lang, str(group_id)), hash(f"{title}\n{text}")
        known = self._passages.get(key)
        if known not in (None, passage):
            report.bad(where, f"group {group_id!r} has another passage in {form.passage_lang} already")
            return
        if query is not None:
            yield Row(group_id, lang, query, None, None, cluster, where)
        if known is None:
            self._passages[key] = passage
            yield Row(group_id, form.passage_lang, None, title, text, cluster, where)


def _given(value: Any) -> Any:
    """The value of a cell; an empty one, which CSV and TSV cannot tell from none, is missing."""
    return None if isinstance(value, str) and not value.strip() else value


def _as_id(value: Any) -> Any:
    """Ids may be numbers; what is neither text nor a whole number is left for the check of rows to refuse."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_columns(where: str, record: Mapping[str, Any], names: dict[Column, str]) -> None:
    """Refuses records that cannot be of this form, by the first of them."""
    needed: tuple[Column, ...] = ("group_id", "lang")
    missing = [column for column in needed if column in names and names[column] not in record]
    if not missing and not {names["query"], names["text"]} & record.keys():
        missing = ["query", "text"]
    if missing:
        raise DataError(
            f"{where}: no column {' or '.join(repr(names[column]) for column in missing)}; "
            f"found: {', '.join(map(str, record))}; "
            f"say what it is called with columns: {{{missing[0]}: ...}}"
            + (" or give lang for the file" if "lang" in missing else "")
        )
