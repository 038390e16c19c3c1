"""Passages as users bring them: read from files or a corpus, checked, each id once and each metadata field of one type."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xlret.data.corpus import ParallelCorpus
from xlret.data.read import read_records
from xlret.data.rows import MAX_CHARACTERS, BadRowError, BadRowPolicy, ReadingReport, clean_text
from xlret.data.seen import FirstSeen
from xlret.errors import UserError
from xlret.search.metadata import TYPES, Fields, Value, stored_fields
from xlret.search.passage_form import PassageForm, is_blank
from xlret.text.languages import language

MAX_ID = 1_000
_ROWS_AT_ONCE = 1024
_LINE_BITS = 44


class Passage(NamedTuple):
    """Something to be found: a text in one language."""

    id: str
    """Any text that is one passage's alone."""
    lang: str
    """BCP-47."""
    title: str | None
    text: str
    metadata: dict[str, Value] = {}  # noqa: RUF012  (nobody changes the metadata of a passage)
    """Flat; a field has one type over all passages."""

    @property
    def full_text(self) -> str:
        """What is encoded: title and text joined by one space."""
        return f"{self.title} {self.text}" if self.title else self.text


def read_passages(
    files: Sequence[Path],
    *,
    on_bad_row: BadRowPolicy = "error",
    lang: str | None = None,
    columns: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    report: ReadingReport | None = None,
    max_characters: int = MAX_CHARACTERS,
) -> Iterator[Passage]:
    """The passages of files in their order. Memory: 24 bytes a passage.

    Args:
        files: JSON lines, Parquet, CSV or TSV, also gzipped, with columns `id`, `lang`, `text`, perhaps `title`; every
            further column is metadata, see `stored_fields`. (CSV and TSV know texts only.) Without a column `id` or `text`
            the names of BEIR, MS MARCO and Pyserini will do: `_id`, `docid`, `contents`, ... An empty cell is a missing value;
            a passage without a text is its title.
        on_bad_row: stop at the first bad row, or leave bad rows out.
        lang: language of rows that do not say theirs.
        columns: `id`, `lang`, `title` or `text` -> what it is called in the files.
        drop: columns that are not read.
        report: where bad rows are counted; what it says of them comes before `on_bad_row`.
        max_characters: longest title or text allowed.

    Raises:
        DataError: a row is bad: `file:line: reason`. Ids that came before and fields whose type changes name both rows.
        UserError: a file cannot be read, or is of another kind; `columns` or `drop` cannot be.
    """
    report = report or ReadingReport(on_bad_row, option="on_bad_row='skip'")
    files = [Path(file) for file in files]
    form = PassageForm(columns or {}, drop, None if lang is None else language(lang))

    def rows() -> Iterator[tuple[int, Passage]]:
        for number, file in enumerate(files):
            for where, record in read_records(file, report):
                try:
                    passage = _checked(*form.parts(record), max_characters)
                except BadRowError as error:
                    report.bad(where, str(error))
                    continue
                yield number << _LINE_BITS | int(where.rpartition(":")[2]), passage
        form.note_idle(report)

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
            if not isinstance(given, Passage):
                raise UserError(
                    f"passage {number} is a {type(given).__name__}; give Passage(id, lang, title, text), or a corpus: "
                    "Corpus.from_rows makes one of mappings, Corpus.open opens one"
                )
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
                now, before = f"{passage.metadata[name]!r:.60} ({TYPES[type(passage.metadata[name])]})", where_of(first)
                report.bad(where_of(row), f"{name} is {now}, but was {known} at {before}; a field has one type, or is dropped")
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
        code = language(lang.strip())
    except UserError as error:
        raise BadRowError(str(error)) from error
    head = None if is_blank(title) else clean_text("title", title, max_characters)
    return Passage(passage_id, code, head, body, stored_fields(metadata))
