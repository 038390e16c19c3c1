"""Judged test sets come whole: grades, unjudged passages, several relevant passages; what is left out is counted."""

import json
from pathlib import Path

import pytest

from xlret.data import texts_on_disk
from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import JudgedText, read_judged, read_judged_files
from xlret.errors import DataError, UserError

QRELS = {"q1": {"d1": 2.0, "d2": 1.0, "d3": 0.0}, "q2": {"d3": 1.0}}
QUERIES = {"q1": JudgedText("en", None, "what is red"), "q2": JudgedText("en", None, "what is blue")}
PASSAGES = {
    "d1": JudgedText("de", "Rosen", "Sie sind rot."),
    "d2": JudgedText("de", None, "Mohn ist rot."),
    "d3": JudgedText("de", None, "Der Himmel"),
    "d4": JudgedText("de", None, "Nach mir fragt niemand."),
}
TITLED = {**PASSAGES, "d1": JudgedText("de", None, "Rosen Sie sind rot.")}


@pytest.fixture(autouse=True, params=["in memory", "on disk"])
def texts_are(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is as well where the texts of passages go to disk."""
    if request.param == "on disk":
        monkeypatch.setattr(texts_on_disk, "IN_MEMORY", 0)


def write(path: Path, *lines: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), encoding="utf-8")
    return path


def beir(folder: Path) -> Path:
    write(folder / "queries.jsonl", *({"_id": key, "text": query.text, "metadata": {}} for key, query in QUERIES.items()))
    write(
        folder / "corpus.jsonl",
        *({"_id": key, "title": passage.title or "", "text": passage.text} for key, passage in PASSAGES.items()),
    )
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\t1", "q1\td3\t0", "q2\td3\t1")
    return folder


def msmarco(folder: Path) -> Path:
    write(folder / "queries.test.tsv", *(f"{key}\t{query.text}" for key, query in QUERIES.items()))
    write(folder / "queries.train.tsv", "q9\tanother")
    write(folder / "collection.tsv", *(f"{key}\t{passage.full_text}" for key, passage in PASSAGES.items()))
    write(folder / "qrels.test.tsv", "q1\t0\td1\t2", "q1\t0\td2\t1", "q1\t0\td3\t0", "q2\t0\td3\t1")
    write(folder / "qrels.train.tsv", "q9\t0\td1\t1")
    return folder


def trec(folder: Path) -> Path:
    write(
        folder / "topics.xml", *(f'<topic number="{key}"><query>{query.text}</query></topic>' for key, query in QUERIES.items())
    )
    write(folder / "qrels.txt", "q1 0 d1 2", "q1 0 d2 1", "q1 0 d3 0", "q2 0 d3 1")
    rows = [{"docid": key, "title": passage.title, "contents": passage.text} for key, passage in PASSAGES.items()]
    write(folder / "docs-0.jsonl", *rows[:2])
    write(folder / "docs-1.jsonl", *rows[2:])
    return folder


@pytest.mark.parametrize(("layout", "passages"), [(beir, PASSAGES), (msmarco, TITLED), (trec, PASSAGES)])
def test_every_layout_comes_whole(tmp_path: Path, layout, passages: dict[str, JudgedText]) -> None:
    judged = read_judged(layout(tmp_path), lang="eng", passage_lang="de")
    assert (judged.queries, dict(judged.passages), judged.qrels, judged.left_out) == (QUERIES, passages, QRELS, {})


def test_squad_questions_find_their_paragraphs(tmp_path: Path) -> None:
    def asked(key: str, text: str, **more: object) -> dict[str, object]:
        return {"id": key, "question": text, "answers": [], **more}

    paragraphs = [
        {"context": "One.", "qas": [asked("a", "1?"), asked("b", "one?")]},
        {"context": "Two.", "qas": [asked("c", "2?"), asked("d", "3?", is_impossible=True)]},
        {"context": "One.", "qas": [asked("e", "first?")]},
    ]
    file = write(tmp_path / "squad.json", {"data": [{"title": "The_numbers", "paragraphs": paragraphs}]})
    judged = read_judged(file, lang="en")
    assert judged.passages == {
        "The numbers#1": JudgedText("en", "The numbers", "One."),
        "The numbers#2": JudgedText("en", "The numbers", "Two."),
    }
    first, second = judged.passages
    assert judged.qrels == {"a": {first: 1.0}, "b": {first: 1.0}, "c": {second: 1.0}, "e": {first: 1.0}}
    assert judged.queries["c"] == JudgedText("en", None, "2?")
    assert judged.left_out == {"questions that have no answer": 1}


def test_languages_may_be_said_row_by_row(tmp_path: Path) -> None:
    queries = write(tmp_path / "q.jsonl", {"id": 1, "query": "rot?", "lang": "de_DE"}, {"id": 2, "query": "red?"})
    passages = write(tmp_path / "p.csv", "id,lang,text", "1,,red", "2,fr,rouge")
    qrels = write(tmp_path / "qrels.tsv", "1\t2\t1", "2\t2\t1", "2\t1\t1")
    judged = read_judged_files(queries, [passages], qrels, lang="en")
    assert {key: query.lang for key, query in judged.queries.items()} == {"1": "de-DE", "2": "en"}
    assert {key: passage.lang for key, passage in judged.passages.items()} == {"1": "en", "2": "fr"}
    with pytest.raises(DataError, match=r"q\.jsonl:2: query '2' does not say its language; give lang"):
        read_judged_files(queries, [passages], qrels)


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    folder = beir(tmp_path)
    queries = [{"_id": "q1", "text": "what is red"}, {"_id": "q1", "text": "what is red"}, {"_id": "q7", "text": "of train"}]
    write(folder / "queries.jsonl", *queries, {"_id": "q3", "text": "judged, but what was judged is gone"})
    passages = [{"_id": "d1", "title": "Rosen", "text": "Sie sind rot."}] * 3
    write(
        folder / "corpus.jsonl", *passages, {"_id": "d2", "title": "", "text": ""}, {"_id": "d9", "title": "Titel", "text": ""}
    )
    write(folder / "qrels" / "test.tsv", "q1\td1\t1", "q1\td2\t1", "q2\td1\t1", "q3\tgone\t1")
    judged = read_judged(folder, lang="en")
    assert judged.qrels == {"q1": {"d1": 1.0}}
    assert list(judged.queries) == ["q1"]
    assert judged.passages == {"d1": JudgedText("en", "Rosen", "Sie sind rot."), "d9": JudgedText("en", None, "Titel")}
    assert judged.left_out == {
        "queries without a judgement": 1,
        "queries that came before with equal text": 1,
        "passages that came before with equal text": 2,
        "passages without a text": 1,
        "judgements of queries that are not there": 1,
        "judgements of passages that are not there": 2,
        "queries whose judged passages are not there": 1,
    }


def test_an_id_with_two_texts_is_a_bad_row(tmp_path: Path) -> None:
    folder = beir(tmp_path)
    write(folder / "corpus.jsonl", {"_id": "d1", "text": "a"}, {"_id": "d1", "text": "b"}, {"_id": "d3", "text": "c"})
    with pytest.raises(DataError, match=r"corpus\.jsonl:2: passage 'd1' came before with another text"):
        read_judged(folder, lang="en")
    report = ReadingReport("skip")
    assert read_judged(folder, lang="en", report=report).passages["d1"].text == "a"
    assert report.skipped == 1


def test_what_is_no_test_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no test collection at .*gone; expected is a directory in the layout of BEIR's"):
        read_judged(tmp_path / "gone")
    with pytest.raises(UserError, match="holds no test collection; expected is the layout of BEIR's"):
        read_judged(tmp_path)
    folder = beir(tmp_path)
    with pytest.raises(UserError, match=r"there is no .*qrels/dev\.tsv; splits that are there: test"):
        read_judged(folder, split="dev", lang="en")
    write(folder / "qrels" / "test.tsv", "1\t1\t1")
    with pytest.raises(UserError, match=r"no judgement is of a query and a passage that are there \(1 judgements of queries"):
        read_judged(folder, lang="en")
    other = msmarco(tmp_path / "m")
    with pytest.raises(UserError, match=r"needs one file queries\.dev\*; there are: queries\.test\.tsv, queries\.train\.tsv"):
        read_judged(other, split="dev", lang="en")
    write(other / "triples.tsv", "1\t2\t3")
    with pytest.raises(UserError, match="holds triples for training"):
        read_judged_files(other / "queries.test.tsv", [other / "collection.tsv"], other / "triples.tsv", lang="en")
