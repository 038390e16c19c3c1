"""Judged test collections are evaluated whole, in every layout, with the numbers that trec_eval gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trec_eval import evaluated, mean, read_qrels, read_run

from xlret.commands.app import main
from xlret.config import settings_from
from xlret.data.prepare import PrepareSettings, prepare
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks.custom import custom_set
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.settings import EvaluateSettings

Qrels = dict[str, dict[str, int]]


def collection(folder: Path, layout: str, seed: int = 0) -> Qrels:
    """Graded, several relevant passages a query, most passages unjudged; q6 has nothing relevant, q7 no judgement at all."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    queries = {f"q{number}": f"question {number}" for number in range(8)}
    passages = {f"d{number}": f"passage {number}" for number in range(40)}
    qrels = {
        query: {f"d{doc}": int(grade) for doc, grade in zip(rng.permutation(40)[:9], rng.integers(0, 4, 9), strict=True)}
        for query in list(queries)[:6]
    }
    for query in qrels:
        qrels[query]["d0"] = 2
    qrels["q6"] = {"d1": 0, "d2": -1}
    langs = {"q": ("en", "de"), "d": ("en", "de", "fi")}

    def lang(name: str) -> str:
        return langs[name[0]][int(name[1:]) % len(langs[name[0]])]

    def records(texts: dict[str, str]) -> str:
        return "".join(json.dumps({"_id": key, "text": text, "lang": lang(key)}) + "\n" for key, text in texts.items())

    pairs = [(query, doc, grade) for query, row in qrels.items() for doc, grade in row.items()]
    if layout == "beir":
        (folder / "qrels").mkdir()
        (folder / "queries.jsonl").write_text(records(queries))
        (folder / "corpus.jsonl").write_text(records(passages))
        lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{doc}\t{grade}" for query, doc, grade in pairs)]
        (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    elif layout == "msmarco":
        (folder / "queries.dev.tsv").write_text("".join(f"{key}\t{text}\n" for key, text in queries.items()))
        (folder / "collection.tsv").write_text("".join(f"{key}\t{text}\n" for key, text in passages.items()))
        (folder / "qrels.dev.tsv").write_text("".join(f"{query}\t0\t{doc}\t{grade}\n" for query, doc, grade in pairs))
    else:
        (folder / "topics.jsonl").write_text(records(queries))
        (folder / "docs.jsonl").write_text(records(passages))
        (folder / "qrels.txt").write_text("".join(f"{query} 0 {doc} {grade}\n" for query, doc, grade in pairs))
    return qrels


@pytest.mark.parametrize(("layout", "options"), [("beir", {}), ("msmarco", {"split": "dev", "lang": "en"}), ("trec", {})])
def test_every_layout_gives_trec_evals_numbers(tmp_path: Path, layout: str, options: dict[str, Any]) -> None:
    qrels = collection(tmp_path / "set", layout)
    retrieval_set = custom_set(tmp_path / "set", **options)
    assert len(retrieval_set.passage_ids) == 40
    assert retrieval_set.query_ids == [f"q{number}" for number in range(7)]
    assert retrieval_set.left_out == {"queries without a judgement": 1}
    rng = np.random.default_rng(1)
    queries, passages = rng.normal(size=(7, 8)).astype(np.float32), rng.normal(size=(40, 8)).astype(np.float32)
    evaluation = evaluate(retrieval_set, queries, passages)
    run = {
        query_id: dict(zip(retrieval_set.passage_ids, (passages @ query).astype(float).tolist(), strict=True))
        for query_id, query in zip(retrieval_set.query_ids, queries, strict=True)
    }
    theirs = evaluated(qrels, run)
    for name in ("mul", "ndcg@10", "mrr@10", "recall@1", "recall@10"):
        expected = {query: row[name] for query, row in theirs.items()}
        assert evaluation.micro_means[name] == pytest.approx(np.mean(list(expected.values())), abs=1e-12)
        for lang in {*retrieval_set.query_langs}:
            mine = [expected[query] for query, own in zip(run, retrieval_set.query_langs, strict=True) if own == lang]
            assert evaluation.by_language[lang][name] == pytest.approx(np.mean(mine), abs=1e-12)
    assert (evaluation.skipped, evaluation.unanswered) == (0, 1)  # q6 counts 0, as in trec_eval
    counts = np.unique([grade for row in qrels.values() for grade in row.values()], return_counts=True)
    assert evaluation.grades == {str(grade): count for grade, count in zip(*map(np.ndarray.tolist, counts), strict=True)}


def test_the_job_writes_grades_and_agrees_with_trec_eval_on_the_collections_own_qrels(
    tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    qrels = collection(tmp_path / "mine", "beir")
    out = tmp_path / "out"
    main(["evaluate", "--encoder", str(encoder), "--benchmark", "custom", "--data", str(tmp_path / "mine"), "--out", str(out)])
    shown = capsys.readouterr().out
    assert "left out: 1 queries without a judgement" in " ".join(shown.split())
    assert "judgements by grade -1: 1, 0: " in " ".join(shown.split())
    assert read_qrels(out / "qrels.trec") == qrels
    evaluation = json.loads((out / "evaluation.json").read_text())
    theirs = evaluated(qrels, read_run(out / "run.trec"))
    for name in ("mul", "ndcg@10"):
        assert evaluation["means"]["micro"][name] == pytest.approx(mean(theirs, name), abs=1e-12)
    (only,) = evaluation["sets"]
    assert only["name"] == "custom/mine"
    assert only["passages"] == 40
    assert only["grades"]["3"] > 0
    assert only["left_out"] == {"queries without a judgement": 1}
    assert set(only["matrices"]) == {"map", "map@20", "ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100"}


def test_languages_choose_queries_and_passages_and_what_goes_is_counted(tmp_path: Path) -> None:
    collection(tmp_path / "set", "beir")
    chosen = custom_set(tmp_path / "set", languages=["de"])
    assert {*chosen.query_langs, *chosen.passage_langs} == {"de"}
    assert chosen.left_out["passages in other languages"] == 40 - len(chosen.passage_ids)
    with pytest.raises(UserError, match="no query and passage in sw are judged together"):
        custom_set(tmp_path / "set", languages=["sw"])


def test_texts_whose_language_nobody_says_are_one_language(tmp_path: Path) -> None:
    collection(tmp_path / "set", "msmarco")
    assert custom_set(tmp_path / "set", split="dev").languages == ("mul",)
    assert custom_set(tmp_path / "set", split="dev", lang="en", passage_lang="de").languages == ("de", "en")


def test_a_squad_file(tmp_path: Path) -> None:
    answers = [{"text": "red", "answer_start": 0}]
    paragraphs = [
        {"context": "red roses", "qas": [{"id": "1", "question": "which roses?", "answers": answers}]},
        {"context": "blue", "qas": [{"id": "2", "question": "what?", "answers": [], "is_impossible": True}]},
    ]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"title": "Roses", "paragraphs": paragraphs}]}))
    retrieval_set = custom_set(path, lang="en")
    assert retrieval_set.passage_texts == ["Roses red roses", "Roses blue"]
    assert [query.passages.tolist() for query in retrieval_set.judged] == [[0]]
    assert retrieval_set.left_out == {"questions that have no answer": 1}


def test_bad_rows_are_an_error_or_counted(tmp_path: Path) -> None:
    collection(tmp_path / "set", "beir")
    with open(tmp_path / "set" / "corpus.jsonl", "a", encoding="utf-8") as file:
        file.write('{"_id": "d99", "text": "x", "lang": "nothing like it"}\n')
    with pytest.raises(DataError, match=r"corpus\.jsonl:41: unknown language code"):
        custom_set(tmp_path / "set")
    counted = custom_set(tmp_path / "set", on_bad_row="skip")
    assert any("corpus.jsonl:41" in reason and count == 1 for reason, count in counted.left_out.items())


def test_a_collection_is_no_corpus_and_a_corpus_no_collection(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    for layout in ("beir", "msmarco", "trec"):
        collection(tmp_path / layout, layout)
        with pytest.raises(UserError, match=f"evaluate on it whole with --benchmark custom --data .*{layout}"):
            main(["evaluate", "--encoder", str(encoder), "--corpus", str(tmp_path / layout)])
    with pytest.raises(UserError, match=r"prepared corpus, .*give it as --corpus"):
        custom_set(corpora / "dev")
    with pytest.raises(UserError, match="split: only for benchmark custom"):
        settings_from(EvaluateSettings, {"corpus": corpora / "dev", "split": "dev"})


def test_a_corpus_made_of_judged_pairs_says_so(tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collection(tmp_path / "mine", "beir")
    read = {"format": "beir", "path": str(tmp_path / "mine"), "split": "test", "lang": "en"}
    list(prepare(settings_from(PrepareSettings, {"output": str(tmp_path / "corpora"), "corpora": {"pairs": {"read": read}}})))
    main(["evaluate", "--encoder", str(encoder), "--corpus", str(tmp_path / "corpora" / "pairs" / "train")])
    shown = " ".join(capsys.readouterr().out.split())
    assert "caution: made of the relevant pairs of a beir collection" in shown
    assert "--benchmark custom --data DIRECTORY" in shown
