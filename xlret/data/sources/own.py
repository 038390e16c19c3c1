"""The user's own rows: files with columns `group_id, lang, query, title, text` in any common form."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, field_validator

from xlret.config import PathSetting, Settings
from xlret.data.read import read_records
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings
from xlret.errors import DataError
from xlret.text.languages import language

Column = Literal["group_id", "lang", "query", "title", "text", "cluster"]
COLUMNS: tuple[Column, ...] = ("group_id", "lang", "query", "title", "text", "cluster")


class OwnFile(Settings):
    """One file, and what it does not say itself."""

    path: PathSetting
    lang: str | None = None
    """Language of all its queries and passages; none: the column `lang` says it row by row."""
    passage_lang: str | None = None
    """Language of its passages where it is another than that of the queries."""
    columns: dict[Column, str] = Field({})
    """Our column: what it is called in this file."""

    @field_validator("lang", "passage_lang")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        return language(code) if code is not None else None


class OwnSource(SourceSettings):
    """Rows of files in the user's own form; rows of one group may come from several files (queries here, passages there)."""

    format: Literal["rows"]
    files: tuple[OwnFile, ...] = Field(min_length=1)
    """Paths, or mappings with `path`, `lang`, `passage_lang`, `columns`."""
    cluster_until: str | None = Field(None, min_length=1)
    """Groups whose ids are equal up to this (`#`: the same page) make one cluster."""

    @field_validator("files", mode="before")
    @classmethod
    def _paths(cls, files: Any) -> Any:
        if not isinstance(files, list | tuple):
            return files
        return [{"path": file} if isinstance(file, str) else file for file in files]

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """All rows, file by file.

        Raises:
            DataError: the first record of a file lacks a column that is needed.
        """
        passages: dict[str, int] = {}
        for file in self.files:
            for row in _rows_of(file, report, passages):
                if self.cluster_until and row.cluster is None and isinstance(row.group_id, str):
                    row = replace(row, cluster=row.group_id.split(self.cluster_until)[0])
                yield row


def _rows_of(file: OwnFile, report: ReadingReport, passages: dict[str, int]) -> Iterator[Row]:
    """The rows of one file; `passages` holds those in another language than their query's, which many queries may repeat."""
    names = {column: file.columns.get(column, column) for column in COLUMNS if column != "lang" or file.lang is None}
    unused: set[str] = set()
    first = True
    for where, record in read_records(file.path, report):
        if first:
            _check_columns(where, record, names)
            first = False
        unused |= record.keys() - names.values()
        value = {column: record.get(name) for column, name in names.items()}
        group_id, cluster = _as_id(value["group_id"]), _as_id(value["cluster"]) or None
        lang: Any = file.lang or value["lang"]
        query, title, text = value["query"], value["title"], value["text"]
        if file.passage_lang is None or text is None:
            yield Row(group_id, lang, query, title, text, cluster, where)
            continue
        key, given = hash(f"{title}\n{text}"), passages.get(f"{file.passage_lang} {group_id}")
        if given not in (None, key):
            report.bad(where, f"group {group_id!r} has another passage in {file.passage_lang} already")
            continue
        if query is not None:
            yield Row(group_id, lang, query, None, None, cluster, where)
        if given is None:
            passages[f"{file.passage_lang} {group_id}"] = key
            yield Row(group_id, file.passage_lang, None, title, text, cluster, where)
    if unused:
        report.note(f"{file.path}: columns not used: {', '.join(sorted(unused)[:20])}")


def _as_id(value: Any) -> Any:
    """Ids may be numbers; what is neither text nor a whole number is left for the check of rows to refuse."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_columns(where: str, record: dict[str, Any], names: dict[Column, str]) -> None:
    """Refuses a file that cannot be of this form, by its first record."""
    needed: tuple[Column, ...] = ("group_id", "lang")
    missing = [column for column in needed if column in names and names[column] not in record]
    if not missing and not {names["query"], names["text"]} & record.keys():
        missing = ["query", "text"]
    if missing:
        raise DataError(
            f"{where}: no column {' or '.join(repr(names[column]) for column in missing)}; found: {', '.join(record)}; "
            f"say what it is called with columns: {{{missing[0]}: ...}}"
            + (" or give lang for the file" if "lang" in missing else "")
        )
