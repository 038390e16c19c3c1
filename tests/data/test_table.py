"""CSV and TSV as programs, spreadsheets and people write them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError

HERON = {"id": "1", "lang": "de", "text": "Der Reiher"}


def read(path: Path, data: str | bytes, report: ReadingReport | None = None) -> list[dict[str, object]]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return [record for _, record in read_records(path, report or ReadingReport())]


@pytest.mark.parametrize(
    "text",
    [
        "id,lang,text\n1,de,Der Reiher\n",
        "id;lang;text\n1;de;Der Reiher\n",
        "id\tlang\ttext\r\n1\tde\tDer Reiher\r\n",
        "sep=;\r\nid;lang;text\r\n1;de;Der Reiher\r\n",
        'sep=|\n"id"|"lang"|"text"\n1|de|Der Reiher',
        "id, lang, text\n1, de, Der Reiher\n",
        'id , lang , text\n1, de, "Der Reiher"\n',
        '"id","lang","text"\n"1","de","Der Reiher"\n,,\n\n',
        "id,lang,text\r1,de,Der Reiher\r",
        ",id,lang,text\n0,1,de,Der Reiher\n",
    ],
    ids=["commas", "semicolons", "tabs", "sep", "bars", "blanks", "more blanks", "empty rows", "old Mac", "pandas index"],
)
def test_every_csv_gives_the_same_row(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "p.csv", text) == [HERON]
    assert read(tmp_path / "P.CSV", text.encode("utf-16")) == [HERON]


def test_a_lone_carriage_return_never_cuts_a_row(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "first part\rsecond part"}, {"id": "2", "text": "ok"}]
    assert read(tmp_path / "p.tsv", "id\ttext\n1\tfirst part\rsecond part\n2\tok\n") == rows
    assert read(tmp_path / "p.csv", "id,text\r\n1,first part\rsecond part\r\n2,ok\r\n") == rows
    assert read(tmp_path / "p.csv", 'id,text\n1,"first part\rsecond part"\n2,ok\r') == rows
    assert read(tmp_path / "p.jsonl", '{"id": "1"}\r\n{"id": "2"}\r\n') == [{"id": "1"}, {"id": "2"}]


def test_columns_without_a_name_are_said(tmp_path: Path) -> None:
    report = ReadingReport()
    assert read(tmp_path / "p.tsv", "\tid\t\n0\t1\tx\n", report) == [{"id": "1"}]
    assert report.notes == [f"{tmp_path}/p.tsv: 2 columns without a name are not read"]


def test_a_header_with_line_ends_and_separators_in_quotes(tmp_path: Path) -> None:
    text = '"the, id";"a\nb";text\n1;2;"x;\ny"\n3;4\n'
    report = ReadingReport("skip")
    assert read(tmp_path / "p.csv", text, report) == [{"the, id": "1", "a\nb": "2", "text": "x;\ny"}]
    assert report.sample == [f"{tmp_path}/p.csv:5: 2 fields; the header has 3: the, id, a\nb, text"]


def test_csv_that_is_called_tsv_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p\.tsv:1: no tab in the header 'id,lang,text'; is this CSV\? Then call it \.csv"):
        read(tmp_path / "p.tsv", "id,lang,text\n1,de,x\n")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\t\n\0\ufeff")), min_size=1, max_size=4))
def test_any_text_without_tabs_and_line_ends_survives_tsv(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("any") / "p.tsv"
    data = "id\ttext\n" + "".join(f"{number}\t{text}\n" for number, text in enumerate(texts))
    assert [record["text"] for record in read(path, data)] == [text.rstrip("\r") for text in texts]
