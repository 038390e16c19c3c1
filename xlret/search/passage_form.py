"""Which columns of a record are the id, language, title and text of a passage; all others are its metadata."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from xlret.data.rows import BadRowError, ReadingReport
from xlret.errors import UserError

Part = Literal["id", "lang", "title", "text"]
PARTS: tuple[Part, ...] = get_args(Part)

_CALLED: dict[Part, tuple[str, ...]] = {
    "id": ("id", "_id", "docid", "doc_id", "docno", "pid", "passage_id"),
    "lang": ("lang",),
    "title": ("title",),
    "text": ("text", "contents", "body", "passage"),
}
"""Names of a part, the first that a record has: ours, then those of BEIR, MIRACL, TREC, MS MARCO and Pyserini."""


class PassageForm:
    """How the columns of the user's files are read.

    Args:
        columns: part -> the column that holds it, where it is called otherwise.
        drop: columns that are not read.
        lang: language of rows that do not say theirs.

    Raises:
        UserError: `columns` names something that no passage has, one column twice, or one that is dropped.
    """

    def __init__(self, columns: Mapping[str, str], drop: Collection[str], lang: str | None) -> None:
        unknown = [part for part in columns if part not in PARTS]
        if unknown:
            raise UserError(f"columns: {unknown[0]!r} is no part of a passage; allowed are {', '.join(PARTS)}")
        taken = list(columns.values())
        wrong = next((name for name in taken if taken.count(name) > 1 or name in drop), None)
        if wrong is not None:
            raise UserError(f"columns: {wrong!r} is {'dropped' if wrong in drop else 'named twice'}; a column is one part")
        self._columns, self._drop, self._lang = dict(columns), frozenset(drop), lang
        self._not_met = set(self._drop)
        self._hidden: set[str] = set()

    def parts(self, record: Mapping[str, Any]) -> tuple[Any, Any, Any, Any, dict[Any, Any]]:
        """Id, language, title, text and metadata of a record; a passage without a text is its title.

        Raises:
            BadRowError: a part that a passage needs is missing.
        """
        self._not_met -= record.keys()
        called = {part: self._name(part, record) for part in PARTS}
        values = {part: None if name in self._drop else record.get(name) for part, name in called.items()}
        values = {part: None if is_blank(value) else value for part, value in values.items()}
        if values["text"] is None:
            values["text"], values["title"] = values["title"], None
        if values["lang"] is None:
            values["lang"] = self._lang
        for part in ("id", "text", "lang"):
            if values[part] is None:
                known = ", ".join(map(str, list(record)[:20])) or "nothing"
                hint = "" if called[part] in record else f"; if it is called otherwise, say so with columns {part}=NAME"
                raise BadRowError(f"{part} is missing; found: {known}{hint}")
        taken = {*called.values(), *self._drop}
        metadata = {name: value for name, value in record.items() if name not in taken}
        for part in PARTS:
            if part in metadata:  # another column is this part; a field of this name would be taken for it
                self._hidden.add(f"{part} (the {part} is in {called[part]})")
                del metadata[part]
        return values["id"], values["lang"], values["title"], values["text"], metadata

    def note_idle(self, report: ReadingReport) -> None:
        """Says after reading which columns were not there to be dropped, and which were not read for another's sake."""
        if self._not_met:
            report.note(f"no column to drop is called {', '.join(sorted(self._not_met))}")
        if self._hidden:
            report.note(f"columns not read: {', '.join(sorted(self._hidden))}")

    def _name(self, part: Part, record: Mapping[str, Any]) -> str:
        if part in self._columns:
            return self._columns[part]
        candidates = (name for name in _CALLED[part] if name in record and name not in self._drop)
        return next((name for name in candidates if name not in self._columns.values()), part)


def is_blank(value: object) -> bool:
    """Whether a cell is missing: nothing, or a text of blanks.

    >>> is_blank(None), is_blank(" "), is_blank(0)
    (True, True, False)
    """
    return value is None or (isinstance(value, str) and not value.strip())
