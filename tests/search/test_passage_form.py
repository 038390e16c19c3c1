"""Columns of passages' files: BEIR's and Pyserini's names, other names, dropped ones, empty cells, and values of every type."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError
from xlret.search.passages import Passage, read_passages


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_beir_corpus_is_read_as_it_is(tmp_path: Path) -> None:
    rows = [
        {"_id": "d1", "title": "", "text": "Rye bread.", "metadata": {}},
        {"_id": "d2", "title": "Herons", "text": "", "metadata": {"url": "http://x"}},
    ]
    assert list(read_passages([jsonl(tmp_path / "corpus.jsonl", *rows)], lang="en")) == [
        Passage("d1", "en", None, "Rye bread.", {"metadata": None}),
        Passage("d2", "en", None, "Herons", {"metadata": '{"url": "http://x"}'}),
    ]


@pytest.mark.parametrize(
    "row", [{"id": "1", "contents": "Rye."}, {"docid": 1, "text": "Rye."}, {"pid": "1", "passage": "Rye."}]
)
def test_names_of_other_tools_are_known(tmp_path: Path, row: dict[str, Any]) -> None:
    assert list(read_passages([jsonl(tmp_path / "p.jsonl", row)], lang="en")) == [Passage("1", "en", None, "Rye.", {})]


def test_columns_may_be_called_otherwise_and_dropped(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "p.jsonl", {"key": "1", "id": 5, "body": "x", "text": "short", "language": "de", "emb": [0.5], "n": 1}
    )
    report = ReadingReport()
    columns = {"id": "key", "text": "body", "lang": "language"}
    read = list(read_passages([file], columns=columns, drop=["emb", "gone"], report=report))
    assert read == [Passage("1", "de", None, "x", {"n": 1})]
    assert report.notes == [
        "no column to drop is called gone",
        "columns not read: id (the id is in key), text (the text is in body)",
    ]
    assert list(read_passages([file], lang="de", drop=["id", "text", "emb", "language", "n"], columns={"id": "key"})) == [
        Passage("1", "de", None, "x", {})
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"docid": "id"}}, "'docid' is no part of a passage; allowed are id, lang, title, text"),
        ({"columns": {"id": "a", "text": "a"}}, "'a' is named twice"),
        ({"columns": {"id": "a"}, "drop": ["a"]}, "'a' is dropped"),
        (
            {"columns": {"id": "docid"}},
            r"p\.jsonl:1: id is missing; found: id, text; if .* say so with columns id=NAME",
        ),
    ],
)
def test_columns_that_cannot_be(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    file = jsonl(tmp_path / "p.jsonl", {"id": "1", "text": "x"})
    with pytest.raises(UserError, match=message):
        list(read_passages([file], lang="en", **options))


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "null"])
def test_an_empty_cell_is_a_missing_value(tmp_path: Path, form: str) -> None:
    rows = [["id", "lang", "title", "text", "year"], ["1", "", "", "Rye bread.", ""], ["2", "fr", " ", "Le héron.", "1999"]]
    file = tmp_path / f"p.{form if form != 'null' else 'jsonl'}"
    if form in ("csv", "tsv"):
        file.write_text("".join(("," if form == "csv" else "\t").join(row) + "\n" for row in rows), encoding="utf-8")
    else:
        empty = None if form == "null" else ""
        jsonl(file, *({name: value.strip() or empty for name, value in zip(rows[0], row, strict=True)} for row in rows[1:]))
    assert list(read_passages([file], lang="en")) == [
        Passage("1", "en", None, "Rye bread.", {"year": None}),
        Passage("2", "fr", None, "Le héron.", {"year": "1999"}),
    ]
    with pytest.raises(DataError, match="lang is missing; found: id, lang, title, text, year; mend it"):
        list(read_passages([file]))


def test_an_empty_number_is_missing_too(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "p.jsonl", *({"id": i, "text": "x", "year": year} for i, year in enumerate([1999, "", None, 2001])))
    assert [passage.metadata["year"] for passage in read_passages([file], lang="en")] == [1999, None, None, 2001]


def test_lists_and_objects_are_stored_as_json(tmp_path: Path) -> None:
    values = [["a", "ö"], {"u": [1, None]}, [], {}, [[0.25, -1]]]
    file = jsonl(tmp_path / "p.jsonl", *({"id": number, "text": "x", "v": value} for number, value in enumerate(values)))
    read = [passage.metadata["v"] for passage in read_passages([file], lang="en")]
    assert read == ['["a", "ö"]', '{"u": [1, null]}', None, None, "[[0.25, -1]]"]


def test_every_type_of_parquet_is_stored(tmp_path: Path) -> None:
    moment = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    columns = {
        "day": (pa.date32(), date(2024, 2, 29), "2024-02-29"),
        "moment": (pa.timestamp("us", "UTC"), moment, "2024-02-29T12:30:00+00:00"),
        "nanoseconds": (pa.timestamp("ns"), moment.replace(tzinfo=None), "2024-02-29T12:30:00"),
        "hour": (pa.time64("us"), time(12, 30), "12:30:00"),
        "lasts": (pa.duration("s"), timedelta(minutes=90), "1:30:00"),
        "price": (pa.decimal128(9, 2), Decimal("12.50"), "12.50"),
        "tags": (pa.list_(pa.string()), ["a", "b"], '["a", "b"]'),
        "place": (
            pa.struct([("at", pa.date32()), ("n", pa.int8())]),
            {"at": date(2024, 1, 1), "n": 3},
            '{"at": "2024-01-01", "n": 3}',
        ),
        "pairs": (pa.map_(pa.string(), pa.int64()), [("a", 1)], '[["a", 1]]'),
        "raw": (pa.binary(), b"\xff\x00", "/wA="),
        "word": (pa.binary(), "wörd".encode(), "wörd"),
        "kind": (pa.dictionary(pa.int32(), pa.string()), "news", "news"),
        "share": (pa.float32(), float("nan"), None),
        "small": (pa.uint8(), 200, 200),
    }
    arrays = {name: pa.array([value, None], kind) for name, (kind, value, _) in columns.items()}
    pq.write_table(pa.table({"id": ["1", "2"], "text": ["x", "y"], **arrays}), tmp_path / "p.parquet")
    first, second = read_passages([tmp_path / "p.parquet"], lang="en")
    assert first.metadata == {name: stored for name, (_, _, stored) in columns.items()}
    assert set(second.metadata.values()) == {None}


def test_a_field_that_changes_its_type_may_be_dropped(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "p.jsonl", {"id": 1, "text": "x", "n": 1}, {"id": 2, "text": "y", "n": "one"})
    with pytest.raises(DataError, match="a field has one type, or is dropped"):
        list(read_passages([file], lang="en"))
    assert [passage.metadata for passage in read_passages([file], lang="en", drop=["n"])] == [{}, {}]
