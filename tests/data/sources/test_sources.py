"""Each public data set's form, in small copies made here; the real ones in slow tests."""

import json
from pathlib import Path

import numpy as np
import pytest

from xlret.config import settings_from
from xlret.data.corpus import ParallelCorpus, write_corpus
from xlret.data.rows import ReadingReport
from xlret.data.sources.afriqa import AfriqaSource
from xlret.data.sources.base import SourceSettings
from xlret.data.sources.miracl import MiraclSource
from xlret.data.sources.mmarco import MmarcoSource
from xlret.data.sources.ntrex import NtrexSource
from xlret.data.sources.own import OwnSource
from xlret.data.sources.squad import SquadSource
from xlret.data.sources.swim_ir import SwimIrSource
from xlret.errors import DataError, UserError
from xlret.files import shared_directory


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def jsonl(*records: dict) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)


def rows_of(kind: type[SourceSettings], report: ReadingReport | None = None, **given: object) -> list:
    return list(settings_from(kind, given).rows(report or ReadingReport()))


def prepared(
    tmp_path: Path, kind: type[SourceSettings], report: ReadingReport | None = None, **given: object
) -> ParallelCorpus:
    rows = rows_of(kind, report, **given)
    write_corpus(tmp_path / "made", rows, source="", licence="", revision="", made_by="", report=report)
    return ParallelCorpus.open(tmp_path / "made")


def pairs(corpus: ParallelCorpus, query_lang: str, passage_lang: str) -> set[tuple[str, str]]:
    pool = corpus.pool(query_lang, passage_lang)
    groups = pool.take(np.arange(len(pool)))
    return set(zip(corpus.queries(query_lang, groups), corpus.passages(passage_lang, groups), strict=True))


def ntrex(folder: Path) -> Path:
    """Two documents of five and two sentences, and one of a single sentence."""
    write(folder / "DOCUMENT_IDS.tsv", "news.1\n" * 5 + "news.2\n" * 2 + "news.3\n")
    write(folder / "newstest2019-src.eng.txt", "".join(f"en {i}\n" for i in range(8)))
    write(folder / "newstest2019-ref.eng-US.txt", "".join(f"us {i}\n" for i in range(8)))
    write(folder / "newstest2019-ref.deu.txt", "".join(f"de {i}\n" for i in range(8)))
    write(folder / "newstest2019-ref.zho-CN.txt", "".join("\n" if i == 1 else f"中{i}。\n" for i in range(8)))
    return folder


def test_ntrex_pairs_a_sentence_with_what_stands_around_it(tmp_path):
    corpus = prepared(tmp_path, NtrexSource, format="ntrex", path=str(ntrex(tmp_path / "n")), window=2, exclude=["en-US"])
    assert corpus.languages == ("de", "en", "zh")
    assert pairs(corpus, "en", "de") == {
        ("en 0", "de 1 de 2"),
        ("en 1", "de 0 de 2 de 3"),
        ("en 2", "de 0 de 1 de 3 de 4"),
        ("en 3", "de 1 de 2 de 4"),
        ("en 4", "de 2 de 3"),
        ("en 5", "de 6"),
        ("en 6", "de 5"),
    }
    assert pairs(corpus, "zh", "zh") == {
        ("中0。", "中2。"),
        ("中2。", "中0。中3。中4。"),
        ("中3。", "中2。中4。"),
        ("中4。", "中2。中3。"),
        ("中5。", "中6。"),
        ("中6。", "中5。"),
    }
    assert corpus.manifest.n_clusters == 2  # the documents


def test_ntrex_languages_and_window_can_be_chosen(tmp_path):
    rows = rows_of(NtrexSource, format="ntrex", path=str(ntrex(tmp_path)), window=1, languages=["eng-US", "de"])
    assert {row.lang for row in rows} == {"en-US", "de"}
    assert next(row for row in rows if row.query == "us 2").text == "us 1 us 3"
    with pytest.raises(UserError, match="has no fr; it has de, en, en-US, zh"):
        rows_of(NtrexSource, format="ntrex", path=str(tmp_path), languages=["fr", "de"])
    with pytest.raises(UserError, match="no language is left"):
        rows_of(NtrexSource, format="ntrex", path=str(tmp_path), languages=["de"], exclude=["de"])


def test_ntrex_files_that_are_not_aligned(tmp_path):
    write(ntrex(tmp_path) / "newstest2019-ref.deu.txt", "one\n")
    with pytest.raises(DataError, match=r"ref\.deu\.txt has 1 lines; DOCUMENT_IDS\.tsv has 8"):
        rows_of(NtrexSource, format="ntrex", path=str(tmp_path))
    with pytest.raises(UserError, match=r"no newstest2019-ref\.LANG\.txt"):
        rows_of(NtrexSource, format="ntrex", path=str(tmp_path / "nowhere"))


SWIM = [
    {"_id": "12", "lang": "Bengali", "code": "bn", "query": "লাল?", "title": "Red", "text": "A colour."},
    {"_id": "12", "lang": "Thai", "code": "th", "query": "สีแดง?", "title": "Red", "text": "A colour."},
]


def test_swim_ir_has_the_query_in_code_and_an_english_passage(tmp_path):
    path = write(tmp_path / "train.jsonl", jsonl(*SWIM))
    corpus = prepared(tmp_path, SwimIrSource, format="swim_ir", files=[str(path)], part="cross_lingual")
    assert (corpus.query_languages, corpus.passage_languages) == (("bn", "th"), ("en",))
    assert pairs(corpus, "th", "en") == {("สีแดง?", "Red A colour.")}
    assert (corpus.n_groups, corpus.manifest.n_clusters) == (2, 1)  # one passage for both


def test_swim_ir_monolingual(tmp_path):
    path = write(tmp_path / "train.jsonl", jsonl(*SWIM))
    corpus = prepared(tmp_path, SwimIrSource, format="swim_ir", files=[str(path)], part="monolingual")
    assert corpus.passage_languages == ("bn", "th")
    write(path, jsonl({"_id": "1", "code": "bn", "text": "t"}))
    with pytest.raises(DataError, match=r"train\.jsonl:1: no _id, code, query or text; found: _id, code, text"):
        rows_of(SwimIrSource, format="swim_ir", files=[str(path)], part="monolingual")


def mmarco(folder: Path) -> dict:
    for name, query, passage in (("english", "red?", "rose"), ("german", "rot?", "Rose"), ("hindi", "लाल?", "गुलाब")):
        write(folder / "google" / "queries" / "train" / f"{name}_queries.train.tsv", f"5\t{query}\n6\tother\n")
        write(folder / "google" / "collections" / f"{name}_collection.tsv", f"0\tno\n1\t{passage}\n")
    write(folder / "google" / "collections" / "french_collection.tsv", "0\tnon\n")  # without queries
    triples = write(folder / "triples.train.ids.small.tsv", "5\t1\t0\n")
    return {"format": "mmarco", "path": str(folder / "google"), "pairs": str(triples)}


def test_mmarco_is_parallel_in_all_languages(tmp_path):
    corpus = prepared(tmp_path, MmarcoSource, **mmarco(tmp_path))
    assert corpus.languages == ("de", "en", "hi")
    assert corpus.n_groups == 1
    assert pairs(corpus, "hi", "de") == {("लाल?", "Rose")}
    with pytest.raises(UserError, match="has no fr; it has de, en, hi"):
        rows_of(MmarcoSource, **mmarco(tmp_path), languages=["fr"])


def miracl(folder: Path) -> dict:
    for lang, query, text in (("sw", "nani?", "yeye"), ("fi", "kuka?", "hän")):
        start = f"miracl-v1.0-{lang}"
        write(folder / start / "topics" / f"topics.{start}-train.tsv", f"1\t{query}\n")
        write(folder / start / "qrels" / f"qrels.{start}-train.tsv", "1\tQ0\t9#0\t1\n1\tQ0\t9#1\t0\n")
        passages = jsonl({"docid": "9#0", "title": "T", "text": text}, {"docid": "9#1", "title": "T", "text": "x"})
        write(folder / f"miracl-corpus-v1.0-{lang}" / "docs-0.jsonl", passages)
    return {"format": "miracl", "path": str(folder), "corpus": str(folder)}


def test_miracl_languages_share_nothing(tmp_path):
    corpus = prepared(tmp_path, MiraclSource, **miracl(tmp_path))
    assert pairs(corpus, "sw", "sw") == {("nani?", "T yeye")}
    assert corpus.n_groups == 2
    assert not len(corpus.pool("sw", "fi"))
    with pytest.raises(UserError, match="has no de; it has fi, sw"):
        rows_of(MiraclSource, **miracl(tmp_path), languages=["de"])
    (tmp_path / "miracl-corpus-v1.0-sw" / "docs-0.jsonl").unlink()
    with pytest.raises(UserError, match="no passages for sw"):
        rows_of(MiraclSource, **miracl(tmp_path / "other") | {"corpus": str(tmp_path)})


def test_afriqa_has_the_question_in_two_languages(tmp_path):
    record = {"id": "0", "question_lang": "Nani?", "question_translated": "Who?", "title": "She", "context": "It was her."}
    empty = {**record, "id": "1", "context": None, "title": None}
    for split in ("train", "dev", "test"):
        write(tmp_path / f"gold_span_passages.afriqa.hau.en.{split}.json", jsonl(record, empty))
    write(tmp_path / "gold_span_passages.afriqa.fon.fr.train.json", jsonl({**record, "question_translated": "Qui ?"}))
    report = ReadingReport()
    corpus = prepared(tmp_path, AfriqaSource, report, format="afriqa", path=str(tmp_path))
    assert (corpus.n_groups, corpus.query_languages, corpus.passage_languages) == (2, ("en", "fon", "fr", "ha"), ("en", "fr"))
    assert pairs(corpus, "ha", "en") == {("Nani?", "She It was her.")}
    assert pairs(corpus, "fr", "fr") == {("Qui ?", "She It was her.")}
    assert report.notes == [f"{tmp_path}/gold_span_passages.afriqa.hau.en.train.json: 1 questions without a passage left out"]
    assert len(rows_of(AfriqaSource, format="afriqa", path=str(tmp_path), splits=["train", "dev"], languages=["hau"])) == 4
    with pytest.raises(UserError, match=r"splits\.0 is 'test'"):
        rows_of(AfriqaSource, format="afriqa", path=str(tmp_path), splits=["test"])
    with pytest.raises(UserError, match="no gold_span_passages"):
        rows_of(AfriqaSource, format="afriqa", path=str(tmp_path / "nowhere"))


def squad(question: str, context: str) -> str:
    qas = [{"id": "q1", "question": question, "answers": []}]
    return json.dumps({"data": [{"title": "Red_thing", "paragraphs": [{"context": context, "qas": qas}]}]})


def test_squad_translations_are_joined_by_question_id(tmp_path):
    files = [
        {"path": str(write(tmp_path / "en.json", squad("what?", "that"))), "lang": "en"},
        {"path": str(write(tmp_path / "es.json", squad("¿qué?", "eso"))), "lang": "spa"},
    ]
    corpus = prepared(tmp_path, SquadSource, format="squad", files=files)
    assert pairs(corpus, "es", "en") == {("¿qué?", "Red thing that")}
    assert corpus.n_groups == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"data": [1]}', '{"data": [{}]}', '{"data": [{"paragraphs": [{"qas": 1}]}]}'])
def test_files_that_are_not_squad(tmp_path, text):
    path = write(tmp_path / "a.json", text)
    with pytest.raises(DataError, match=r"a\.json: not"):
        rows_of(SquadSource, format="squad", files=[{"path": str(path), "lang": "en"}])


def test_squad_questions_without_a_text(tmp_path):
    path = write(tmp_path / "a.json", squad("what?", "that").replace('"question"', '"ask"'))
    with pytest.raises(DataError, match=r"a\.json: question 'q1': no id, question or context"):
        rows_of(SquadSource, format="squad", files=[{"path": str(path), "lang": "en"}])


def test_xtreme_up_is_read_as_rows_with_other_names(tmp_path):
    """Its records have `id, title, context, question`; the file's language is the question's, passages are English."""
    for lang, question in (("hi", "कौन?"), ("ta", "யார்?")):
        write(tmp_path / f"{lang}.jsonl", jsonl({"id": "1", "title": "T", "context": "She.", "question": question}))
    columns = {"group_id": "id", "query": "question", "text": "context"}
    files = [{"path": str(tmp_path / f"{x}.jsonl"), "lang": x, "passage_lang": "en", "columns": columns} for x in ("hi", "ta")]
    corpus = prepared(tmp_path, OwnSource, format="rows", files=files)
    assert corpus.n_groups == 1
    assert pairs(corpus, "ta", "en") == {("யார்?", "T She.")}


def real(name: str) -> str:
    path = shared_directory() / "data" / name
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set XLRET_SHARED")
    return str(path)


@pytest.mark.slow
def test_real_ntrex(tmp_path):
    corpus = prepared(tmp_path, NtrexSource, format="ntrex", path=real("ntrex"), exclude=["en-US"])
    assert (corpus.n_groups, len(corpus.languages)) == (1997, 31)
    assert corpus.manifest.n_clusters <= 123
    everything = np.arange(corpus.n_groups)
    documents: dict[str, set[int]] = {}
    for group_id, cluster in zip(corpus.group_ids(everything), corpus.clusters(everything).tolist(), strict=True):
        documents.setdefault(group_id.split("#")[0], set()).add(cluster)
    assert all(len(clusters) == 1 for clusters in documents.values())


@pytest.mark.slow
def test_real_afriqa(tmp_path):
    report = ReadingReport()
    corpus = prepared(tmp_path, AfriqaSource, report, format="afriqa", path=real("afriqa"), splits=["train", "dev"])
    assert {"bem", "fon", "ha", "ig", "rw", "tw", "yo"} <= set(corpus.query_languages) | {"tw"}
    assert corpus.passage_languages == ("en", "fr")
    assert report.notes
