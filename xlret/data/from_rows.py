"""A corpus of rows that a notebook holds: written to a directory like any other, which may be a temporary one."""

import dataclasses
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from xlret.config import settings_from
from xlret.data.columns import RecordForm, RecordRows
from xlret.data.corpus import ParallelCorpus
from xlret.data.corpus_write import write_corpus
from xlret.data.rows import MAX_CHARACTERS, ReadingReport, Row
from xlret.errors import DataError

_ROWS_AT_ONCE = 1024


class ArrowStream(Protocol):
    """A table of any library that speaks Arrow's C stream interface: pyarrow, pandas, polars, DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as a stream of record batches."""


def corpus_from_rows(
    rows: Iterable[Row | Mapping[str, Any]] | ArrowStream,
    directory: Path | None = None,
    *,
    lang: str | None = None,
    passage_lang: str | None = None,
    columns: Mapping[str, str] | None = None,
    source: str = "rows from memory",
    licence: str = "not stated",
    revision: str = "not stated",
    report: ReadingReport | None = None,
    max_characters: int = MAX_CHARACTERS,
    replace: bool = False,
) -> ParallelCorpus:
    """A corpus of rows in memory, or of anything that gives them one by one, checked as those of files are.

    The rows are read once and never all held. Rows of equal `group_id` are one fact in several languages; a row gives a query,
    a passage (`text`, perhaps `title`) or both in `lang`. Empty texts and NaN are missing values.

    Args:
        rows: `Row`s, mappings such as the rows of `datasets.Dataset`, or a table of pyarrow, pandas or polars.
        directory: where the corpus is kept; by default in a temporary directory that goes with the returned object.
        lang: language of all queries and passages; by default each row says its own.
        passage_lang: language of all passages where it is another than that of the queries.
        columns: our column -> what it is called in `rows`.
        source, licence, revision: provenance, kept in the manifest.
        report: what to do with bad rows and where to count them; by default the first one is an error.
        max_characters: longest query, title or text.
        replace: whether an existing `directory` gives way.

    Raises:
        DataError: a bad row, named by its number from 1, or a column that is missing.
        UserError: no usable row, an unknown language, `directory` exists and `replace` is false, or the disk is full.

    >>> corpus = corpus_from_rows([{"group_id": 1, "lang": "en", "query": "red?", "text": "It is."}])
    >>> corpus.n_groups, corpus.languages
    (1, ('en',))
    """
    report = report or ReadingReport(option="report=ReadingReport('skip')")
    form = settings_from(RecordForm, {"lang": lang, "passage_lang": passage_lang, "columns": dict(columns or {})})
    temporary = Path(tempfile.mkdtemp(prefix="xlret-corpus-")) if directory is None else None
    path = temporary / "corpus" if temporary is not None else Path(directory or "")
    try:
        write_corpus(
            path,
            _rows(rows, form, report),
            source=source,
            licence=licence,
            revision=revision,
            made_by="xlret.data.from_rows.corpus_from_rows",
            replace=replace,
            report=report,
            max_characters=max_characters,
        )
        corpus = ParallelCorpus.open(path, verify=False)
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary)
        raise
    if temporary is not None:
        weakref.finalize(corpus, _remove, temporary, os.getpid())
    return corpus


def _rows(rows: Any, form: RecordForm, report: ReadingReport) -> Iterator[Row]:
    """Rows as they are, records by their columns; each with its number as its place."""
    records = RecordRows()
    for is_row, run in groupby(enumerate(_each(rows), 1), key=lambda numbered: isinstance(numbered[1], Row)):
        if is_row:
            yield from (row if row.where else dataclasses.replace(row, where=f"row {number}") for number, row in run)
        else:
            yield from records.rows(_records(run, report), form, "the rows given", report)


def _records(run: Iterable[tuple[int, Any]], report: ReadingReport) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, record in run:
        if isinstance(record, Mapping):
            yield f"row {number}", {name: None if _is_nan(value) else value for name, value in record.items()}
        else:
            report.bad(f"row {number}", f"a {type(record).__name__}; a row is a mapping of columns to values, or a Row")


def _each(rows: Any) -> Iterator[Any]:
    """The rows of a table, or those that an iterable gives."""
    if isinstance(rows, pa.RecordBatch):
        yield from rows.to_pylist()
    elif hasattr(rows, "__arrow_c_stream__"):
        for batch in pa.RecordBatchReader.from_stream(rows):
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                yield from batch.slice(start, _ROWS_AT_ONCE).to_pylist()
    elif isinstance(rows, Mapping | str | bytes) or not isinstance(rows, Iterable):
        raise DataError(f"rows are a {type(rows).__name__}; give an iterable of mappings, a table of Arrow, or a Dataset")
    else:
        yield from rows


def _is_nan(value: object) -> bool:
    """Whether a value is what pandas writes for a missing one."""
    return isinstance(value, float) and value != value


def _remove(directory: Path, process: int) -> None:
    """Removes a temporary corpus in the process that made it; a forked child must not."""
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)
