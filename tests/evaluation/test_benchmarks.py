"""Benchmarks in their published forms, made small by hand; the real files in slow tests."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks import BENCHMARKS, benchmark
from xlret.evaluation.benchmarks.custom import custom_set, is_collection
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.sets import RetrievalSet
from xlret.files import shared_directory


def paragraph(sentences: list[str], questions: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """LAReQA's form: `questions` is id -> (question, answer), the answer found where it first stands in the paragraph."""
    context, breaks = "", []
    for sentence in sentences:
        context += " " if context else ""
        breaks.append([len(context), len(context) + len(sentence)])
        context += sentence
    qas = [
        {"id": key, "question": question, "answers": [{"answer_start": context.index(answer), "text": answer}]}
        for key, (question, answer) in questions.items()
    ]
    return {"context": context, "sentences": sentences, "sentence_breaks": breaks, "qas": qas}


def write_lareqa(directory: Path) -> None:
    """Two languages: `both` is asked in both, `alone` in English only; English is gzipped."""
    english = [
        paragraph(["It rained.", "It rained in Oslo in May.", "Then the sun came."], {"both": ("Where?", "Oslo in May. Then")}),
        paragraph(["Same words.", "Same words.", "Bread is baked."], {"alone": ("What is baked?", "Bread")}),
    ]
    german = [paragraph(["Es regnete in Oslo.", "Die Sonne kam."], {"both": ("Wo?", "Oslo")})]
    files = {"en": english, "de": german}
    for lang, paragraphs in files.items():
        value = {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs[:1]}, {"paragraphs": paragraphs[1:]}]}
        content = json.dumps(value).encode()
        if lang == "en":
            (directory / "en.json.gz").write_bytes(gzip.compress(content))
        else:
            (directory / "de.json").write_bytes(content)


def only(name: str, directory: Path, languages: list[str] | None) -> RetrievalSet:
    """The single set of a benchmark."""
    (one,) = benchmark(name).load(directory, languages)
    return one


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r"])
def test_lareqa_protocol(tmp_path: Path, name: str) -> None:
    write_lareqa(tmp_path)
    one = only(name, tmp_path, ["en", "deu"])
    assert one.languages == ("de", "en")
    assert one.passage_langs == ["de"] * 2 + ["en"] * 6  # equal sentences are candidates of their own
    assert one.passage_texts[0] == "Es regnete in Oslo. Es regnete in Oslo. Die Sonne kam."
    assert one.passage_texts[3] == "It rained in Oslo in May. It rained. It rained in Oslo in May. Then the sun came."
    answers = {
        query: [one.passage_texts[place].split(".")[0] for place in places]
        for query, places in zip(one.query_ids, one.relevant, strict=True)
    }
    assert answers == {
        "de/both": ["Es regnete in Oslo", "It rained in Oslo in May"],  # the span runs on: the sentence it starts in
        "en/both": ["Es regnete in Oslo", "It rained in Oslo in May"],
        "en/alone": ["Bread is baked"],
    }
    assert one.query_groups == ["both", "both", "alone"]


def test_lareqas_form_is_read_in_any_language(tmp_path: Path) -> None:
    write_lareqa(tmp_path)
    (tmp_path / "de.json").rename(tmp_path / "ro.json")  # a language that neither of LAReQA's own sets has
    one = only("custom", tmp_path, None)
    assert one.languages == ("en", "ro")
    assert one.name == f"custom/{tmp_path.name}"
    relevant = {query: len(places) for query, places in zip(one.query_ids, one.relevant, strict=True)}
    assert relevant == {"en/both": 2, "en/alone": 1, "ro/both": 2}
    assert one.query_groups == ["both", "alone", "both"]
    assert only("custom", tmp_path, ["ro"]).query_langs == ["ro"]
    with pytest.raises(UserError, match=r"no fr\.json or fr\.json\.gz"):
        only("custom", tmp_path, ["fr"])
    with pytest.raises(UserError, match=r"its language \(en, ro\); leave lang"):
        custom_set(tmp_path, lang="en")
    assert is_collection(tmp_path)
    (tmp_path / "notes.json").write_text("{}")
    assert not is_collection(tmp_path)
    with pytest.raises(UserError, match="xquad-r has no ro"):
        only("xquad-r", tmp_path, ["ro"])


def test_a_question_without_an_answer_in_the_target_corpus_is_skipped(tmp_path: Path) -> None:
    write_lareqa(tmp_path)
    one = only("mlqa-r", tmp_path, ["en", "de"])
    vectors = np.eye(len(one.passage_ids), dtype=np.float32)
    queries = np.stack([vectors[answers[0]] for answers in one.relevant])
    found = evaluate(one, queries, vectors)
    assert found.matrix["en"]["de"] == 1  # `both` alone counts: `alone` has no German answer
    assert found.skipped == 0
    assert only("mlqa-r", tmp_path, ["en"]).relevant[0].size == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("sentence_breaks"), "no key 'sentence_breaks'"),
        (lambda p: p["sentences"].pop(), "2 sentences and 3"),
        (lambda p: p["qas"].append(dict(p["qas"][0])), "question id 'both' is there twice"),
        (lambda p: p["qas"][0]["answers"][0].update(answer_start=10_000), "answer_start 10000 is outside"),
        (lambda p: p["qas"][0]["answers"][0].update(answer_start=None), "is not of LAReQA's form"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path: Path, change: Any, message: str) -> None:
    bad = paragraph(["One.", "Two.", "Three."], {"both": ("?", "Two")})
    change(bad)
    (tmp_path / "en.json").write_text(json.dumps({"data": [{"paragraphs": [bad]}]}))
    with pytest.raises(DataError, match=message) as caught:
        only("xquad-r", tmp_path, ["en"])
    assert "en.json: article/paragraph 0/0" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"data": 3}', b"\xff\xfe"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "en.json").write_bytes(content)
    with pytest.raises(DataError, match=r"en\.json is not a whole SQuAD file"):
        only("xquad-r", tmp_path, ["en"])
    (tmp_path / "de.json.gz").write_bytes(gzip.compress(b'{"data": []}')[:-9])
    with pytest.raises(DataError, match=r"de\.json\.gz is not a whole SQuAD file"):
        only("xquad-r", tmp_path, ["de"])


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown benchmark 'squad'; allowed are xquad-r, mlqa-r, tatoeba"):
        benchmark("squad")
    with pytest.raises(UserError, match="xquad-r has no fr; it has ar, de"):
        benchmark("xquad-r").load(tmp_path, ["en", "fr"])
    with pytest.raises(UserError, match=r"there is no en\.json or en\.json\.gz"):
        benchmark("xquad-r").load(tmp_path, ["en"])
    with pytest.raises(UserError, match="no such directory"):
        benchmark("xquad-r").load(tmp_path / "nowhere")


def test_every_benchmark_says_what_it_is() -> None:
    for name, published in BENCHMARKS.items():
        assert published.name == name
        assert all((published.title, published.metric, published.licence, published.revision, published.files))
        assert published.source.startswith("https://") or (name, published.source) == ("custom", "you")
        assert list(published.languages) == sorted(set(published.languages))
        assert all((repository.revision or "no commit is known") in published.revision for repository in published.hub)
        assert published.hub or published.sha256 or published.by_hand or name == "custom"
    assert len(BENCHMARKS["tatoeba"].languages) == 111  # of 112: kzj is dtp today


def test_tatoeba_counts_the_same_line_only(tmp_path: Path) -> None:
    (tmp_path / "tatoeba.deu-eng.deu").write_text("Hallo.\nGuten Tag.\nNein.\n", encoding="utf-8")
    (tmp_path / "tatoeba.deu-eng.eng").write_text("Hello.\nHello.\nNo.\n", encoding="utf-8")
    (one,) = benchmark("tatoeba").load(tmp_path)
    assert (one.name, one.languages) == ("tatoeba/deu", ("de", "en"))
    hello, no = [1.0, 0.0], [0.0, 1.0]
    vectors = np.array([hello, hello, no], np.float32)
    found = evaluate(one, vectors, vectors)
    assert found.pooled["recall@1"] == pytest.approx(2 / 3)  # equal English sentences: the first is taken, by index
    assert found.cr == found.matrix["de"]["en"]
    for code in ("dtp", "kzj"):  # two files of what is one language today
        for side in (code, "eng"):
            (tmp_path / f"tatoeba.{code}-eng.{side}").write_text("A\n")
    assert [one.name for one in benchmark("tatoeba").load(tmp_path)] == ["tatoeba/deu", "tatoeba/dtp", "tatoeba/kzj"]
    with pytest.raises(UserError, match=r"tatoeba\.tha-eng"):
        list(benchmark("tatoeba").load(tmp_path, ["th"]))
    (tmp_path / "tatoeba.deu-eng.eng").write_text("Hello.\n", encoding="utf-8")
    with pytest.raises(DataError, match="3 and 1 lines"):
        list(benchmark("tatoeba").load(tmp_path))


def test_afriqa_pools_the_distinct_gold_passages(tmp_path: Path) -> None:
    records = {
        "hau.en": [("Ina?", "A", "in Kano"), ("Wa?", "A", "in Kano"), ("Yaushe?", "B", None)],
        "fon.fr": [("Fitɛ?", "C", "à Abomey")],
    }
    for name, rows in records.items():
        lines = [json.dumps({"question_lang": q, "title": title, "context": text, "id": "0"}) for q, title, text in rows]
        (tmp_path / f"gold_span_passages.afriqa.{name}.test.json").write_text("\n".join(lines), encoding="utf-8")
    one = only("afriqa", tmp_path, None)
    assert one.passage_texts == ["C à Abomey", "A in Kano"]
    assert one.passage_langs == ["fr", "en"]
    assert [answers.tolist() for answers in one.relevant] == [[0], [1], [1], []]
    assert one.query_langs == ["fon", "ha", "ha", "ha"]
    with pytest.raises(UserError, match=r"afriqa\.yor\.\*\.test\.json"):
        only("afriqa", tmp_path, ["ha", "yo"])


def test_miracl_searches_a_language_of_its_own(tmp_path: Path) -> None:
    topics, qrels = (tmp_path / "miracl-v1.0-sw" / one for one in ("topics", "qrels"))
    corpus = tmp_path / "miracl-corpus-v1.0-sw"
    for one in (topics, qrels, corpus):
        one.mkdir(parents=True)
    (topics / "topics.miracl-v1.0-sw-dev.tsv").write_text("7\tNani?\n8\tLini?\n")
    (qrels / "qrels.miracl-v1.0-sw-dev.tsv").write_text("7\tQ0\t1#0\t1\n7\tQ0\t1#1\t0\n7\tQ0\t2#0\t1\n")
    for part, ids in ((0, ["1#0", "1#1"]), (10, ["3#0"]), (2, ["2#0"])):
        lines = [json.dumps({"docid": one, "title": "Kichwa", "text": f"maandishi {one}"}) for one in ids]
        (corpus / f"docs-{part}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    one = only("miracl", tmp_path, None)
    assert one.passage_ids == ["sw/1#0", "sw/1#1", "sw/2#0", "sw/3#0"]
    assert one.passage_texts[0] == "Kichwa maandishi 1#0"
    assert (one.query_ids, [answers.tolist() for answers in one.relevant]) == (["sw/7"], [[0, 2]])
    assert one.left_out == {"queries without a judgement": 1}
    (qrels / "qrels.miracl-v1.0-sw-dev.tsv").write_text("7\tQ0\t9#9\t1\n7\tQ0\t1#0\t1\n")
    with pytest.raises(DataError, match="'9#9', judged relevant, is not in"):
        only("miracl", tmp_path, ["sw"])
    with pytest.raises(UserError, match=r"no miracl-v1\.0-yo"):
        only("miracl", tmp_path, ["sw", "yo"])


def real(name: str) -> Path:
    """A directory of real data; the test is skipped where there is none."""
    directory = shared_directory() / "data" / name
    if not directory.is_dir():
        pytest.skip(f"no {directory}; set XLRET_SHARED to where the real data is")
    return directory


@pytest.mark.slow
def test_xquad_r_has_the_published_number_of_candidates() -> None:
    one = only("xquad-r", real("xquad-r"), None)
    counts = (1222, 1276, 1234, 1180, 1215, 1244, 1219, 852, 1167, 1209, 1196)
    assert one.languages == ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
    assert Counter(one.passage_langs) == dict(zip(one.languages, counts, strict=True))
    assert len(one.passage_ids) == 13_014
    assert set(Counter(one.query_langs).values()) == {1190}
    assert {len(answers) for answers in one.relevant} == {11}
    assert all({one.passage_langs[place] for place in answers} == set(one.languages) for answers in one.relevant[::97])


@pytest.mark.slow
def test_real_tatoeba_and_afriqa_are_read_whole() -> None:
    sets = list(benchmark("tatoeba").load(real("tatoeba")))
    assert len(sets) == 41
    assert sum(len(one.query_ids) == 1000 for one in sets) == 30
    one = only("afriqa", real("afriqa"), None)
    assert Counter(one.query_langs) == {"bem": 309, "fon": 386, "ha": 300, "ig": 409, "rw": 347, "tw": 486, "yo": 254}
