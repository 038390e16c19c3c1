"""Language bias: does the language of a passage, or of a question, change its place in the ranking?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc  # type: ignore[import-untyped]

from xlret.shapes import FloatArray, IntArray

_MOST_INDICES = 1 << 32
"""What the low half of a 64-bit key holds."""


def rank_distance(query_N: IntArray, rank_N: IntArray, language_N: IntArray, n_queries: int) -> FloatArray:
    """The largest minus the smallest rank of a query's relevant passages in the full multilingual pool; shape [Q].

    Huang et al. 2023. 0 is impossible and L - 1 the least for L relevant passages. Where the relevant passages are all of one
    language (or there are none) the distance says nothing of languages: NaN.

    Args:
        query_N: query of each relevant passage.
        rank_N: its rank among all passages of all languages, without cut-off.
        language_N: a number for its language.
        n_queries: Q.

    >>> rank_distance(np.array([0, 0, 0, 1]), np.array([2, 9, 4, 3]), np.array([0, 1, 2, 0]), 2).tolist()
    [7.0, nan]
    """
    low, high = np.full(n_queries, np.inf), np.full(n_queries, -np.inf)
    np.minimum.at(low, query_N, rank_N)
    np.maximum.at(high, query_N, rank_N)
    several = np.zeros(n_queries, dtype=np.bool_)
    first = np.full(n_queries, -1, dtype=np.int64)
    first[query_N[::-1]] = language_N[::-1]
    several[query_N[language_N != first[query_N]]] = True
    return np.where(several, high - low, np.nan)


def peer(
    rank_N: Sequence[float] | FloatArray,
    language_N: Sequence[str] | Sequence[int] | IntArray,
    level_N: Sequence[float] | FloatArray | None = None,
    weights: Mapping[float, float] | None = None,
    *,
    n_ranked: int | None = None,
) -> float:
    """PEER of one query: how probable such ranks are if passages of all languages have the same expected rank.

    Yang et al., SIGIR 2024, as their package `peer_measure` computes it. For each relevance level: of the **raw** ranks in
    the full list, H = (N - 1) * (sum of squares between languages) / (sum of squares in all), and the chance that chi-square
    with L - 1 degrees of freedom exceeds it; 1 for a level with fewer than two languages or nothing retrieved. Then the
    weighted sum over the query's levels. (The test of Kruskal and Wallis, and so `scipy.stats.kruskal`, would first replace
    the ranks in the list by ranks among these passages.) 1 is fair, 0 is not. With one passage a language, as in XQuAD-R, it
    is the same number for all rankings and says nothing (see `is_the_same_for_all`).

    Args:
        rank_N: rank of each judged (or retrieved) passage in the full list, from 1; `inf` for those not retrieved, which
            share the mean of the ranks behind the list.
        language_N: its language.
        level_N: its relevance level; all 1 by default.
        weights: the weight of each level; they sum to 1. By default the query's levels above 0 count alike.
        n_ranked: length of the list, for what was not retrieved; by default its last rank given.

    Raises:
        ValueError: weights that do not sum to 1.

    >>> round(peer([1, 2, 3, 4], ["en", "en", "de", "de"]), 4), peer([1, 2], ["en", "en"])
    (0.1213, 1.0)
    """
    ranks, languages = np.array(rank_N, np.float64), np.unique(np.asarray(language_N), return_inverse=True)[1]
    levels = np.ones(len(ranks)) if level_N is None else np.asarray(level_N, np.float64)
    if weights is None:
        graded = np.unique(levels[levels > 0])
        if not len(graded):
            return 1.0
        weights = {float(level): 1.0 / len(graded) for level in graded}
    if not np.isclose(sum(weights.values()), 1.0):
        raise ValueError(f"weights sum to {sum(weights.values())}; they must sum to 1")
    missing = np.isinf(ranks)
    last = n_ranked if n_ranked is not None else ranks[~missing].max(initial=0.0)
    total = 0.0
    for level in np.unique(levels):
        members = levels == level
        ranks[members & missing] = last + (np.count_nonzero(members & missing) + 1) / 2
        total += weights.get(float(level), 0.0) * _equal_expectation(ranks[members], languages[members])
    return total


def is_the_same_for_all(language_N: IntArray, level_N: FloatArray) -> bool:
    """Whether all rankings of such passages have one PEER, as those in several languages do with one passage of each.

    (Where a level has one language alone, PEER is 1 by its authors' rule; that is no case of this.)

    >>> is_the_same_for_all(np.array([0, 1, 2]), np.ones(3)), is_the_same_for_all(np.array([0, 1, 1]), np.ones(3))
    (True, False)
    """
    counts = [np.unique(language_N[level_N == level], return_counts=True)[1] for level in np.unique(level_N)]
    return max(map(len, counts)) > 1 and all(passages.max() == 1 for passages in counts)


def _equal_expectation(rank_N: FloatArray, language_N: IntArray) -> float:
    """The p-value of one level."""
    groups, language_N = np.unique(language_N, return_inverse=True)
    deviation_N = rank_N - rank_N.mean()
    in_all = float(deviation_N @ deviation_N)
    if len(groups) < 2 or not in_all:
        return 1.0
    between = float(np.sum(np.square(np.bincount(language_N, deviation_N)) / np.bincount(language_N)))
    return float(chdtrc(len(groups) - 1, (len(rank_N) - 1) * between / in_all))


class RankCorrelation:
    """MRC: how alike the rankings are that one question gets in different languages over one pooled corpus.

    Yang, Jiang and Baldwin 2024: Spearman's correlation of two rankings of the whole pool, mean over the pairs of languages
    of a question, then over questions. (Cut at a depth it is another number: two lists of which each holds the other's best
    passages further down have few in common, and those far apart, so that rankings which agree can come out as opposed.)

    Rankings come one at a time, those of a question side by side. With ranks in standard units z, the mean over the pairs of m
    rankings is (|z_1 + ... + z_m|^2 - m) / (m (m - 1)), so that one sum is kept and not m rankings.

    Args:
        n_passages: P, the size of the pool.

    >>> correlation = RankCorrelation(3)
    >>> correlation.add("q1", np.array([0.9, 0.5, 0.1])), correlation.add("q1", np.array([0.1, 0.5, 0.9]))
    (None, None)
    >>> correlation.mean()
    -1.0
    """

    def __init__(self, n_passages: int) -> None:
        self._means: list[float] = []
        self._group: str | None = None
        self._rankings = 0
        self._sum_P = np.zeros(n_passages)
        self._ranks_P = np.arange(n_passages, dtype=np.float64)

    def add(self, group: str, score_P: NDArray[np.floating[Any]]) -> None:
        """Takes the scores [P] of one query; ties are ranked by passage index, as everywhere here. Cost: `descending`."""
        if group != self._group:
            self._close()
            self._group = group
        self._sum_P[descending(score_P)] += self._ranks_P
        self._rankings += 1

    def values(self) -> FloatArray:
        """The mean correlation of each question with two rankings or more; call it after the last one."""
        self._close()
        return np.array(self._means)

    def mean(self) -> float:
        """MRC of all questions with two rankings or more; NaN if there is none."""
        means_G = self.values()
        return float(means_G.mean()) if len(means_G) else float("nan")

    def _close(self) -> None:
        size, rankings = len(self._sum_P), self._rankings
        if rankings > 1:
            deviation_P = self._sum_P - rankings * (size - 1) / 2
            norm = size * (size**2 - 1) / 12
            whole = float(deviation_P @ deviation_P) / norm if norm else float(rankings**2)  # a pool of one passage: all equal
            self._means.append((whole - rankings) / (rankings * (rankings - 1)))
        self._group, self._rankings = None, 0
        self._sum_P[:] = 0.0


def descending(score_P: NDArray[np.floating[Any]]) -> IntArray:
    """The indices of scores from the highest to the lowest, equal ones by index: `np.argsort(-scores, kind="stable")`.

    Scores in float32 are sorted as integers with their indices in the low bits, which decide ties: about a fifth of the time of
    a stable argsort (numpy sorts values, but not indices, with vector instructions).

    >>> descending(np.array([0.5, 2.0, 0.5, 9.0], np.float32)).tolist()
    [3, 1, 0, 2]
    """
    if score_P.dtype != np.float32 or len(score_P) > _MOST_INDICES or np.isnan(score_P).any():
        return np.argsort(-score_P, kind="stable")
    bits_P = (np.float32(0) - score_P).view(np.int32)  # from zero, so that zeros of both signs are one
    bits_P ^= (bits_P >> 31) & np.int32(0x7FFFFFFF)  # negative floats stand in the order of their size: turned round
    keys_P = bits_P.astype(np.int64) << 32 | np.arange(len(score_P))
    keys_P.sort()
    order_P: IntArray = keys_P & 0xFFFFFFFF
    return order_P
