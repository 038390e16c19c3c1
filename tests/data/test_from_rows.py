"""Corpora of rows in memory: every kind of rows, the checks of files, and a temporary directory that goes with the object."""

import gc
import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from xlret.data.corpus import ParallelCorpus, Row
from xlret.data.from_rows import corpus_from_rows
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError

RECORDS = [
    {"group_id": "a", "lang": "en", "query": "red?", "title": "House", "text": "It is red."},
    {"group_id": "a", "lang": "de", "query": "rot?", "title": None, "text": None},
    {"group_id": "b", "lang": "deu", "query": None, "title": "", "text": "Das Auto ist blau."},
]
HELD = {("a", "en", "red?", "House It is red."), ("a", "de", "rot?", None), ("b", "de", None, "Das Auto ist blau.")}


def held(corpus: ParallelCorpus) -> set[tuple[str, str, str | None, str | None]]:
    return {(row.group_id, row.lang, row.query, row.text) for row in corpus.rows(np.arange(corpus.n_groups))}


@pytest.mark.parametrize(
    "rows",
    [
        RECORDS,
        (OrderedDict(record) for record in RECORDS),
        [Row(*record.values()) for record in RECORDS],
        [RECORDS[0], Row(*RECORDS[1].values()), RECORDS[2]],
        pa.Table.from_pylist(RECORDS),
        pa.RecordBatch.from_pylist(RECORDS),
        pa.Table.from_pylist(RECORDS).to_reader(max_chunksize=2),
        pd.DataFrame(RECORDS),
        pd.DataFrame(RECORDS).replace({None: np.nan}).to_dict("records"),
    ],
    ids=["dicts", "a generator", "Rows", "mixed", "table", "batch", "reader", "pandas", "pandas records"],
)
def test_every_kind_of_rows_gives_the_same_corpus(tmp_path: Path, rows: object) -> None:
    corpus = corpus_from_rows(rows, tmp_path / "kept", source="mine", licence="CC0")
    assert held(corpus) == HELD
    assert corpus.path == tmp_path / "kept"
    assert (corpus.manifest.source, corpus.manifest.licence) == ("mine", "CC0")
    assert ParallelCorpus.open(tmp_path / "kept").fingerprint == corpus.fingerprint


def test_columns_and_languages_may_be_given(tmp_path: Path) -> None:
    rows = [{"id": 7, "question": "rot?", "context": "It is red."}, {"id": 8, "question": "blau?", "context": "Blue."}]
    columns = {"group_id": "id", "query": "question", "text": "context"}
    corpus = corpus_from_rows(rows, lang="de", passage_lang="eng", columns=columns)
    assert (corpus.query_languages, corpus.passage_languages, corpus.n_groups) == (("de",), ("en",), 2)


def test_a_temporary_corpus_goes_with_the_object() -> None:
    corpus = corpus_from_rows(RECORDS)
    directory = corpus.path.parent
    assert held(corpus) == HELD
    child = os.fork()
    if not child:  # its exit hooks must not remove what the parent holds
        corpus = None
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert directory.is_dir()
    del corpus
    gc.collect()
    assert not directory.exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*RECORDS, {**RECORDS[0], "group_id": "c", "lang": "xx-nothing"}], "row 4: unknown language code 'xx-nothing'"),
        ([*RECORDS, RECORDS[1]], "row 4: group 'a' has a query in de already"),
        ([*RECORDS, Row("c", "en", "q" * 21, None, None)], r"row 4: query has 21 characters; allowed are 20"),
        ([*RECORDS, {**RECORDS[0], "group_id": "c", "query": 5}], "row 4: query is 5, a int; it must be text"),
        ([*RECORDS, ["c", "en"]], "row 4: a list; a row is a mapping"),
        ([{"id": "c", "lang": "en", "query": "q"}], "row 1: no column 'group_id'; found: id, lang, query"),
        ([], "rows from memory holds no usable row"),
        ("rows.jsonl", "rows are a str"),
        ({"group_id": ["a"]}, "rows are a dict"),
        (7, "rows are a int"),
    ],
)
def test_the_checks_are_those_of_files(tmp_path: Path, rows: object, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UserError, match=message) as error:
        corpus_from_rows(rows, max_characters=20 if "characters" in message else 100)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_bad_rows_may_be_left_out_and_are_counted() -> None:
    def rows() -> Iterator[object]:
        yield from RECORDS
        yield "text"
        yield {"group_id": "c", "lang": "??", "query": "q"}

    report = ReadingReport("skip")
    assert held(corpus_from_rows(rows(), report=report)) == HELD
    assert report.skipped == 2
    assert report.sample[0].startswith("row 4: a str")
    assert report.sample[1].startswith("row 5: unknown language code")


def test_an_existing_directory_is_kept_unless_told(tmp_path: Path) -> None:
    corpus_from_rows(RECORDS, tmp_path / "c")
    with pytest.raises(UserError, match="exists already"):
        corpus_from_rows(RECORDS[:1], tmp_path / "c")
    assert corpus_from_rows(RECORDS[:1], tmp_path / "c", replace=True).n_groups == 1
    with pytest.raises(DataError, match="row 1: query has"):
        corpus_from_rows([{**RECORDS[0], "query": "x" * 200}], tmp_path / "c", replace=True, max_characters=100)
    assert ParallelCorpus.open(tmp_path / "c").n_groups == 1
