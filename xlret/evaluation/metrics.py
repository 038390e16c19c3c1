"""Retrieval metrics from the ranks of the relevant passages: AP, nDCG, MRR, recall, precision, success.

All functions here take a flat list of hits (a hit is a relevant passage that was retrieved) and give one value a query:

- `query_N`: the query of each hit, 0 to Q - 1, in any order;
- `rank_N`: the hit's rank in that query's ranking, from 1, no rank twice within a query;
- `relevant_Q`: how many relevant passages each query has, retrieved or not.

A query without relevant passages has no value: NaN, left out of means (LAReQA's rule). Relevance is binary but for
`ndcg`. Cost: at most a sort of the hits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlret.shapes import FloatArray, IntArray


def average_precision(
    query_N: IntArray, rank_N: IntArray, relevant_Q: IntArray, k: int | None = None, *, over_all: bool = False
) -> FloatArray:
    """AP = (1 / min(R, k)) * sum over hits within the first k of the precision at the hit; shape [Q].

    Without `k` it is trec_eval's `map`. With `k` the divisor is min(R, k), as in XTREME-R (k = 20), so that a perfect
    ranking has 1; `over_all` divides by R, as trec_eval's `map_cut` does.

    >>> average_precision(np.array([0, 0]), np.array([1, 4]), np.array([2, 0])).tolist()
    [0.75, nan]
    """
    order = np.lexsort((rank_N, query_N))
    query_N, rank_N = query_N[order], rank_N[order]
    nth_N = np.arange(len(query_N)) - np.searchsorted(query_N, query_N) + 1
    kept = slice(None) if k is None else rank_N <= _checked(k)
    total_Q = np.bincount(query_N[kept], (nth_N / rank_N)[kept], minlength=len(relevant_Q))
    return _over(total_Q, relevant_Q if k is None or over_all else np.minimum(relevant_Q, k))


def ndcg(query_N: IntArray, rank_N: IntArray, grade_N: FloatArray, n_queries: int, k: int) -> FloatArray:
    """nDCG@k of passages with grades, which are the gains, as in trec_eval's `ndcg_cut`; shape [Q].

    Järvelin and Kekäläinen 2002. The ideal ranking has all passages of a query by falling grade. (Burges et al. 2005 take
    2^grade - 1 as the gain, which trec_eval, BEIR and MTEB do not.)

    Args:
        query_N: the query of each passage with a grade above 0, all of them.
        rank_N: its rank; beyond k for one that was not retrieved.
        grade_N: its grade.
        n_queries: Q.
        k: the cut-off.

    >>> ndcg(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 3.0]), 1, k=10).round(4).tolist()
    [0.7967]
    """
    kept = rank_N <= _checked(k)
    total_Q = np.bincount(query_N[kept], grade_N[kept] / np.log2(rank_N[kept] + 1.0), minlength=n_queries)
    order = np.lexsort((-grade_N, query_N))
    query_N, grade_N = query_N[order], grade_N[order]
    best_rank_N = np.arange(len(query_N)) - np.searchsorted(query_N, query_N) + 1
    kept = best_rank_N <= k
    ideal_Q = np.bincount(query_N[kept], grade_N[kept] / np.log2(best_rank_N[kept] + 1.0), minlength=n_queries)
    return _over(total_Q, ideal_Q)


def reciprocal_rank(query_N: IntArray, rank_N: IntArray, relevant_Q: IntArray, k: int) -> FloatArray:
    """1 / (rank of the first hit), 0 where it is beyond k; the mean over queries is MRR@k. Shape [Q].

    >>> reciprocal_rank(np.array([0, 0, 1]), np.array([9, 2, 11]), np.array([2, 1]), k=10).tolist()
    [0.5, 0.0]
    """
    kept = rank_N <= _checked(k)
    best_Q = np.zeros(len(relevant_Q))
    np.maximum.at(best_Q, query_N[kept], 1.0 / rank_N[kept])
    return _over(best_Q, relevant_Q > 0)


def recall(query_N: IntArray, rank_N: IntArray, relevant_Q: IntArray, k: int) -> FloatArray:
    """The share of a query's relevant passages within the first k; shape [Q].

    With one relevant passage a query, recall@1 is the accuracy of the nearest neighbour (Tatoeba).

    >>> recall(np.array([0, 0, 1]), np.array([1, 30, 2]), np.array([3, 1]), k=10).round(4).tolist()
    [0.3333, 1.0]
    """
    hits_Q = np.bincount(query_N[rank_N <= _checked(k)], minlength=len(relevant_Q)).astype(np.float64)
    return _over(hits_Q, relevant_Q)


def precision(query_N: IntArray, rank_N: IntArray, relevant_Q: IntArray, k: int) -> FloatArray:
    """Relevant passages within the first k over k, however many passages there are (trec_eval's `P_k`); shape [Q].

    >>> precision(np.array([0, 0]), np.array([1, 7]), np.array([2, 0]), k=5).tolist()
    [0.2, nan]
    """
    hits_Q = np.bincount(query_N[rank_N <= _checked(k)], minlength=len(relevant_Q)) / k
    return np.where(relevant_Q > 0, hits_Q, np.nan)


def r_precision(query_N: IntArray, rank_N: IntArray, relevant_Q: IntArray) -> FloatArray:
    """The share of relevant passages among the first R of a query with R of them (trec_eval's `Rprec`); shape [Q].

    >>> r_precision(np.array([0, 0]), np.array([2, 3]), np.array([2])).tolist()
    [0.5]
    """
    hits_Q = np.bincount(query_N[rank_N <= relevant_Q[query_N]], minlength=len(relevant_Q))
    return _over(hits_Q, relevant_Q)


def success(query_N: IntArray, rank_N: IntArray, relevant_Q: IntArray, k: int) -> FloatArray:
    """1 where a relevant passage is within the first k, else 0 (trec_eval's `success_k`); shape [Q].

    >>> success(np.array([0, 1]), np.array([3, 9]), np.array([1, 1]), k=5).tolist()
    [1.0, 0.0]
    """
    return np.ceil(reciprocal_rank(query_N, rank_N, relevant_Q, k))


def mean(values: FloatArray) -> float:
    """The mean of the values that are there; NaN where none is.

    >>> mean(np.array([1.0, np.nan, 0.5])), mean(np.array([np.nan]))
    (0.75, nan)
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _over(total_Q: NDArray[Any], divisor_Q: NDArray[Any]) -> FloatArray:
    result: FloatArray = np.full(len(total_Q), np.nan)
    np.divide(total_Q, divisor_Q, out=result, where=divisor_Q > 0)
    return result


def _checked(k: int) -> int:
    if k < 1:
        raise ValueError(f"k is {k}; allowed is 1 and more")
    return k
