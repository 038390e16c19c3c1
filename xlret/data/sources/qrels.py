"""Judgements of relevance: TREC's qrels, BEIR's, and MS MARCO's triples of ids."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from xlret.data.read import read_lines, read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError

Qrels = dict[str, dict[str, float]]
"""Query id -> passage id -> grade, as judged: grades of 0 and below are there too."""

EXPECTED = (
    "expected are TREC's four columns (query, 0, passage, grade) or BEIR's three (query, passage, grade), with or without a "
    "header such as query-id corpus-id score, between tabs, or between spaces where no id holds one"
)

_SAMPLE = 1000
_LARGEST_GRADE = 1000
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_HEADER = {
    "grade": {"score", "grade", "rel", "relevance", "label", "judgment", "judgement", "rating", "qrel"},
    "query": {"query-id", "query_id", "queryid", "qid", "query", "topic", "topic-id", "topic_id"},
    "passage": {"corpus-id", "corpus_id", "corpusid", "docid", "doc-id", "doc_id", "docno", "did", "pid", "passage_id"}
    | {"passage-id", "document", "doc", "passage"},
}
"""What the columns of a header are called, in lower case."""


class _Columns(NamedTuple):
    separator: str | None
    """A tab; None: spaces and tabs."""
    width: int
    query: int
    passage: int
    grade: int | None
    """None: every line is a relevant pair."""


def read_qrels(path: Path, report: ReadingReport, *, triples: bool = False) -> Qrels:
    """Judgements in TREC form (query, ignored, passage, grade) or BEIR's (query, passage, grade), with or without a header.

    What separates the columns and how many there are is told by the first thousand lines together, never by one alone; a
    header is told by the names of its columns, which may then stand in any order. Grades may be 0, below it and fractions.
    A judgement that is repeated counts once.

    Args:
        path: plain or gzipped.
        report: takes lines that cannot be read, and second judgements that contradict the first.
        triples: lines are (query, relevant passage, another passage), as in MS MARCO's `triples.train.ids.small.tsv`; each
            relevant pair has grade 1.

    Raises:
        DataError: the file has another form, or nothing in it is judged; the message says what was expected.
    """
    lines = ((where, line) for where, line in read_lines(path, report) if line.strip(" \t"))
    sample = list(islice(lines, _SAMPLE))
    if not sample:
        raise DataError(f"{path} holds no judgements; {EXPECTED}")
    columns, has_header = _columns(sample, triples)
    qrels: Qrels = {}
    for where, line in chain(sample[has_header:], lines):
        values = _split(line, columns.separator)
        if len(values) != columns.width:
            report.bad(where, f"{len(values)} columns, where most lines have {columns.width}; {EXPECTED}")
            continue
        query_id, passage_id = values[columns.query], values[columns.passage]
        grade = 1.0
        if columns.grade is not None:
            given = values[columns.grade].strip()
            if not _NUMBER.fullmatch(given):
                report.bad(where, f"grade {given!r:.60} is not a number; {EXPECTED}")
                continue
            grade = float(given)
            if abs(grade) > _LARGEST_GRADE:
                raise DataError(
                    f"{where}: grade {given} is above {_LARGEST_GRADE}; are these triples of ids? "
                    "Then say so with triples: true, or in the name of the file"
                )
        if not query_id.strip() or not passage_id.strip():
            report.bad(where, f"an id is empty; {EXPECTED}")
            continue
        known = qrels.setdefault(query_id, {}).setdefault(passage_id, grade)
        if known != grade:
            report.bad(where, f"query {query_id!r} and passage {passage_id!r} are judged {grade:g}, but {known:g} before")
    if not qrels:
        raise DataError(f"{path} holds no judgements; {EXPECTED}")
    return qrels


def record_qrels(paths: Iterable[Path], report: ReadingReport) -> Qrels:
    """Judgements in records with `query-id`, `corpus-id` and `score`, as MTEB keeps them on the hub.

    Raises:
        DataError: a record of another form.
    """
    qrels: Qrels = {}
    for path in paths:
        for where, record in read_records(path, report):
            try:
                qrels.setdefault(str(record["query-id"]), {})[str(record["corpus-id"])] = float(record["score"])
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{where}: no query-id, corpus-id and score ({error}); found: {', '.join(record)}") from error
    return qrels


def are_triples(path: Path) -> bool:
    """Whether a file of MS MARCO's holds triples of ids, by its name: `triples.train.ids.small.tsv`.

    >>> are_triples(Path("triples.train.ids.small.tsv.gz")), are_triples(Path("qrels.train.tsv"))
    (True, False)
    """
    return "triples" in path.name.lower()


def _columns(sample: Sequence[tuple[str, str]], triples: bool) -> tuple[_Columns, bool]:
    """Where query, passage and grade stand, and whether the first line is a header."""
    separator, width = _form(sample, (3,) if triples else (3, 4))
    if triples:
        return _Columns(separator, width, 0, 1, None), False
    query, passage, grade = (0, 1, 2) if width == 3 else (0, 2, 3)
    header = [name.strip(" \"'").lower() for name in _split(sample[0][1], separator)]
    named = {what: [i for i, name in enumerate(header) if name in names] for what, names in _HEADER.items()}
    if len(header) != width or not named["grade"] or _NUMBER.fullmatch(header[grade]):
        return _Columns(separator, width, query, passage, grade), False
    grade = named["grade"][0]
    if named["query"] and named["passage"]:
        query, passage = named["query"][0], named["passage"][0]
    return _Columns(separator, width, query, passage, grade), True


def _form(sample: Sequence[tuple[str, str]], widths: tuple[int, ...]) -> tuple[str | None, int]:
    """Separator and number of columns that at least half of the lines agree on."""
    for separator in ("\t", None):
        width, lines = Counter(len(_split(line, separator)) for _, line in sample).most_common(1)[0]
        if width in widths and 2 * lines >= len(sample):
            return separator, width
    where, line = sample[0]
    width = len(_split(line, "\t" if "\t" in line else None))
    expected = "expected are triples of ids (query, relevant, not relevant)" if widths == (3,) else EXPECTED
    raise DataError(f"{where}: {width} columns; {expected}")


def _split(line: str, separator: str | None) -> list[str]:
    """Only tabs and spaces separate: ids may hold no-break spaces, and where tabs separate, spaces too."""
    return line.split(separator) if separator else re.split(r"[ \t]+", line.strip(" \t"))
