"""BM25, TREC runs and their fusion: against the formula, other packages and by hand; short, tied and ill-fitting runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest

from xlret.commands.app import main
from xlret.errors import DataError, UserError
from xlret.evaluation.baselines.bm25 import bm25, words_of
from xlret.evaluation.baselines.fusion import fused
from xlret.evaluation.baselines.trec_run import read_run, trec_run
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.measure import Method, measure
from xlret.evaluation.named_measures import named_measures
from xlret.evaluation.retrieve import Reorder
from xlret.evaluation.sets import RetrievalSet
from xlret.evaluation.trec import write_qrels, write_run

PASSAGES = {
    "en": ["Oslo is a city.", "The city of Rome, a city.", "Rain in May 2024"],
    "de": ["Oslo ist eine Stadt", "Regen im Mai 2024 und 2023"],
    "th": ["ฝนตกที่กรุงเทพ"],
}
QUERIES = [("en", "a city in Oslo"), ("de", "Regen 2024"), ("th", "กรุงเทพ"), ("en", "nothing known")]
RELEVANT = [[0, 3], [4, 2], [5], [1]]


def small_set() -> RetrievalSet:
    passages = [(lang, text) for lang, texts in PASSAGES.items() for text in texts]
    return RetrievalSet(
        "small",
        ("de", "en", "th"),
        [f"q{row}" for row in range(len(QUERIES))],
        [lang for lang, _ in QUERIES],
        [text for _, text in QUERIES],
        [f"p {row}" for row in range(len(passages))],
        [lang for lang, _ in passages],
        [text for _, text in passages],
        [np.array(sorted(rows), np.int64) for rows in RELEVANT],
    )


def evaluated(retrieval_set: RetrievalSet, reorder: Reorder, **options: Any) -> Evaluation:
    zeros = [np.zeros((len(ids), 1), np.float32) for ids in (retrieval_set.query_ids, retrieval_set.passage_ids)]
    return evaluate(retrieval_set, *zeros, depth=10, reorder=reorder, **options)


def formula(query: list[str], passages: list[list[str]]) -> list[float]:
    """Lucene's BM25 with k1 = 1.5 and b = .75."""
    mean_length = sum(map(len, passages)) / len(passages)
    scores = []
    for words in passages:
        score = 0.0
        for term in query:
            having = sum(term in other for other in passages)
            count = words.count(term)
            if count:
                idf = log(1 + (len(passages) - having + 0.5) / (having + 0.5))
                score += idf * count / (count + 1.5 * (1 - 0.75 + 0.75 * len(words) / mean_length))
        scores.append(score)
    return scores


@pytest.mark.parametrize("statistics", ["bm25", "bm25-pooled"])
def test_bm25_is_the_formula_with_the_statistics_of_each_language_or_of_all(statistics: Any) -> None:
    retrieval_set = small_set()
    retrieved = evaluated(retrieval_set, bm25(retrieval_set, statistics)).retrieved
    terms = [words_of(text, lang) for text, lang in zip(retrieval_set.passage_texts, retrieval_set.passage_langs, strict=True)]
    for row, (lang, text) in enumerate(QUERIES):
        expected = np.zeros(len(terms))
        parts = {lang: [p for p, other in enumerate(retrieval_set.passage_langs) if other == lang] for lang in PASSAGES}
        for members in parts.values() if statistics == "bm25" else [list(range(len(terms)))]:
            expected[members] = formula(words_of(text, lang), [terms[p] for p in members])
        order = [p for p in sorted(range(len(terms)), key=lambda p: (-expected[p], p)) if expected[p]]
        assert [p for p in retrieved.top_QK[row].tolist() if p >= 0] == order, text
        np.testing.assert_allclose(retrieved.top_scores_QK[row, : len(order)], expected[order], rtol=1e-5)


def test_words_of_any_script() -> None:
    assert words_of("Straße, 3rd-floor ИВАН", "de") == ["straße", "3rd", "floor", "иван"]
    assert words_of("IŞIK", "tr") == ["ışık"]
    assert words_of("ฝนตกที่กรุงเทพ", "th")[-1] == "กรุงเทพ"  # cut where nothing separates words
    assert words_of("", "en") == []


def test_queries_without_a_known_word_and_short_rankings_are_said() -> None:
    retrieval_set = small_set()
    evaluation = evaluated(retrieval_set, bm25(retrieval_set, "bm25"), measures=named_measures(["AP", "P@1", "Judged@5"]))
    assert evaluation.short["fewer than 1"] == 1
    assert evaluation.short["fewer than 10"] == 4  # no query matches all six passages
    assert evaluation.values_Q["mul"][3] == pytest.approx(0, abs=1e-9)  # not retrieved: no credit for standing somewhere
    assert evaluation.values_Q["recall@100"].tolist() == [1, 1, 1, 0]
    assert evaluation.values_Q["Judged@5"].tolist()[2:] == [1, 0]  # one result, judged; no result


def test_a_run_has_the_numbers_that_trec_eval_gives_it(tmp_path: Path, made: Callable[..., Any]) -> None:
    retrieval_set, queries, passages = made(2, groups=20, ties=False)
    whole = evaluate(retrieval_set, queries, passages, depth=30)
    write_run(tmp_path / "run.trec", retrieval_set, whole.retrieved, depth=7)
    write_qrels(tmp_path / "qrels.trec", retrieval_set)
    lines = (tmp_path / "run.trec").read_text().splitlines()
    (tmp_path / "run.trec").write_text("\n".join(line for line in lines if not line.startswith("q3/de ")))
    run = trec_run(tmp_path / "run.trec", retrieval_set)
    assert run.left_out == {"queries that the run lacks, which count 0": 1}
    names = ["AP", "nDCG@10", "R@5", "RR", "P@5", "Bpref", "AP@5"]
    evaluation = evaluated(retrieval_set, run.reorder, measures=named_measures(names))
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels.trec")))
    theirs = ir_measures.calc_aggregate(
        list(map(ir_measures.parse_measure, names)), qrels, list(ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    )
    for measure_, value in theirs.items():
        assert evaluation.micro_means[str(measure_)] == pytest.approx(value, abs=1e-9), measure_
    assert evaluation.short == {"fewer than 1": 1, "fewer than 10": 60, "fewer than 100": 60, "fewer than 1,000": 60}
    write_run(tmp_path / "again.trec", retrieval_set, evaluation.retrieved)
    again = read_run(tmp_path / "again.trec")
    assert {query: list(row) for query, row in again.items()} == {
        query: list(row) for query, row in read_run(tmp_path / "run.trec").items()
    }


def test_what_does_not_fit_in_a_run_is_counted_or_named(tmp_path: Path) -> None:
    retrieval_set, path = small_set(), tmp_path / "run.trec"
    path.write_text("q0 Q0 p%200 1 2.5 x\nq0 Q0 unknown 2 2 x\nq9 Q0 p%200 1 1 x\n")
    assert trec_run(path, retrieval_set).left_out == {
        "queries of the run that the set lacks": 1,
        "passages of the run that the set lacks": 1,
        "queries that the run lacks, which count 0": 3,
    }
    for content, message in (
        ("q0 Q0 p%200 1 nan x\n", "score 'nan'; scores must be finite"),
        ("q0 Q0 p%200 1 high x\n", "score 'high' is not a number"),
        ("q0 Q0 p%200 1 1 x\nq0 Q0 p%200 2 0 x\n", r"run\.trec:2: passage 'p%200' is there twice for query 'q0'"),
        ("q0 p%200 1\n", "3 columns; a run has six"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            trec_run(path, retrieval_set)
    path.write_text("other Q0 p%200 1 1 x\n")
    with pytest.raises(UserError, match="names no query of small; its ids are such as 'other'"):
        trec_run(path, retrieval_set)


def test_ties_are_counted(tmp_path: Path) -> None:
    retrieval_set, path = small_set(), tmp_path / "run.trec"
    path.write_text("q0 Q0 p%201 1 1 x\nq0 Q0 p%200 2 1 x\nq1 Q0 p%204 1 1 x\n")
    evaluation = evaluated(retrieval_set, trec_run(path, retrieval_set).reorder)
    assert evaluation.tied == 1
    assert evaluation.retrieved.top_QK[0, :2].tolist() == [0, 1]


def test_reciprocal_ranks_by_hand(tmp_path: Path) -> None:
    retrieval_set = small_set()
    orders = {"one": [0, 1, 2], "two": [2, 0]}
    for name, order in orders.items():
        lines = [f"q0 Q0 p%20{passage} {rank} {-rank} x\n" for rank, passage in enumerate(order, 1)]
        (tmp_path / name).write_text("".join(lines))
    runs = [trec_run(tmp_path / name, retrieval_set).reorder for name in orders]
    retrieved = evaluated(retrieval_set, fused(runs, with_vectors=False)).retrieved
    expected = {0: 1 / 61 + 1 / 62, 2: 1 / 63 + 1 / 61, 1: 1 / 62}
    assert retrieved.top_QK[0].tolist() == [0, 2, 1, -1, -1, -1]
    np.testing.assert_allclose(retrieved.top_scores_QK[0, :3], list(expected.values()), rtol=1e-6)
    assert retrieved.length_Q.tolist() == [3, 0, 0, 0]


def test_a_corpus_of_one_passage() -> None:
    one = replace(small_set(), passage_ids=["p"], passage_langs=["en"], passage_texts=["Oslo"], relevant=[np.array([0])] * 4)
    evaluation = measure(None, one, Method(baseline="bm25", depth=10)).evaluation
    assert evaluation.values_Q["mul"][0] == 1
    assert evaluation.pool == {}
    assert evaluation.short == {"fewer than 1": 3, "fewer than 10": 3, "fewer than 100": 3, "fewer than 1,000": 3}


def test_the_command_measures_words_alone_and_fused(
    tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--corpus", str(corpora / "dev"), "--languages", "en", "de"]
    assert main(["evaluate", "--baseline", "bm25", *arguments, "--out", str(tmp_path / "words")]) == 0
    assert main(["evaluate", "--encoder", str(encoder), *arguments, "--out", str(tmp_path / "dense")]) == 0
    capsys.readouterr()
    both = ["--encoder", str(encoder), "--baseline", "bm25", *arguments]
    assert main(["evaluate", *both, "--out", str(tmp_path / "both"), "--run-depth", "0"]) == 0
    assert "before and after it is fused" in capsys.readouterr().out
    words, dense, fusion = (
        json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("words", "dense", "both")
    )
    assert words["encoder"] == "bm25"
    assert fusion["encoder"] == f"{encoder} + bm25"
    assert len({each["mul"] for each in (words, dense, fusion)}) == 3
    again = ["evaluate", "--run", str(tmp_path / "words"), *arguments, "--out", str(tmp_path / "run"), "--run-depth", "0"]
    assert main(again) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["mul"] == pytest.approx(words["mul"], abs=1e-9)
    with pytest.raises(UserError, match="nothing to evaluate"):
        main(["evaluate", *arguments])
    with pytest.raises(UserError, match="rankings of their own; leave balance out"):
        main(["evaluate", "--baseline", "bm25", "--balance", "quota", *arguments])
    with pytest.raises(UserError, match="debias changes the vectors"):
        main(["evaluate", "--baseline", "bm25", "--debias", "centre", *arguments])
