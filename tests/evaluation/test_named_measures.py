"""Measures by their names in ir_measures: equal to the library's on graded judgements, and by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ir_measures
import numpy as np
import pytest

from xlret.errors import UserError
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.named_measures import named_measures
from xlret.evaluation.sets import Judgements, RetrievalSet, relevant_of

NAMES = [
    *("AP", "AP@3", "AP(rel=2)@100", "AP(rel=3)", "nDCG", "nDCG@5", "nDCG@20", "P@5", "P(rel=2)@3", "R@2", "R(rel=2)@10"),
    *("RR", "RR@2", "RR(rel=2)", "Rprec", "Rprec(rel=2)", "Success@1", "Success(rel=2)@5"),
    *("Bpref", "infAP", "Judged@4", "Judged@20", "IPrec@0.5", "nDCG(judged_only=True)@5"),
]


def graded(made: Callable[..., Any], seed: int) -> tuple[RetrievalSet, Any, Any]:
    """A made set with ties in which each query has judgements from -1 to 3, or none at all."""
    plain, queries, passages = made(seed, groups=20)
    rng = np.random.default_rng(seed)
    judgements = []
    for row in range(len(queries)):
        judged = np.sort(rng.permutation(len(passages))[: rng.integers(1, 12)]) if row % 9 else np.empty(0, np.int64)
        judgements.append(Judgements(judged, rng.integers(0, 4, len(judged)).astype(np.float64)))
    return replace(plain, judgements=judgements, relevant=relevant_of(judgements)), queries, passages


@pytest.mark.parametrize("seed", range(3))
def test_every_measure_is_the_librarys(made: Callable[..., Any], seed: int) -> None:
    retrieval_set, queries, passages = graded(made, seed)
    measures = named_measures(NAMES)
    evaluation = evaluate(retrieval_set, queries, passages, measures=measures)
    run, qrels = {}, {}
    for row, query in enumerate(retrieval_set.judgements):
        ranking = sorted(range(len(passages)), key=lambda p: (-float(queries[row] @ passages[p]), p))
        run[str(row)] = {str(passage): float(-rank) for rank, passage in enumerate(ranking)}
        if len(query.passages):
            qrels[str(row)] = {str(p): int(grade) for p, grade in zip(*query, strict=True)}
    expected: dict[str, dict[int, float]] = {}
    for value in ir_measures.iter_calc(list(map(ir_measures.parse_measure, NAMES)), qrels, run):
        expected.setdefault(str(value.measure), {})[int(value.query_id)] = value.value
    assert expected.keys() == set(evaluation.measures) == {measure.name for measure in measures}
    for name, by_query in expected.items():
        values = evaluation.values_Q[name]
        assert set(np.flatnonzero(~np.isnan(values)).tolist()) == by_query.keys(), name
        np.testing.assert_allclose(values[list(by_query)], list(by_query.values()), atol=1e-9, err_msg=name)
        assert evaluation.micro_means[name] == pytest.approx(np.mean(list(by_query.values())))
    assert sum(measure.of_hits is not None for measure in measures) == 18


def test_gains_and_thresholds_by_hand() -> None:
    judgements = [Judgements(np.array([0, 1, 2]), np.array([1.0, 3.0, 0.0]))]
    retrieval_set = RetrievalSet(
        "hand", ("en",), ["q"], ["en"], [""], list("abcd"), ["en"] * 4, [""] * 4, relevant_of(judgements), judgements=judgements
    )
    scores = np.array([[4, 2, 3, 1]], np.float32)  # a c b d: grades 1 0 3 -
    names = ["nDCG@3", "nDCG(dcg='exp-log2')@3", "AP(rel=2)", "AP(rel=2)@2", "RR(rel=3)", "P@10", "AP(rel=4)"]
    values = evaluate(retrieval_set, scores, np.eye(4, dtype=np.float32), measures=named_measures(names)).pooled
    discount = 1 / np.log2(3)
    assert values["nDCG@3"] == pytest.approx((1 + 3 / 2) / (3 + discount))
    assert values["nDCG(dcg='exp-log2')@3"] == pytest.approx((1 + 7 / 2) / (7 + discount))
    assert [values[name] for name in names[2:]] == pytest.approx(
        [1 / 3, 0, 1 / 3, 0.2, 0]
    )  # nothing is graded 4: 0, as trec_eval


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ndgc@10", "unknown measure 'ndgc@10'"),
        ("nDCG@0", "cut-off is 0"),
        ("AP(rel=0)", "rel 0; allowed is 1"),
        ("AP(rel=", "unknown measure"),
        ("P", "needs a cut-off, such as P@10"),
        ("", "unknown measure"),
        ("RBP(p=0.8)", "'RBP(p=0.8)' cannot be computed here: .* cwl-eval"),
    ],
)
def test_what_is_no_measure_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(").replace(")", r"\)")):
        named_measures([name])


def test_grades_that_are_not_whole_fit_no_measure_of_the_library(made: Callable[..., Any]) -> None:
    retrieval_set, queries, passages = graded(made, 1)
    judgements = [Judgements(query.passages, query.grades + 0.5) for query in retrieval_set.judgements]
    halved = replace(retrieval_set, judgements=judgements, relevant=relevant_of(judgements))
    assert evaluate(halved, queries, passages, measures=named_measures(["nDCG@5"])).pooled["nDCG@5"] > 0
    with pytest.raises(UserError, match=r"Bpref needs whole grades; this set has \d\.5"):
        evaluate(halved, queries, passages, measures=named_measures(["Bpref"]))
