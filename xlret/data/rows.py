"""One row of a corpus being made, and the checks that every row passes before it is written."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xlret.errors import DataError, UserError
from xlret.text.languages import language

BadRowPolicy = Literal["error", "skip"]
RawRow = tuple[str, dict[str, Any]]
"""`file:line` and the values by column."""
MAX_CHARACTERS = 100_000
_MAX_ID = 1_000
_SAMPLE = 10


@dataclass(frozen=True)
class Row:
    """What one language contributes to a group: its query, its passage or both.

    Attributes:
        group_id: rows of equal group_id are the same (query, passage) fact in several languages.
        lang: language code of the query and the text.
        query: None where this row gives a passage only.
        title: put before the text of the passage; None or empty for none.
        text: None where this row gives a query only.
        cluster: groups of equal cluster are never each other's negatives; None where texts alone decide.
        where: place in the user's files (`file:line`), for error messages.
    """

    group_id: str
    lang: str
    query: str | None
    title: str | None
    text: str | None
    cluster: str | None = None
    where: str = ""

    @property
    def passage(self) -> str | None:
        """Title and text joined by one space; None for a row without a text."""
        return f"{self.title} {self.text}" if self.title and self.text else self.text


@dataclass
class ReadingReport:
    """What was met while reading: bad rows (an error at once, or counted with a sample), ignored columns and notes."""

    on_bad_row: BadRowPolicy = "error"
    skipped: int = 0
    sample: list[str] = field(default_factory=list)
    """The first ten bad rows: `file:line: reason`."""
    notes: list[str] = field(default_factory=list)
    unused: dict[str, set[object]] = field(default_factory=dict)
    """File -> its columns that are not used."""
    option: str = ""
    """What the user says to have bad rows left out; empty where that cannot be said."""

    def bad(self, where: str, reason: str) -> None:
        """Takes note of a bad row that the caller leaves out.

        Raises:
            DataError: bad rows are errors (`on_bad_row` is `error`).
        """
        message = f"{where}: {reason}" if where else reason
        if self.on_bad_row == "error":
            raise DataError(f"{message}; mend it" + (f", or leave bad rows out with {self.option}" if self.option else ""))
        self.skipped += 1
        if len(self.sample) < _SAMPLE:
            self.sample.append(message)

    def note(self, text: str) -> None:
        """Keeps a remark for the summary, once."""
        if text not in self.notes:
            self.notes.append(text)

    def note_unused(self, name: str, columns: Iterable[object]) -> None:
        """Keeps which columns of a file are not used; one note for each file, whatever parts it is read in."""
        known = self.unused.setdefault(name, set())
        before = _unused_note(name, known)
        known |= set(columns)
        if before in self.notes:
            self.notes[self.notes.index(before)] = _unused_note(name, known)
        elif known:
            self.notes.append(_unused_note(name, known))

    def take_notes(self, other: "ReadingReport") -> None:
        """Keeps the remarks of the report of a part."""
        of_files = {_unused_note(name, columns): name for name, columns in other.unused.items()}
        for text in other.notes:
            if text in of_files:
                self.note_unused(of_files[text], other.unused[of_files[text]])
            else:
                self.note(text)

    def summary(self) -> list[str]:
        """What there is to say after reading, line by line: the notes, how many rows were left out, and why the first ten."""
        lines = [f"note: {note}" for note in self.notes]
        if self.skipped:
            lines += [f"{self.skipped:,} bad rows left out, such as:", *(f"  {reason}" for reason in self.sample)]
        return lines


def _unused_note(name: str, columns: Iterable[object]) -> str:
    return f"{name}: columns not used: {', '.join(map(str, sorted(columns, key=str)[:20]))}"


def checked_rows(rows: Iterable[Row], report: ReadingReport, max_characters: int = MAX_CHARACTERS) -> Iterator[Row]:
    """The rows that can be written: language codes in BCP-47 form, texts without surrounding blanks, bad rows reported."""
    for row in rows:
        try:
            yield _checked(row, max_characters)
        except BadRowError as error:
            report.bad(row.where, str(error))


def folded(text: str) -> str:
    """The form in which texts are compared: NFC, every run of white space one space.

    >>> folded("cafe\\u0301  au\\nlait") == "café au lait"
    True
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


class BadRowError(Exception):
    """Why a row cannot be used."""


def _checked(row: Row, max_characters: int) -> Row:
    group_id = clean_text("group_id", row.group_id, _MAX_ID)
    if group_id is None:
        raise BadRowError("group_id is missing")
    if row.lang is None:
        raise BadRowError("lang is missing; it must be a language code such as en")
    if not isinstance(row.lang, str):
        raise BadRowError(f"lang is {row.lang!r:.60}; it must be a language code such as en")
    cluster = clean_text("cluster", row.cluster or None, _MAX_ID)
    try:
        lang = language(row.lang)
    except UserError as error:
        raise BadRowError(str(error)) from error
    query = clean_text("query", row.query, max_characters)
    text = clean_text("text", row.text, max_characters)
    title = clean_text("title", row.title or None, max_characters)
    if query is None and text is None:
        raise BadRowError(f"group {group_id!r} has neither a query nor a text here; a row needs at least one")
    return replace(row, group_id=group_id, lang=lang, query=query, title=title, text=text, cluster=cluster)


def clean_text(column: str, value: object, max_characters: int) -> str | None:
    """A text of the user's without blanks around it; None stays None.

    Args:
        column: its name, for messages.
        value: what stands in the user's file.
        max_characters: longest text allowed.

    Raises:
        BadRowError: it is no text, empty, too long, or holds what UTF-8 cannot.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadRowError(f"{column} is {value!r:.60}, a {type(value).__name__}; it must be text")
    text = value.strip()
    if not text:
        raise BadRowError(f"{column} is empty")
    if len(text) > max_characters:
        raise BadRowError(f"{column} has {len(text):,} characters; allowed are {max_characters:,} (max_characters)")
    if "\0" in text:
        raise BadRowError(f"{column} holds a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadRowError(f"{column} holds a byte that is not UTF-8 or half of a surrogate pair") from error
    return text
