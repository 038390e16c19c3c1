"""BEIR, MS MARCO and TREC: what is judged relevant becomes groups."""

import gzip
import json
from pathlib import Path

import pytest

from xlret.config import settings_from
from xlret.data.corpus import ParallelCorpus, write_corpus
from xlret.data.rows import ReadingReport
from xlret.data.sources.beir import BeirSource
from xlret.data.sources.msmarco import MsMarcoSource
from xlret.data.sources.trec import TrecSource
from xlret.errors import DataError, UserError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def jsonl(*records: dict) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)


def pairs(corpus: ParallelCorpus, query_lang: str, passage_lang: str) -> set[tuple[str, str]]:
    pool = corpus.pool(query_lang, passage_lang)
    groups = pool.take(range(len(pool)))
    return set(zip(corpus.queries(query_lang, groups), corpus.passages(passage_lang, groups), strict=True))


def prepared(tmp_path: Path, kind: type, report: ReadingReport | None = None, **given: object) -> ParallelCorpus:
    report = report or ReadingReport()
    source = settings_from(kind, given)
    write_corpus(
        tmp_path / "made", source.rows(report), source="", licence="", revision="", made_by="", report=report, replace=True
    )
    return ParallelCorpus.open(tmp_path / "made")


def beir(folder: Path, end: str = "") -> Path:
    passages = [
        {"_id": "d1", "title": "Moon", "text": "It goes round."},
        {"_id": "d2", "title": "Sun", "text": ""},
        {"_id": "d3", "title": "", "text": "Nobody asks."},
    ]
    write(folder / f"corpus.jsonl{end}", jsonl(*passages))
    write(
        folder / f"queries.jsonl{end}", jsonl({"_id": "q1", "text": "What moves?"}, {"_id": "q2", "text": "Which one is grey?"})
    )
    write(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t2\nq2\td1\t1\nq2\td2\t0\n")
    return folder


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_beir_folder(tmp_path, end):
    corpus = prepared(tmp_path, BeirSource, format="beir", path=str(beir(tmp_path / "b", end)), lang="en")
    moon, sun = "Moon It goes round.", "Sun"
    assert pairs(corpus, "en", "en") == {("What moves?", moon), ("What moves?", sun), ("Which one is grey?", moon)}
    assert corpus.manifest.n_clusters == 1  # one query has both passages, and both queries one passage


def test_a_beir_folder_across_languages_and_by_grade(tmp_path):
    given = {"format": "beir", "path": str(beir(tmp_path / "b")), "lang": "sw", "passage_lang": "en", "at_least": 2}
    assert pairs(prepared(tmp_path, BeirSource, **given), "sw", "en") == {("What moves?", "Sun")}


def test_judgements_of_what_is_not_there_leave_no_half_pair(tmp_path):
    folder = beir(tmp_path / "b")
    write(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\tgone\t1\n")
    with pytest.raises(DataError, match=r"train\.tsv: passage 'gone', judged relevant, is not among the passages in en"):
        prepared(tmp_path, BeirSource, format="beir", path=str(folder), lang="en")
    report = ReadingReport("skip")
    corpus = prepared(tmp_path, BeirSource, report, format="beir", path=str(folder), lang="en")
    assert (corpus.n_groups, report.skipped) == (1, 1)
    write(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\nlost\td1\t1\n")
    with pytest.raises(DataError, match="query 'lost', which has a relevant passage, is not among the queries in en"):
        prepared(tmp_path, BeirSource, format="beir", path=str(folder), lang="en")


def test_a_beir_folder_that_lacks_a_file_or_a_field(tmp_path):
    folder = beir(tmp_path / "b")
    with pytest.raises(UserError, match=r"cannot read .*qrels/test\.tsv"):
        prepared(tmp_path, BeirSource, format="beir", path=str(folder), lang="en", split="test")
    write(folder / "queries.jsonl", jsonl({"_id": "q1", "words": "What?"}))
    with pytest.raises(DataError, match=r"queries\.jsonl:1: no id or no text; found: _id, words"):
        prepared(tmp_path, BeirSource, format="beir", path=str(folder), lang="en")


def msmarco(folder: Path) -> dict:
    texts = {"en": ("what is red", "roses", "grass"), "de": ("was ist rot", "Rosen", "Gras")}
    for lang, (query, one, two) in texts.items():
        write(folder / f"queries.{lang}.tsv", f"7\t{query}\n8\tnobody judged this\n")
        write(folder / f"collection.{lang}.tsv", f"0\t{one}\n1\t{two}\n")
    translations = [
        {"lang": lang, "queries": str(folder / f"queries.{lang}.tsv"), "collection": str(folder / f"collection.{lang}.tsv")}
        for lang in texts
    ]
    return {"format": "msmarco", "qrels": str(write(folder / "qrels.tsv", "7\t0\t0\t1\n")), "translations": translations}


def test_ms_marco_in_two_languages_is_one_group(tmp_path):
    corpus = prepared(tmp_path, MsMarcoSource, **msmarco(tmp_path))
    assert corpus.n_groups == 1
    assert pairs(corpus, "de", "en") == {("was ist rot", "roses")}
    assert pairs(corpus, "en", "de") == {("what is red", "Rosen")}


@pytest.mark.parametrize(("name", "options"), [("triples.train.ids.tsv", {}), ("pairs.tsv", {"triples": True})])
def test_triples_of_ids_will_do_as_qrels(tmp_path, name, options):
    given = msmarco(tmp_path) | options
    given["qrels"] = str(write(tmp_path / name, "7\t1\t0\n7\t1\t0\n"))  # as grades they would say that nothing is relevant
    assert pairs(prepared(tmp_path, MsMarcoSource, **given), "en", "en") == {("what is red", "grass")}


def test_triples_that_nobody_called_so_are_refused(tmp_path):
    given = msmarco(tmp_path)
    write(tmp_path / "qrels.tsv", "7\t0\t1185869\n")
    with pytest.raises(DataError, match=r"qrels\.tsv:1: grade 1185869 is above 1000; are these triples of ids"):
        prepared(tmp_path, MsMarcoSource, **given)


def test_what_comes_twice_counts_once_and_is_noted(tmp_path):
    given = msmarco(tmp_path)
    write(tmp_path / "queries.en.tsv", "7\twhat is red\n7\twhat is red\n")
    write(tmp_path / "collection.de.tsv", "0\tRosen\n1\tGras\n0\tRosen\n")
    report = ReadingReport()
    assert prepared(tmp_path, MsMarcoSource, report, **given).n_groups == 1
    qrels = tmp_path / "qrels.tsv"
    assert report.notes == [
        f"{qrels}, en: 1 times a query came again with equal text, which counts once",
        f"{qrels}, de: 1 times a passage came again with equal text, which counts once",
    ]
    write(tmp_path / "collection.de.tsv", "0\tRosen\n1\tGras\n0\tTulpen\n")
    with pytest.raises(DataError, match=r"collection\.de\.tsv:3: passage '0' came before with another text"):
        prepared(tmp_path, MsMarcoSource, **given)


@pytest.mark.parametrize(
    "qrels",
    [
        "q1\td1\t1\nq1\td2\t0\nq2\td1\t1.0\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t1.0\nq1\td2\t0.0\nq2\td1\t2.0\nq2\td2\t-1\n",
    ],
)
def test_beir_qrels_without_a_header_and_with_grades_as_pandas_writes_them(tmp_path, qrels):
    folder = beir(tmp_path / "b")
    write(folder / "qrels" / "train.tsv", qrels)
    moon = "Moon It goes round."
    corpus = prepared(tmp_path, BeirSource, format="beir", path=str(folder), lang="en")
    assert pairs(corpus, "en", "en") == {("What moves?", moon), ("Which one is grey?", moon)}


def test_a_collection_line_without_its_tab(tmp_path):
    given = msmarco(tmp_path)
    write(tmp_path / "collection.de.tsv", "0\tRosen\nGras\n")
    with pytest.raises(DataError, match=r"collection\.de\.tsv:2: 1 columns between tabs; allowed are 2"):
        prepared(tmp_path, MsMarcoSource, **given)


SGML = """<top>
<num> Number: C041 </num>
<title> Pesticides in
baby food </title>
<desc> Description: more words
</top>
<top>
<num>C042
<title>Oil
</top>
"""


@pytest.mark.parametrize("form", ["jsonl", "tsv"])
def test_trec_topics_qrels_and_passages(tmp_path, form):
    write(tmp_path / "topics.txt", SGML)
    write(tmp_path / "qrels.txt", "C041 0 AB-1 1\nC042 0 AB-1 0\nC042 0 AB-2 3\n")
    if form == "jsonl":
        write(tmp_path / "p.jsonl", jsonl({"docid": "AB-1", "text": "On jars."}, {"docid": "AB-2", "text": "On barrels."}))
    else:
        write(tmp_path / "p.tsv", "AB-1\tOn jars.\nAB-2\tOn barrels.\n")
    given = {
        "topics": str(tmp_path / "topics.txt"),
        "qrels": str(tmp_path / "qrels.txt"),
        "passages": [str(tmp_path / f"p.{form}")],
    }
    corpus = prepared(tmp_path, TrecSource, format="trec", lang="en", passage_lang="de", **given)
    assert pairs(corpus, "en", "de") == {("Pesticides in baby food", "On jars."), ("Oil", "On barrels.")}
