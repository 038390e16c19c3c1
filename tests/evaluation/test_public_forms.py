"""Benchmarks in the exact form of their published files, made small by hand; copies on the hub: test_hub_copies.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from public_files import answers, single, write

from xlret.commands.app import main
from xlret.data import texts_on_disk
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks import BENCHMARKS
from xlret.evaluation.sets import set_fingerprint
from xlret.text.languages import language


def test_all_say_what_they_are() -> None:
    for about in BENCHMARKS.values():
        assert all(language(lang) == lang for lang in about.languages)
        assert about.name == "custom" or about.citation.startswith("@")
        assert about.hub or about.by_hand or about.name == "custom"
        for repository in about.hub:
            assert repository.revision is None or len(repository.revision) == 40
            assert repository.revision is None or repository.revision in about.revision
            assert list(repository.files(about.languages[:2]))


def test_belebele_is_one_pool_of_parallel_passages(tmp_path: Path) -> None:
    def row(link: str, number: int, dialect: str) -> dict[str, Any]:
        return {
            "link": link,
            "question_number": number,
            "flores_passage": f"{dialect} {link} ",
            "question": f"{dialect}{number}?",
        }

    write(
        tmp_path,
        {
            "data/eng_Latn.jsonl": [row("u/1", 1, "eng"), row("u/1", 2, "eng"), row("u/2", 1, "eng")],
            "data/deu_Latn.jsonl": [row("u/1", 1, "deu"), row("u/1", 2, "deu"), row("u/2", 1, "deu")],
        },
    )
    retrieval_set = single("belebele", tmp_path, ["en", "de"])
    assert retrieval_set.passage_texts == ["deu u/1", "deu u/2", "eng u/1", "eng u/2"]
    assert answers(retrieval_set)["en/u/1#2"] == ["de/u/1", "en/u/1"]
    assert retrieval_set.query_groups[0] == retrieval_set.query_groups[3] == "u/1#1"
    write(tmp_path, {"data/eng_Latn.jsonl": [row("u/1", 1, "eng"), row("u/1", 2, "ENG")]})
    with pytest.raises(DataError, match=r"eng_Latn\.jsonl:2: not of Belebele's form: .*twice in en, with different texts"):
        single("belebele", tmp_path, ["en"])
    write(tmp_path, {"data/eng_Latn.jsonl": [row("u/1", 1, "eng"), row("u/1", 1, "eng")]})
    with pytest.raises(DataError, match="query 'en/u/1#1' is there twice"):
        single("belebele", tmp_path, ["en"])
    with pytest.raises(UserError, match=r"no data/fra_Latn\.jsonl or fra_Latn"):
        single("belebele", tmp_path, ["fr"])


def test_mlqa_finds_the_paragraph_in_every_language_that_has_the_question(tmp_path: Path) -> None:
    def squad(context: str, *ids: str) -> str:
        qas = [{"id": each, "question": f"{each}?", "answers": [{"text": "x", "answer_start": 0}]} for each in ids]
        return json.dumps({"data": [{"title": "T", "paragraphs": [{"context": context, "qas": qas}]}]})

    write(
        tmp_path / "MLQA_V1" / "test",
        {
            "test-context-en-question-en.json": squad("English text", "q1", "q2"),
            "test-context-de-question-de.json": squad("Deutscher Text", "q1"),
        },
    )
    retrieval_set = single("mlqa", tmp_path, ["de", "en"])
    assert retrieval_set.passage_texts == ["T Deutscher Text", "T English text"]
    assert answers(retrieval_set) == {
        "de/q1": ["de/de:0", "en/en:0"],
        "en/q1": ["de/de:0", "en/en:0"],
        "en/q2": ["en/en:0"],
    }


def test_mmarco_has_common_ids_in_all_languages_and_its_texts_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "data",
        {
            "qrels.dev.small.tsv": "7\t0\t20\t1\n",
            "google/queries/dev/english_queries.dev.small.tsv": "7\twhat\n8\twho\n",
            "google/queries/dev/german_queries.dev.small.tsv": "7\twas\n8\twer\n",
            "google/collections/english_collection.tsv": "10\tno\n20\tyes\n",
            "google/collections/german_collection.tsv": "10\tnein\n20\tja\n",
        },
    )
    retrieval_set = single("mmarco", tmp_path, ["de", "en"])
    assert answers(retrieval_set) == {"de/7": ["de/20", "en/20"], "en/7": ["de/20", "en/20"]}
    assert retrieval_set.passage_texts == ["nein", "ja", "no", "yes"]
    assert retrieval_set.left_out == {"queries without a judgement": 2}
    monkeypatch.setattr(texts_on_disk, "IN_MEMORY", 4)
    large = single("mmarco", tmp_path, ["de", "en"])
    assert isinstance(large.passage_texts, texts_on_disk.TextsOnDisk)
    assert set_fingerprint(large) == set_fingerprint(retrieval_set)
    write(tmp_path / "data", {"google/collections/german_collection.tsv": "10\tnein\n10\tnein\n"})
    with pytest.raises(DataError, match="passage '10' is there twice in de"):
        single("mmarco", tmp_path, ["de"])


def test_neuclir_keeps_the_grades_over_one_pool(tmp_path: Path) -> None:
    topic = {"lang": "eng", "source": "original", "topic_title": "Flood", "topic_description": "Where?"}
    write(
        tmp_path,
        {
            "topics.0720.utf8.jsonl": [
                {"topic_id": "1", "topics": [{"lang": "rus", "topic_title": "Наводнение"}, topic]},
                {"topic_id": "2", "topics": [topic]},
            ],
            "2022-qrels.fas": "1 0 f1 3\n1 0 f2 0\n",
            "2022-qrels.rus": "1 0 r1 1\n2 0 r9 3\n",
            "data/fas-00000-of-00001.jsonl.gz": [{"id": f"f{n}", "title": "t", "text": "متن", "url": ""} for n in (1, 2)],
            "data/rus-00000-of-00001.jsonl.gz": [{"id": "r1", "title": "t", "text": "текст", "url": ""}],
        },
    )
    retrieval_set = single("neuclir", tmp_path, ["fa", "ru"])
    assert retrieval_set.query_texts == ["Flood Where?"]
    assert dict(
        zip(retrieval_set.judgements[0].passages.tolist(), retrieval_set.judgements[0].grades.tolist(), strict=True)
    ) == {
        0: 3,
        1: 0,
        2: 1,
    }
    assert retrieval_set.passage_langs == ["fa", "fa", "ru"]
    assert retrieval_set.left_out["judgements of passages that are not there"] == 1
    write(tmp_path, {"topics.0720.utf8.jsonl": [{"topic_id": "1", "topics": []}]})
    with pytest.raises(DataError, match="not a topic with an English version"):
        single("neuclir", tmp_path, ["fa"])


def test_xtreme_up_searches_its_index(tmp_path: Path) -> None:
    folder = tmp_path / "retrieval_cross_lang"
    passage = {"title": "Oslo", "context": "A city."}
    write(
        folder,
        {
            "index.jsonl": [{"id": "i1", "title": "Rome", "context": "Another."}, {"id": "i2", **passage}],
            "test/hi.jsonl": [{"id": "q1", "question": "कहाँ?", **passage}],
            "test/brx.jsonl": [{"id": "q1", "question": "बहा?", "title": "Bodo", "context": "Not indexed."}],
        },
    )
    retrieval_set = single("xtreme-up", tmp_path, ["hi", "brx"])
    assert answers(retrieval_set) == {"brx/q1": ["en/2"], "hi/q1": ["en/1"]}
    assert retrieval_set.left_out == {"passages of questions that the index lacks, which are searched all the same": 1}


def test_mewsli_x_marks_the_mention_in_its_sentence(tmp_path: Path) -> None:
    text = "Zuerst. Die Flagge von Nepal wurde gehisst."
    span = {"start": text.index("Flagge"), "end": text.index(" wurde"), "text": "Flagge von Nepal"}
    article = {
        "context": {
            "document_id": "d",
            "document_title": "T",
            "document_url": "",
            "language": "de",
            "text": text,
            "sentence_spans": [{"start": 0, "end": 7}, {"start": 8, "end": len(text)}],
        },
        "mentions": [{"example_id": "e1", "entity_id": "Q2", "mention_span": span}],
    }
    entities = [
        {"entity_id": "Q1", "title": "Непал", "description": "Держава.", "description_language": "uk", "sentence_spans": []},
        {"entity_id": "Q2", "title": "Flag", "description": "Of Nepal.", "description_language": "en", "sentence_spans": []},
    ]
    write(tmp_path, {"candidate_set_entities.jsonl": entities, "wikinews_mentions-test.jsonl": [article]})
    retrieval_set = single("mewsli-x", tmp_path)
    assert retrieval_set.query_texts == ["Die [ Flagge von Nepal ] wurde gehisst."]
    assert answers(retrieval_set) == {"de/e1": ["en/Q2"]}
    write(tmp_path, {"wikinews_mentions-test.jsonl": [article | {"context": article["context"] | {"text": ""}}]})  # type: ignore[operator]
    with pytest.raises(DataError, match="is the text filled in"):
        single("mewsli-x", tmp_path)


def test_swim_irs_cut_depends_on_passages_alone(tmp_path: Path) -> None:
    records = [
        {"_id": str(n), "lang": "Thai", "code": "th", "query": f"q{n}", "title": f"t{n // 2}", "text": "x"} for n in range(2400)
    ]
    write(tmp_path, {"th/train-00000-of-00001.parquet": records, "fi/train-00000-of-00001.parquet": records[::-1]})
    retrieval_set = single("swim-ir", tmp_path, ["fi", "th"])
    assert len(retrieval_set.query_ids) == 2000
    assert len(retrieval_set.passage_ids) == 500  # two questions each, shared by both languages
    assert [query_id[3:] for query_id in retrieval_set.query_ids[:1000]] == [
        each[3:] for each in retrieval_set.query_ids[1000:]
    ]


def test_the_list_of_benchmarks(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "xquad-r").mkdir(parents=True)
    monkeypatch.setenv("XLRET_SHARED", str(tmp_path))
    assert main(["benchmarks"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in BENCHMARKS)
    assert next(line for line in shown.splitlines() if line.startswith("xquad-r")).endswith(
        " $XLRET_SHARED/data/xquad-r (0.0 MB)"
    )
    assert main(["benchmarks", "ciral"]) == 0
    assert BENCHMARKS["ciral"].citation in capsys.readouterr().out
    assert main(["benchmarks", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == list(BENCHMARKS)
    with pytest.raises(UserError, match="unknown benchmark 'squad'"):
        main(["benchmarks", "squad"])
