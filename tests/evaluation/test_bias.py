"""Rank distance, PEER and mean rank correlation by hand and against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kruskal, spearmanr

from xlret.evaluation.bias import mean_rank_correlation, peer, rank_distance


def test_rank_distance_is_last_minus_first_over_all_languages() -> None:
    distances = rank_distance(np.array([1, 0, 1, 0, 1]), np.array([7, 1, 100, 2, 30]), np.array([0, 0, 1, 1, 2]), 3)
    assert distances.tolist()[:2] == [1.0, 93.0]
    assert np.isnan(distances[2])


def test_rank_distance_needs_two_languages() -> None:
    assert np.isnan(rank_distance(np.array([0, 0]), np.array([1, 9]), np.array([3, 3]), 1)[0])


@given(st.integers(0, 2**32 - 1))
def test_peer_is_the_p_value_of_kruskal_and_wallis(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ranks = rng.permutation(60)[:12] + 1.0
    ranks[rng.random(12) < 0.3] = np.inf  # not retrieved: tied behind everything
    langs = ["en"] * 4 + ["de"] * 5 + ["th"] * 3
    expected = 1.0
    if len(set(ranks)) > 1:
        tail = np.where(np.isinf(ranks), 1e6, ranks)
        expected = kruskal(tail[:4], tail[4:9], tail[9:]).pvalue
    assert peer(ranks, langs) == pytest.approx(expected)


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


def test_rank_correlation_of_whole_rankings_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    rankings = np.array([rng.permutation(30) for _ in range(3)])
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([spearmanr(np.argsort(rankings[a]), np.argsort(rankings[b])).statistic for a, b in pairs])
    assert mean_rank_correlation(rankings, ["q"] * 3, ["en", "de", "th"]) == pytest.approx(expected)


def test_rank_correlation_of_cut_rankings_ties_what_is_missing() -> None:
    first, second = np.array([[0, 1, 2], [2, 0, 7]])
    union = {0: (1, 2), 1: (2, 4), 2: (3, 1), 7: (4, 3)}  # passage: its rank in each; 4 = behind the third
    expected = spearmanr([a for a, _ in union.values()], [b for _, b in union.values()]).statistic
    assert mean_rank_correlation(np.array([first, second]), ["q", "q"], ["en", "de"]) == pytest.approx(expected)


def test_rank_correlation_means_over_questions_and_leaves_lonely_ones_out() -> None:
    same, turned, lonely = [[1, 2, 3], [1, 2, 3]], [[1, 2, 3], [3, 2, 1]], [[4, 5, 6]]
    groups, langs = ["a", "a", "b", "b", "c"], ["en", "de", "en", "de", "en"]
    assert mean_rank_correlation(np.array(same + turned + lonely), groups, langs) == pytest.approx(0)
    assert np.isnan(mean_rank_correlation(np.array(lonely), ["c"], ["en"]))
