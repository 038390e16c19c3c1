"""Passages of files and corpora: what is read, what is refused, and in which words."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.data.corpus import ParallelCorpus
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError
from xlret.search.metadata import Fields
from xlret.search.passages import Passage, checked_passages, passages_of_corpus, read_passages


def write(path: Path, rows: Sequence[dict[str, Any] | str]) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def row(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"p{number}", "lang": "de", "text": f"Text {number}"} | values


def test_all_forms_of_files_give_the_same_passages(tmp_path: Path) -> None:
    rows = [row(1, title="T", year=1999, score=0.5, new=True), row(2, year=None, source="wiki"), row(3, id=3, lang="zho-CN")]
    plain = write(tmp_path / "a.jsonl", rows)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(plain.read_text(encoding="utf-8"))
    found = list(read_passages([plain]))
    assert found == [
        Passage("p1", "de", "T", "Text 1", {"year": 1999, "score": 0.5, "new": True}),
        Passage("p2", "de", None, "Text 2", {"year": None, "source": "wiki"}),
        Passage("3", "zh", None, "Text 3", {}),
    ]
    assert found[0].full_text == "T Text 1"
    assert found[1].full_text == "Text 2"
    assert list(read_passages([tmp_path / "a.jsonl.gz"])) == found
    columns = ("id", "lang", "title", "text", "year", "score", "new", "source")
    table = pa.table(
        {name: [None if (one := r.get(name)) is None else one if name != "id" else str(one) for r in rows] for name in columns}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    parquet = list(read_passages([tmp_path / "a.parquet"]))
    assert [one._replace(metadata={k: v for k, v in one.metadata.items() if v is not None}) for one in parquet] == [
        one._replace(metadata={k: v for k, v in one.metadata.items() if v is not None}) for one in found
    ]


def test_rows_without_a_language_take_the_one_given(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [{"id": "1", "text": "x"}, {"id": "2", "text": "y", "lang": "fr"}])
    assert [one.lang for one in read_passages([file], lang="eng")] == ["en", "fr"]
    with pytest.raises(DataError, match=r"a\.jsonl:1: lang is missing; found: id, text; if it is called otherwise, say so"):
        list(read_passages([file]))


BAD = {
    "not JSON": ("{", "not JSON"),
    "no object": ("[1]", "must be an object"),
    "no id": ({"lang": "de", "text": "x"}, "id is missing"),
    "no text": ({"id": "1", "lang": "de"}, "text is missing"),
    "empty text": (row(9, text="  "), "text is missing; found: id, lang, text; mend it"),
    "empty id": (row(9, id=""), "id is missing; found: id, lang, text; mend it"),
    "id of two lines": (row(9, id="a\nb"), "line break"),
    "id that is no text": (row(9, id=1.5), "id is 1.5, a float"),
    "language": (row(9, lang="klingonese"), "unknown language code 'klingonese'"),
    "language that is no text": (row(9, lang=3), "lang is 3"),
    "title that is no text": (row(9, title=7), "title is 7, a int"),
    "NUL": (row(9, text="a\0b"), "NUL"),
    "half a surrogate pair": (row(9, text="a\ud800"), "surrogate"),
    "infinity": ('{"id": "1", "lang": "de", "text": "x", "n": -Infinity}', "numbers must be finite"),
    "huge number": (row(9, n=1 << 63), "must fit 64 bits"),
    "field without a name": (row(9, **{"": 1}), "metadata field ''"),
    "field of two lines": (row(9, **{"a\nb": 1}), "metadata field"),
    "field name with half a surrogate pair": (row(9, **{"a\ud800": 1}), "metadata field"),
    "too many fields": (row(9, **{f"f{one}": 1 for one in range(101)}), "101 metadata fields; allowed are 100"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_or_left_out(tmp_path: Path, name: str) -> None:
    bad, reason = BAD[name]
    file = write(tmp_path / "a.jsonl", [row(1), bad, row(2)])
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*" + reason):
        list(read_passages([file]))
    with pytest.raises(DataError, match=r"; mend it, or leave bad rows out with on_bad_row='skip'$"):
        list(read_passages([file]))
    with pytest.raises(DataError, match=r"; mend it, or leave bad rows out with --skip-bad-rows$"):
        list(read_passages([file], report=ReadingReport(option="--skip-bad-rows")))
    report = ReadingReport("skip")
    assert [one.id for one in read_passages([file], report=report)] == ["p1", "p2"]
    assert report.skipped == 1
    assert [one.id for one in read_passages([file], on_bad_row="skip")] == ["p1", "p2"]


def test_an_id_that_comes_twice_names_both_rows(tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", [row(1), "", row(2)])
    two = write(tmp_path / "b.jsonl", [row(3), row(2, lang="fr")])
    with pytest.raises(DataError, match=r"b\.jsonl:2: id 'p2' came before, at .*a\.jsonl:3; an id may come once"):
        list(read_passages([one, two]))
    assert [found.lang for found in read_passages([one, two], on_bad_row="skip")] == ["de", "de", "de"]


def test_an_id_that_comes_twice_is_found_however_far_apart(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [*(row(number) for number in range(5000)), row(1234)])
    with pytest.raises(DataError, match=r"a\.jsonl:5001: id 'p1234' came before, at .*a\.jsonl:1235"):
        list(read_passages([file]))


def test_a_field_that_changes_its_type_names_both_rows(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [row(1), row(2, year=1999), row(3, year="1999")])
    with pytest.raises(DataError, match=r"a\.jsonl:3: year is '1999' \(string\), but was int at .*a\.jsonl:2"):
        list(read_passages([file]))
    for one, other in ((True, 1), (1, False), ("a", 0.5), (0.5, True)):
        file = write(tmp_path / "a.jsonl", [row(1, x=one), row(2, x=other)])
        with pytest.raises(DataError, match="a field has one type"):
            list(read_passages([file]))


def test_whole_numbers_and_others_mix() -> None:
    for values in ([1, 0.5, 2], [0.5, 1]):
        fields = Fields()
        list(
            checked_passages(
                [Passage(str(one), "de", None, "x", {"n": value, "none": None}) for one, value in enumerate(values)], fields
            )
        )
        assert fields.types == {"n": "float"}


def test_passages_from_code_are_checked_too() -> None:
    good = Passage("1", "de", " ", " x ", {})
    assert list(checked_passages([good], Fields())) == [Passage("1", "de", None, "x", {})]
    for bad, reason in (
        (good._replace(text=""), "passage 2: text is empty"),
        (good._replace(id="1"), "passage 2: id '1' came before, at passage 1"),
        (good._replace(id="2", lang="??"), "passage 2: unknown language code"),
        (good._replace(id="2", metadata=None), "passage 2: metadata is None"),  # type: ignore[arg-type]
    ):
        with pytest.raises(DataError, match=reason):
            list(checked_passages([good, bad], Fields()))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        list(read_passages([tmp_path / "none.jsonl"]))
    (tmp_path / "a.xml").write_text("<a/>")
    with pytest.raises(UserError, match="unknown kind of file"):
        list(read_passages([tmp_path / "a.xml"]))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no records"):
        list(read_passages([tmp_path / "empty.jsonl"]))


@given(
    st.lists(
        st.dictionaries(
            st.text("ab", min_size=1, max_size=1),
            st.none() | st.integers() | st.floats() | st.text("x\0", max_size=2) | st.booleans(),
        )
    )
)
def test_whatever_comes_is_read_or_refused_in_one_line(metadata: list[dict[str, Any]]) -> None:
    passages = [Passage(str(one), "de", None, "x", values) for one, values in enumerate(metadata)]
    fields = Fields()
    try:
        found = list(checked_passages(passages, fields))
    except DataError as refused:
        reason = str(refused)
        assert reason.startswith("passage ") and "\n" not in reason  # noqa: PT018
        return
    kinds = {"string": str, "int": int, "float": (int, float), "bool": bool}
    for one in found:
        for name, value in one.metadata.items():
            assert value is None or isinstance(value, kinds[fields.types[name]])


def test_passages_of_a_corpus(corpora: Path) -> None:
    corpus = ParallelCorpus.open(corpora / "dev")
    found = list(passages_of_corpus(corpus))
    assert len(found) == 40 * 4
    assert len({one.id for one in found}) == len(found)
    one = next(one for one in found if one.id == "g170:fr")
    group = next(number for number in range(corpus.n_groups) if corpus.group_ids([number]) == ["g170"])  # type: ignore[arg-type]
    assert one == Passage("g170:fr", "fr", None, corpus.passages("fr", [group])[0], {"group": "g170"})  # type: ignore[arg-type]
    assert {one.lang for one in passages_of_corpus(corpus, ["deu"])} == {"de"}
    with pytest.raises(UserError, match="has no passages in ja; it has de, en, fr, tr"):
        list(passages_of_corpus(corpus, ["ja"]))
