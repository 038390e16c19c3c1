"""Reranking what BM25 has found: mMARCO's runs, our own, and the numbers that count what BM25 misses."""

import json
from pathlib import Path

import numpy as np
import pytest
from public_files import answers, single, write

from xlret.commands.app import main
from xlret.errors import DataError, UserError
from xlret.evaluation.baselines.bm25 import best_by_bm25
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.measure import Method, measure
from xlret.evaluation.rerank import reranking

FILES = {
    "qrels.dev.small.tsv": "7\t0\t20\t1\n8\t0\t30\t1\n",
    "google/queries/dev/english_queries.dev.small.tsv": "7\twhat flows\n8\twho\n9\tunjudged\n",
    "google/queries/dev/german_queries.dev.small.tsv": "7\twas fliesst\n8\twer\n",
    "google/collections/english_collection.tsv": "10\twhat is still\n20\tit flows\n30\tnobody\n40\tfar away\n",
    "google/collections/german_collection.tsv": "10\twas steht\n20\tes fliesst\n30\tniemand\n40\tweit weg\n",
}
RUN = "7\t10\t1\n7\t20\t2\n8\t10\t1\n"


def test_candidates_are_those_of_the_run_in_all_languages_and_what_it_misses_counts(tmp_path: Path) -> None:
    runs = {f"google/runs/run.bm25_{name}-msmarco.txt": RUN for name in ("english", "german")}
    write(tmp_path / "data", FILES | runs)
    retrieval_set = single("mmarco-rerank", tmp_path, ["de", "en"])
    candidates = dict(zip(retrieval_set.query_ids, retrieval_set.candidates, strict=True))
    ids = retrieval_set.passage_ids
    assert [ids[row] for row in candidates["de/7"]] == ["de/10", "en/10", "de/20", "en/20"]
    assert "en/40" not in ids
    assert answers(retrieval_set)["en/8"] == ["de/30", "en/30"]  # judged, never ranked
    assert retrieval_set.left_out == {
        "queries without a judgement": 1,
        "questions of which BM25 finds no relevant passage, which count 0": 2,
    }
    vectors = np.ones((len(ids), 2), np.float32)
    vectors[[ids.index("de/20"), ids.index("en/20")]] = 2
    evaluation = evaluate(retrieval_set, np.ones((4, 2), np.float32), vectors, depth=6)
    assert evaluation.pooled["mrr@10"] == 0.5  # 1 for question 7, 0 for 8
    assert evaluation.matrices["mrr@10"]["de"]["en"] == 0.5
    assert evaluation.skipped == evaluation.unanswered == 0
    assert (evaluation.retrieved.top_QK[1] >= 0).sum() == 2  # question 8 has two candidates


def test_without_a_run_our_own_bm25_chooses(tmp_path: Path) -> None:
    write(tmp_path / "data", FILES | {"google/runs/run.bm25_german-msmarco.txt": "7 Q0 20 1 9.5 bm25\n"})
    retrieval_set = single("mmarco-rerank", tmp_path, ["de", "en"])
    candidates = dict(zip(retrieval_set.query_ids, retrieval_set.candidates, strict=True))
    assert {retrieval_set.passage_ids[row] for row in candidates["en/7"]} == {"de/10", "en/10", "de/20", "en/20"}
    assert [retrieval_set.passage_ids[row] for row in candidates["de/7"]] == ["de/20", "en/20"]
    assert len(candidates["en/8"]) == 0  # no word in common
    assert best_by_bm25(["b"], ["a", "b c", "b", ""], "en", 1)[0].tolist() == [2]
    assert best_by_bm25(["b"], ["", ""], "en", 1)[0].tolist() == []
    write(tmp_path / "data", {"google/runs/run.bm25_german-msmarco.txt": "7 20\n"})
    with pytest.raises(DataError, match=r"msmarco\.txt:1: not a line of a run"):
        single("mmarco-rerank", tmp_path, ["de"])


def test_a_reranker_orders_candidates_a_run_or_a_baseline(tmp_path: Path) -> None:
    write(tmp_path / "data", FILES | {"google/runs/run.bm25_english-msmarco.txt": RUN})
    retrieval_set = single("mmarco-rerank", tmp_path, ["en"])

    seen: list[tuple[str, str]] = []

    class Reranker:
        def score(self, pairs: list[tuple[str, str]], **_: object) -> np.ndarray:
            seen.extend(pairs)
            return np.array([float("flows" in text) for _, text in pairs], np.float32)

    measured = measure(None, retrieval_set, Method(reranker=Reranker(), rerank_depth=1000))  # type: ignore[arg-type]
    assert measured.rankings["first ranking"].pooled["mrr@10"] == 0.25
    assert measured.evaluation.pooled["mrr@10"] == 0.5
    assert sorted(seen) == [("what flows", "it flows"), ("what flows", "what is still"), ("who", "what is still")]
    run = tmp_path / "run.trec"
    run.write_text("en/7 Q0 en/10 1 2.0 x\nen/7 Q0 en/20 2 1.0 x\n")
    whole = single("mmarco", tmp_path, ["en"])
    for method in (Method(run=run, reranker=Reranker()), Method(baseline="bm25", reranker=Reranker())):  # type: ignore[arg-type]
        measured = measure(None, whole, method)
        assert list(measured.rankings) == ["first ranking", "reranked"]
        assert measured.evaluation.pooled["mrr@10"] == 0.5
    with pytest.raises(UserError, match="a reranker needs a ranking to begin with"):
        measure(None, whole, Method(reranker=Reranker()))  # type: ignore[arg-type]
    new = reranking(whole, Reranker().score, 2)
    scores = new(np.array([0]), np.full((1, 4), -np.inf, np.float32), {"en": slice(0, 4)})
    assert np.isinf(scores).all()  # nothing retrieved, nothing reranked


def test_the_command_reranks_with_an_encoder(tmp_path: Path, encoder: Path) -> None:
    write(tmp_path / "data", FILES | {"google/runs/run.bm25_english-msmarco.txt": RUN})
    arguments = ["evaluate", "--encoder", str(encoder), "--benchmark", "mmarco-rerank", "--data", str(tmp_path)]
    assert main([*arguments, "--languages", "en", "--out", str(tmp_path / "out")]) == 0
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert 0.25 <= values["mrr@10"] <= 0.5
    assert values["sets"][0]["left_out"]["questions of which BM25 finds no relevant passage, which count 0"] == 1
    assert len((tmp_path / "out" / "run.trec").read_text().splitlines()) == 3
