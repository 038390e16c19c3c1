"""Language bias: does the language of a passage, or of a question, change its place in the ranking?"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc  # type: ignore[import-untyped]
from scipy.stats import rankdata  # type: ignore[import-untyped]

from xlret.shapes import FloatArray, IntArray


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
    rank_N: Sequence[float],
    language_N: Sequence[str],
    level_N: Sequence[int] | None = None,
    weights: Mapping[int, float] | None = None,
) -> float:
    """PEER of one query: how probable such ranks are if passages of all languages have the same expected rank.

    Yang et al., SIGIR 2024: for each relevance level the p-value of a Kruskal-Wallis test of the ranks grouped by
    language, then the weighted sum over the levels; 1 for a level with fewer than two languages or nothing retrieved.
    1 is fair, 0 is not. With one passage a language, as in XQuAD-R, it is the same number for all rankings and says nothing.

    Args:
        rank_N: rank of each judged (or retrieved) passage, `inf` for relevant ones not retrieved, which share the tail.
        language_N: its language.
        level_N: its relevance level; all 1 by default.
        weights: the weight of each level; they sum to 1. By default the levels above 0 count alike.

    Raises:
        ValueError: weights that do not sum to 1.

    >>> round(peer([1, 2, 3, 4], ["en", "en", "de", "de"]), 4), peer([1, 2], ["en", "en"])
    (0.1213, 1.0)
    """
    ranks, languages = np.asarray(rank_N, np.float64), np.asarray(language_N, np.str_)
    levels = np.ones(len(ranks), np.int64) if level_N is None else np.asarray(level_N, np.int64)
    if weights is None:
        graded = np.unique(levels[levels > 0])
        weights = {int(level): 1.0 / len(graded) for level in graded} or {1: 1.0}
    if not np.isclose(sum(weights.values()), 1.0):
        raise ValueError(f"weights sum to {sum(weights.values())}; they must sum to 1")
    return float(
        sum(weight * _equal_ranks(ranks[levels == level], languages[levels == level]) for level, weight in weights.items())
    )


def _equal_ranks(rank_N: FloatArray, language_N: NDArray[np.str_]) -> float:
    """p-value of the Kruskal-Wallis test, corrected for ties."""
    names, group_N = np.unique(language_N, return_inverse=True)
    midrank_N = rankdata(rank_N)
    spread = float(np.square(midrank_N - midrank_N.mean()).sum()) if len(midrank_N) else 0.0
    if len(names) < 2 or not spread:
        return 1.0
    sizes = np.bincount(group_N)
    between = float(sizes @ np.square(np.bincount(group_N, midrank_N) / sizes - midrank_N.mean()))
    return float(chdtrc(len(names) - 1, (len(midrank_N) - 1) * between / spread))


def mean_rank_correlation(top_QK: IntArray, group_Q: Sequence[str], lang_Q: Sequence[str]) -> float:
    """MRC@K: how alike the rankings are that one question gets in different languages over one pooled corpus.

    Yang, Jiang and Baldwin 2024: Spearman's correlation of two rankings, mean over the pairs of languages of a question,
    then over questions. Rankings cut at K are compared over the passages that are in either of them; those missing in one
    share the places after it (the paper does not say; with K = pool size there are none). NaN if no question has two languages.

    Args:
        top_QK: for each query the K best passages, best first.
        group_Q: queries of equal group are the same question.
        lang_Q: language of each query.

    >>> mean_rank_correlation(np.array([[5, 6, 7], [7, 6, 5]]), ["q1", "q1"], ["en", "de"])
    -1.0
    """
    rows_of: dict[str, list[int]] = {}
    for row in sorted(range(len(group_Q)), key=lambda row: lang_Q[row]):
        rows_of.setdefault(group_Q[row], []).append(row)
    means = [
        np.mean([_spearman(top_QK[first], top_QK[second]) for first, second in combinations(rows, 2)])
        for rows in rows_of.values()
        if len(rows) > 1
    ]
    return float(np.mean(means)) if means else float("nan")


def _spearman(first_K: IntArray, second_K: IntArray) -> float:
    union, ranks = np.union1d(first_K, second_K), []
    for ranking_K in (first_K, second_K):
        missing = len(union) - len(ranking_K)
        rank = np.full(len(union), len(ranking_K) + (missing + 1) / 2)
        rank[np.searchsorted(union, ranking_K)] = np.arange(1.0, len(ranking_K) + 1)
        ranks.append(rank - rank.mean())
    norm = np.sqrt(float(ranks[0] @ ranks[0]) * float(ranks[1] @ ranks[1]))
    return float(ranks[0] @ ranks[1] / norm) if norm else 1.0  # a pool of one passage
