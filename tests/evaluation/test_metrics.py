"""Every metric by hand, and against trec_eval through pytrec_eval on random runs."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from xlret.evaluation import metrics


def one(function, ranks, relevant, *k):  # type: ignore[no-untyped-def]
    """A metric of a single query."""
    return function(np.zeros(len(ranks), np.int64), np.array(ranks, np.int64), np.array([relevant]), *k)[0]


def test_average_precision_by_hand() -> None:
    assert one(metrics.average_precision, [1, 3, 6], 4) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 4)
    assert one(metrics.average_precision, [6, 1, 3], 4) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 4)  # in any order
    assert one(metrics.average_precision, [], 2) == 0


def test_average_precision_cut_off_divides_by_the_smaller_of_relevant_and_k() -> None:
    assert one(metrics.average_precision, [1, 3, 6], 4, 3) == pytest.approx((1 + 2 / 3) / 3)
    assert one(metrics.average_precision, [1, 3, 6], 4, 20) == pytest.approx((1 + 2 / 3 + 3 / 6) / 4)
    assert one(metrics.average_precision, [1, 2, 3], 30, 3) == 1.0
    assert one(metrics.average_precision, [4], 1, 3) == 0


def ndcg(ranks: list[int], grades: list[float], k: int) -> float:
    """nDCG of a single query."""
    zeros = np.zeros(len(ranks), np.int64)
    return float(metrics.ndcg(zeros, np.array(ranks, np.int64), np.array(grades, np.float64), 1, k)[0])


def test_ndcg_by_hand() -> None:
    ideal = 1 + 1 / np.log2(3)
    assert ndcg([2, 4], [1, 1], 10) == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / ideal)
    assert ndcg([2, 11], [1, 1], 10) == pytest.approx(1 / np.log2(3) / ideal)
    assert ndcg(list(range(1, 51)), [1] * 50, 3) == pytest.approx(1.0)
    assert ndcg([3, 1], [3, 1], 10) == pytest.approx((1 + 3 / 2) / (3 + 1 / np.log2(3)))
    assert ndcg([1, 2], [2, 0.5], 10) == 1


def test_reciprocal_rank_and_recall_by_hand() -> None:
    assert one(metrics.reciprocal_rank, [12, 4], 2, 10) == 0.25
    assert one(metrics.reciprocal_rank, [12], 2, 10) == 0
    assert one(metrics.recall, [1, 10, 11], 4, 10) == 0.5


@pytest.mark.parametrize("function", [metrics.average_precision, metrics.reciprocal_rank, metrics.recall])
def test_a_query_without_relevant_passages_has_no_value(function) -> None:  # type: ignore[no-untyped-def]
    values = function(np.array([1]), np.array([1]), np.array([0, 1]), 10)
    assert np.isnan(values[0])
    assert values[1] == 1
    assert np.isnan(metrics.ndcg(np.array([1]), np.array([1]), np.array([1.0]), 2, 10)[0])


@pytest.mark.parametrize("function", [metrics.average_precision, metrics.reciprocal_rank, metrics.recall])
def test_a_cut_off_below_one_is_refused(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="k is 0"):
        function(np.array([0]), np.array([1]), np.array([1]), 0)


@given(st.integers(0, 2**32 - 1))
def test_against_trec_eval_on_random_runs_with_grades(seed: int) -> None:
    """Grades below 0 too; ranks of what was not retrieved lie behind every cut-off."""
    rng = np.random.default_rng(seed)
    run: dict[str, dict[str, float]] = {}
    qrels: dict[str, dict[str, int]] = {}
    hits: list[tuple[int, int, int, bool]] = []
    for query in range(5):
        ranking = rng.permutation(40)[: rng.integers(1, 41)]
        grade_of = dict(zip(rng.permutation(40).tolist(), rng.integers(-1, 4, rng.integers(1, 41)).tolist(), strict=False))
        grade_of[int(rng.integers(40))] = 2
        run[str(query)] = {f"d{doc}": float(-rank) for rank, doc in enumerate(ranking)}
        qrels[str(query)] = {f"d{doc}": grade for doc, grade in grade_of.items()}
        ranks = {int(doc): rank for rank, doc in enumerate(ranking, 1)}
        hits += [(query, ranks.get(doc, 999), grade, doc in ranks) for doc, grade in grade_of.items() if grade > 0]
    names = {"map", "map_cut.7", "ndcg_cut.10", "recip_rank", "recall.10", "recall.1"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)
    query_N, rank_N, grade_N, retrieved = map(np.array, zip(*hits, strict=True))
    relevant_Q = np.bincount(query_N, minlength=5)
    flat = (query_N[retrieved], rank_N[retrieved], relevant_Q)
    rescale = relevant_Q / np.minimum(relevant_Q, 7)  # theirs divides by R, XTREME-R by min(R, k)
    ours = {
        "map": metrics.average_precision(*flat),
        "map_cut_7": metrics.average_precision(*flat, 7) / rescale,
        "ndcg_cut_10": metrics.ndcg(query_N, rank_N, grade_N.astype(np.float64), 5, 10),
        "recip_rank": metrics.reciprocal_rank(*flat, 40),
        "recall_10": metrics.recall(*flat, 10),
        "recall_1": metrics.recall(*flat, 1),
    }
    for name, values in ours.items():
        np.testing.assert_allclose(values, [theirs[str(query)][name] for query in range(5)], atol=1e-12, rtol=0, err_msg=name)


@given(st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=20), st.integers(1, 70))
def test_values_stay_between_zero_and_one_and_a_perfect_ranking_has_one(ranks: list[int], k: int) -> None:
    perfect = list(range(1, len(ranks) + 1))
    assert 0 <= ndcg(ranks, [1] * len(ranks), k) <= 1 + 1e-12
    assert ndcg(perfect, [1] * len(ranks), k) == pytest.approx(1)
    for function in (metrics.average_precision, metrics.reciprocal_rank, metrics.recall):
        assert 0 <= one(function, ranks, len(ranks), k) <= 1 + 1e-12
    for function in (metrics.average_precision, metrics.reciprocal_rank):
        assert one(function, perfect, len(ranks), k) == pytest.approx(1)
