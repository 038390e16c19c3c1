"""Passages as users bring them: read from files or a corpus, checked, each id once and each metadata field of one type."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from xlret.data.corpus import ParallelCorpus
from xlret.data.read import read_records
from xlret.data.rows import MAX_CHARACTERS, BadRowError, BadRowPolicy, ReadingReport, clean_text
from xlret.errors import UserError
from xlret.search.vectors.seen import FirstSeen
from xlret.text.languages import language

Value = str | int | float | bool | None
FieldType = Literal["string", "int", "float", "bool"]

MAX_ID = 1_000
MAX_FIELDS = 100
MAX_FIELD_NAME = 200
_ROWS_AT_ONCE = 1024
_LINE_BITS = 44
_TYPES: dict[type, FieldType] = {str: "string", int: "int", float: "float", bool: "bool"}


class Passage(NamedTuple):
    """Something to be found: a text in one language."""

    id: str
    """Any text that is one passage's alone."""
    lang: str
    """BCP-47."""
    title: str | None
    text: str
    metadata: dict[str, Value]
    """Flat; a field has one type over all passages."""

    @property
    def full_text(self) -> str:
        """What is encoded: title and text joined by one space."""
        return f"{self.title} {self.text}" if self.title else self.text


class Fields:
    """The metadata fields met so far, and the type of each: integers and floats mix to float, nothing else mixes."""

    def __init__(self) -> None:
        self.types: dict[str, FieldType] = {}
        """Fields that have a value somewhere."""
        self._first: dict[str, int] = {}

    def clash(self, metadata: dict[str, Value], row: int) -> tuple[str, FieldType, int] | None:
        """Takes note of a passage's fields, or says which field has another type than before, which, and where it had it."""
        types: dict[str, FieldType] = {}
        for name, value in metadata.items():
            if value is None:
                continue
            kind, known = _TYPES[type(value)], self.types.get(name)
            if known is None or kind == known:
                types[name] = kind
            elif {kind, known} == {"int", "float"}:
                types[name] = "float"
            else:
                return name, known, self._first[name]
        for name, kind in types.items():
            self.types[name] = kind
            self._first.setdefault(name, row)
        return None


def read_passages(
    files: Sequence[Path],
    *,
    on_bad_row: BadRowPolicy = "error",
    lang: str | None = None,
    report: ReadingReport | None = None,
    max_characters: int = MAX_CHARACTERS,
) -> Iterator[Passage]:
    """The passages of files in their order. Memory: 24 bytes a passage.

    Args:
        files: JSON lines, Parquet, CSV or TSV, also gzipped, with columns `id`, `lang`, `text`, perhaps `title`; every
            further column is metadata and holds texts, numbers, true or false, or nothing. (CSV and TSV know texts only.)
        on_bad_row: stop at the first bad row, or leave bad rows out.
        lang: language of rows that do not say theirs.
        report: where bad rows are counted; what it says of them comes before `on_bad_row`.
        max_characters: longest title or text allowed.

    Raises:
        DataError: a row is bad: `file:line: reason`. Ids that came before and fields whose type changes name both rows.
        UserError: a file cannot be read, or is of another kind.
    """
    report = report or ReadingReport(on_bad_row)
    files = [Path(file) for file in files]
    default = language(lang) if lang is not None else None

    def rows() -> Iterator[tuple[int, Passage]]:
        for number, file in enumerate(files):
            for where, record in read_records(file, report):
                try:
                    passage = _of_record(record, default, max_characters)
                except BadRowError as error:
                    report.bad(where, str(error))
                    continue
                yield number << _LINE_BITS | int(where.rpartition(":")[2]), passage

    def where_of(row: int) -> str:
        return f"{files[row >> _LINE_BITS]}:{row & ((1 << _LINE_BITS) - 1)}"

    return distinct(rows(), Fields(), where_of, report)


def checked_passages(passages: Iterable[Passage], fields: Fields, max_characters: int = MAX_CHARACTERS) -> Iterator[Passage]:
    """Passages from anywhere, checked as those of files are.

    Args:
        passages: in any order.
        fields: learns the types of the metadata.
        max_characters: longest title or text allowed.

    Raises:
        DataError: a passage is bad; the message says which, counted from 1.
    """
    report = ReadingReport()

    def rows() -> Iterator[tuple[int, Passage]]:
        for number, given in enumerate(passages, 1):
            try:
                yield number, _checked(given.id, given.lang, given.title, given.text, given.metadata, max_characters)
            except BadRowError as error:
                report.bad(f"passage {number}", str(error))

    return distinct(rows(), fields, lambda number: f"passage {number}", report)


def distinct(
    rows: Iterable[tuple[int, Passage]], fields: Fields, where_of: Callable[[int], str], report: ReadingReport
) -> Iterator[Passage]:
    """Leaves out passages whose id came before or whose metadata is of another type than before; both are bad rows.

    Args:
        rows: each with a number that says where it stands.
        fields: learns the types of the metadata.
        where_of: the number as `file:line`.
        report: what to do with bad rows.
    """
    seen, rows = FirstSeen(), iter(rows)
    while block := list(islice(rows, _ROWS_AT_ONCE)):
        firsts = seen.add([passage.id for _, passage in block], [row for row, _ in block])
        for (row, passage), first in zip(block, firsts.tolist(), strict=True):
            if first != row:
                report.bad(where_of(row), f"id {passage.id!r} came before, at {where_of(first)}; an id may come once")
            elif (clash := fields.clash(passage.metadata, row)) is not None:
                name, known, first = clash
                now = f"{passage.metadata[name]!r:.60} ({_TYPES[type(passage.metadata[name])]})"
                report.bad(where_of(row), f"{name} is {now}, but was {known} at {where_of(first)}; a field has one type")
            else:
                yield passage


def passages_of_corpus(corpus: ParallelCorpus, languages: Sequence[str] | None = None) -> Iterator[Passage]:
    """The passages of a prepared corpus, language by language: id `GROUP:LANG`, metadata `group`.

    Args:
        corpus: titles are part of its texts.
        languages: only these; by default all that have passages.

    Raises:
        UserError: the corpus has no passages in one of the languages.
    """
    known = corpus.passage_languages
    wanted = known if languages is None else tuple(language(code) for code in languages)
    for lang in wanted:
        if lang not in known:
            raise UserError(f"{corpus.path} has no passages in {lang}; it has {', '.join(known)}")
    for lang in wanted:
        pool = corpus.side("passage", lang)
        for start in range(0, len(pool), _ROWS_AT_ONCE):
            groups = pool.take(np.arange(start, min(start + _ROWS_AT_ONCE, len(pool))))
            for group, text in zip(corpus.group_ids(groups), corpus.passages(lang, groups), strict=True):
                yield Passage(f"{group}:{lang}", lang, None, text, {"group": group})


def _of_record(record: dict[str, Any], lang: str | None, max_characters: int) -> Passage:
    missing = [name for name in ("id", "text", *(() if lang else ("lang",))) if record.get(name) is None]
    if missing:
        raise BadRowError(f"{missing[0]} is missing; found: {', '.join(map(str, list(record)[:20])) or 'nothing'}")
    given = record.get("lang")
    metadata = {name: value for name, value in record.items() if name not in ("id", "lang", "title", "text")}
    return _checked(
        record["id"], lang if given is None else given, record.get("title"), record["text"], metadata, max_characters
    )


def _checked(name: object, lang: object, title: object, text: object, metadata: object, max_characters: int) -> Passage:
    """A passage from anything, or why there can be none."""
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    passage_id = clean_text("id", name, MAX_ID)
    body = clean_text("text", text, max_characters)
    if passage_id is None or body is None:
        raise BadRowError(f"{'id' if passage_id is None else 'text'} is missing")
    if len(passage_id.splitlines()) > 1:
        raise BadRowError(f"id {passage_id!r:.60} holds a line break")
    if not isinstance(lang, str):
        raise BadRowError(f"lang is {lang!r:.60}; it must be a language code such as en")
    try:
        code = language(lang)
    except UserError as error:
        raise BadRowError(str(error)) from error
    blank = title is None or (isinstance(title, str) and not title.strip())
    head = None if blank else clean_text("title", title, max_characters)
    if not isinstance(metadata, dict):
        raise BadRowError(f"metadata is {metadata!r:.60}; it must be a mapping of fields to values")
    if len(metadata) > MAX_FIELDS:
        raise BadRowError(f"{len(metadata)} metadata fields; allowed are {MAX_FIELDS}")
    return Passage(passage_id, code, head, body, {field: _value(field, value) for field, value in metadata.items()})


def _value(field: object, value: Any) -> Value:
    """A metadata value that can be stored and filtered by."""
    if not isinstance(field, str) or not 0 < len(field) <= MAX_FIELD_NAME or not field.isprintable():
        raise BadRowError(f"metadata field {field!r:.60}: a name has 1 to {MAX_FIELD_NAME} printable characters")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(field, value, MAX_CHARACTERS) if value.strip() else ""
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise BadRowError(f"{field} is {value}; whole numbers must fit 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadRowError(f"{field} is {value}; numbers must be finite")
        return float(value)
    raise BadRowError(
        f"{field} is {value!r:.60}, a {type(value).__name__}; metadata is flat: text, number, true or false, or nothing"
    )
