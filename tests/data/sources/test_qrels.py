"""Qrels as people have them: three or four columns, with and without a header, ids with spaces, grades of every kind."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.data.rows import ReadingReport
from xlret.data.sources.qrels import read_qrels
from xlret.errors import DataError

GRADED = {"q1": {"d1": 1.0, "d2": 0.0}, "q2": {"d2": -1.0}}


def qrels(directory: Path, text: str, **options: bool) -> dict[str, dict[str, float]]:
    path = directory / "qrels.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    return read_qrels(path, ReadingReport(), **options)


@pytest.mark.parametrize(
    "text",
    [
        "q1\td1\t1\nq1\td2\t0\nq2\td2\t-1\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td2\t-1\n",
        "query-id\tcorpus-id\tscore\r\nq1\td1\t1.0\r\nq1\td2\t0.0\r\nq2\td2\t-1.0\r\n",
        "\ufeffquery-id corpus-id score\nq1 d1 1\n\nq1  d2  0\nq2 d2 -1",
        "q1 d1 +1\nq1 d2 0e0\nq2 d2 -1.\n",
        "q1 0 d1 1\nq1 Q0 d2 0\nq2 0 d2 -1\n",
        "q1\t0\td1\t1\nq1\t0\td2\t0\nq2\t0\td2\t-1\n",
        "q1 0\td1 1\nq1 0 d2\t0\nq2 0 d2 -1\n",
        "qid iter docid rel\nq1 0 d1 1\nq1 0 d2 0\nq2 0 d2 -1\n",
        "score\tcorpus-id\tquery-id\n1\td1\tq1\n0\td2\tq1\n-1\td2\tq2\n",
        "\tquery-id\tcorpus-id\tscore\n0\tq1\td1\t1\n1\tq1\td2\t0\n2\tq2\td2\t-1\n",
        "q1\td1\t1\nq1\td1\t1.0\nq1\td2\t0\nq2\td2\t-1\n",
    ],
    ids=[
        "no header",
        "header",
        "pandas",
        "spaces",
        "signs",
        "TREC",
        "TREC tabs",
        "TREC mixed",
        "TREC header",
        "order",
        "index",
        "twice",
    ],
)
def test_every_form_gives_the_same_judgements(tmp_path: Path, text: str) -> None:
    assert qrels(tmp_path, text) == GRADED


def test_between_tabs_ids_hold_spaces_of_every_kind(tmp_path: Path) -> None:
    text = "query-id\tcorpus-id\tscore\nq 1\tAnnex 3 b\t1\nq\u00a02\tÜber\u3000uns\t2\n"
    expected = {"q 1": {"Annex 3 b": 1.0}, "q\u00a02": {"Über\u3000uns": 2.0}}
    assert qrels(tmp_path, text) == qrels(tmp_path, text.split("\n", 1)[1]) == expected
    assert qrels(tmp_path, "q\u00a01 0 d\u00a01 1\n") == {"q\u00a01": {"d\u00a01": 1.0}}


def test_ids_that_are_called_as_columns_of_a_header_are_no_header(tmp_path: Path) -> None:
    assert qrels(tmp_path, "score\tqid\t1\n") == {"score": {"qid": 1.0}}
    assert qrels(tmp_path, "rel 0 d1 1\nq 0 score 2\n") == {"rel": {"d1": 1.0}, "q": {"score": 2.0}}


@given(
    st.dictionaries(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(str.strip)] * 2),
        st.integers(-2, 5),
        min_size=1,
    ),
    st.booleans(),
    st.booleans(),
)
def test_any_ids_survive(tmp_path_factory: pytest.TempPathFactory, judged, header: bool, trec: bool) -> None:
    lines = ["query-id\t0\tcorpus-id\tscore" if trec else "query-id\tcorpus-id\tscore"] if header else []
    lines += ["\t".join((query, *(["0"] if trec else []), passage, str(grade))) for (query, passage), grade in judged.items()]
    if not header and lines[0].startswith("\ufeff"):
        return  # cannot be told from the mark of the encoding
    path = tmp_path_factory.mktemp("any") / "qrels.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    read = read_qrels(path, ReadingReport())
    assert {(query, passage): grade for query, grades in read.items() for passage, grade in grades.items()} == judged


EXPECTED = r"; expected are TREC's four columns .* or BEIR's three"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "qrels.tsv holds no judgements" + EXPECTED),
        ("query-id\tcorpus-id\tscore\n", "qrels.tsv holds no judgements" + EXPECTED),
        ("1 2\n", r"qrels\.tsv:1: 2 columns" + EXPECTED),
        ("q1,d1,1\n", r"qrels\.tsv:1: 1 columns" + EXPECTED),
        ("1 0 2 1 9\n", r"qrels\.tsv:1: 5 columns" + EXPECTED),
        ("1 0 2 1\n1 0 2\n", r"qrels\.tsv:2: 3 columns, where most lines have 4" + EXPECTED),
        ("1 2\n1 0 2 1\n3 0 2 1\n", r"qrels\.tsv:1: 2 columns, where most lines have 4" + EXPECTED),
        ("1 0 2 1\n1 0 3 high\n", r"qrels\.tsv:2: grade 'high' is not a number" + EXPECTED),
        ("1 0 3 high\n1 0 2 1\n", r"qrels\.tsv:1: grade 'high' is not a number" + EXPECTED),
        ("1 0 2 nan\n", r"qrels\.tsv:1: grade 'nan' is not a number"),
        ("\td1\t1\nq\td1\t1\n", r"qrels\.tsv:1: an id is empty"),
        ("q d 1\nq d 0\n", r"qrels\.tsv:2: query 'q' and passage 'd' are judged 0, but 1 before"),
        ("7 0 1185869\n", r"qrels\.tsv:1: grade 1185869 is above 1000; are these triples"),
    ],
)
def test_what_cannot_be_read_says_what_was_expected(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        qrels(tmp_path, text)
    assert "\n" not in str(error.value)


def test_bad_lines_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("q1\td1\t1\nq1\nq2\td1\tx\nq2\td2\t2\n")
    report = ReadingReport("skip")
    assert read_qrels(tmp_path / "q.tsv", report) == {"q1": {"d1": 1.0}, "q2": {"d2": 2.0}}
    assert report.skipped == 2


def test_triples_of_ids_are_pairs_of_grade_1(tmp_path: Path) -> None:
    assert qrels(tmp_path, "7\t0\t1\n7\t0\t2\n8\t1\t0\n", triples=True) == {"7": {"0": 1.0}, "8": {"1": 1.0}}
    with pytest.raises(DataError, match="4 columns; expected are triples of ids"):
        qrels(tmp_path, "7\t0\t1\t1\n", triples=True)
