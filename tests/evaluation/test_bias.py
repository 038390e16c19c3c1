"""Rank distance, PEER and mean rank correlation by hand, against scipy and against PEER's authors."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ir_measures import Qrel, ScoredDoc
from peer_measure import PEER
from scipy.stats import kruskal, spearmanr

from xlret.evaluation.bias import RankCorrelation, descending, peer, rank_distance


def test_rank_distance_is_last_minus_first_over_all_languages() -> None:
    distances = rank_distance(np.array([1, 0, 1, 0, 1]), np.array([7, 1, 100, 2, 30]), np.array([0, 0, 1, 1, 2]), 3)
    assert distances.tolist()[:2] == [1.0, 93.0]
    assert np.isnan(distances[2])


def test_rank_distance_needs_two_languages() -> None:
    assert np.isnan(rank_distance(np.array([0, 0]), np.array([1, 9]), np.array([3, 3]), 1)[0])


@given(st.integers(0, 2**32 - 1))
def test_peer_is_that_of_its_authors(seed: int) -> None:
    """Raw ranks over the full list, graded and weighted, on full runs: `peer_measure` is their package."""
    rng = np.random.default_rng(seed)
    passages = [f"p{number}" for number in range(40)]
    langs = dict(zip(passages, rng.choice(["en", "de", "th"], 40).tolist(), strict=True))
    run = [ScoredDoc("q", passage, float(-rank)) for rank, passage in enumerate(rng.permutation(passages).tolist())]
    judged = {passage: int(rng.integers(0, 4)) for passage in passages[: rng.integers(1, 15)]}
    judged["p39"] = 0  # theirs fails without one
    weights = {1: 0.2, 2: 0.3, 3: 0.5}
    measure = PEER(weights=weights, lang_mapping=langs) @ 40
    theirs = [metric.value for metric in ir_measures.iter_calc([measure], [Qrel("q", *pair) for pair in judged.items()], run)]
    graded = [(rank, langs[row.doc_id], judged[row.doc_id]) for rank, row in enumerate(run, 1) if judged.get(row.doc_id)]
    ours = peer(*map(list, zip(*graded, strict=True)), weights) if graded else 0.0  # type: ignore[arg-type]
    assert ours == pytest.approx(theirs[0], abs=1e-12)


def test_peer_takes_the_ranks_of_the_list_not_those_among_the_judged() -> None:
    assert peer([1, 2, 3, 1000], ["en", "en", "de", "de"]) > 0.3  # ranks 1 to 4 give .12, and so does the test of scipy
    assert kruskal([1, 2], [3, 1000]).pvalue == pytest.approx(peer([1, 2, 3, 4], ["en", "en", "de", "de"]))


def test_peer_weighs_levels() -> None:
    ranks, langs, levels = [1, 2, 3, 4, 5, 6], ["en", "en", "de", "de", "en", "de"], [2, 2, 2, 2, 1, 1]
    strong, weak = peer(ranks[:4], langs[:4]), peer(ranks[4:], langs[4:])
    assert peer(ranks, langs, levels) == pytest.approx((strong + weak) / 2)
    assert peer(ranks, langs, levels, {1: 0.1, 2: 0.9}) == pytest.approx(0.9 * strong + 0.1 * weak)
    with pytest.raises(ValueError, match="sum to 1"):
        peer(ranks, langs, levels, {1: 0.5, 2: 0.9})


def test_peer_is_one_where_there_is_nothing_to_compare() -> None:
    assert peer([3, 9], ["en", "en"]) == 1
    assert peer([np.inf, np.inf], ["en", "de"]) == 1
    assert peer([], []) == 1


def test_peer_puts_what_was_not_retrieved_behind_the_list() -> None:
    langs = ["en", "en", "de", "de"]
    assert peer([1, np.inf, 2, np.inf], langs, n_ranked=10) == peer([1, 11.5, 2, 11.5], langs)
    assert peer([1, 7, np.inf, np.inf], langs) == peer([1, 7, 8.5, 8.5], langs)


def mrc(rankings: list[list[int]], groups: list[str]) -> float:
    correlation = RankCorrelation(len(rankings[0]))
    for ranking, group in zip(rankings, groups, strict=True):
        scores = np.empty(len(ranking))
        scores[ranking] = -np.arange(len(ranking))
        correlation.add(group, scores)
    return correlation.mean()


def test_rank_correlation_is_spearmans_over_the_whole_pool() -> None:
    rng = np.random.default_rng(0)
    rankings = [rng.permutation(30).tolist() for _ in range(5)]

    def rho(first: int, second: int) -> float:
        return float(spearmanr(np.argsort(rankings[first]), np.argsort(rankings[second])).statistic)

    expected = np.mean([np.mean([rho(0, 1), rho(0, 2), rho(1, 2)]), rho(3, 4)])
    assert mrc(rankings, ["a", "a", "a", "b", "b"]) == pytest.approx(expected, abs=1e-12)


def test_rankings_that_agree_are_not_opposed_because_their_heads_differ() -> None:
    """Half of the pool apart at the head, the rest alike: the two heads by themselves have nothing in common."""
    rest = list(range(10, 60))
    assert mrc([[*range(10), *rest], [*rest[:10], *range(10), *rest[10:]]], ["a", "a"]) > 0.9


def test_rank_correlation_means_over_questions_and_leaves_lonely_ones_out() -> None:
    same, turned, lonely = [[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [2, 1, 0]], [[1, 0, 2]]
    assert mrc(same + turned + lonely, ["a", "a", "b", "b", "c"]) == pytest.approx(0)
    assert np.isnan(mrc(lonely, ["c"]))
    assert mrc([[0], [0]], ["a", "a"]) == 1


@settings(max_examples=100)
@given(
    scores=arrays(
        st.sampled_from([np.float32, np.float64]),
        st.integers(0, 40),
        elements=st.floats(width=32) | st.sampled_from([0.0, -0.0, 0.5, float("inf"), float("-inf"), float("nan"), 1e-45]),
    )
)
def test_descending_is_a_stable_argsort(scores: np.ndarray) -> None:
    before = scores.copy()
    assert np.array_equal(descending(scores), np.argsort(-scores, kind="stable"))
    assert np.array_equal(scores, before, equal_nan=True)
