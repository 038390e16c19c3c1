"""What a ranking of a mixed-language pool makes of languages: each measure a value for each query.

They answer different questions: does a passage suffer because its language is not the query's (`recall_same`, `recall_cross`,
`lpr`, `lang_ndcg`), are all versions of an answer found (`comp`, `max_rank`), whom does the top of the list show (`tlr`,
`to_pool`, `to_relevant`). Rank distance, PEER and MRC are in `bias`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from xlret.evaluation import metrics
from xlret.evaluation.named_measures import Hits
from xlret.shapes import FloatArray, IntArray

TOP = 10
"""The cut-off of these measures."""
POOL_MEASURES = {
    f"recall_same@{TOP}": f"same@{TOP}",
    f"recall_cross@{TOP}": f"cross@{TOP}",
    f"comp@{TOP}": f"Comp@{TOP}",
    "max_rank": "Max@R",
    "max_rank_log": "log",
    f"tlr@{TOP}": "TLR",
    "lpr": "LPR",
    f"lang_ndcg@{TOP}": "L-nDCG",
}
"""Names in files -> titles in tables."""
SHARES = {f"to_pool@{TOP}": "pool", f"to_relevant@{TOP}": "relevant"}
"""The same of measures that a query language has as a whole."""


def pool_measures(
    hits: Hits,
    placed_rank_N: IntArray,
    lang_N: IntArray,
    query_lang_Q: IntArray,
    passage_lang_P: IntArray,
    top_QK: IntArray,
) -> dict[str, FloatArray]:
    """Every measure of `POOL_MEASURES` for each query, [Q]; NaN for queries on which it says nothing. Empty for one language.

    - `recall_same@k`, `recall_cross@k`: of the relevant passages in the query's language, and of those in others, the share
      within the first k.
    - `comp@k`: 1 where for every language that has a relevant passage one is within the first k, else 0.
    - `max_rank`: the worst among the ranks of each language's best relevant passage (Max@R); with one answer a language, the
      rank at which all versions are found. `max_rank_log`: log(that / L) / log(P / L) of L languages and P passages, 0 at
      best and 1 at worst; the published normalisation was not to be had, this is ours.
    - `tlr@k`: the share of the query's language among the first k over its share of the pool; 1: as often as in the pool.
      SHIFT (arXiv 2606.18801) compares these two shares; whether by a ratio could not be checked.
    - `lpr`: of the pairs of equally relevant passages of which one is in the query's language, one at least retrieved, the
      share in which that one stands first; .5 is fair. MLAIRE (arXiv 2605.07249) calls by this name the preference for
      the query's language among equally relevant passages; its exact formula was not to be had, this one is ours.
    - `lang_ndcg@k`: nDCG@k with the gain of relevant passages in other languages halved, so that only a ranking with the
      query's language first has 1. MLAIRE's Lang-nDCG has this aim; its exact gains were not to be had, these are ours.

    Args:
        hits: all relevant passages with their ranks in the pool, of those not retrieved so far behind that no cut-off has them.
        placed_rank_N: the same ranks, of those not retrieved the mean of the ranks behind the list, for what knows no cut-off.
        lang_N: a number for the language of each hit.
        query_lang_Q, passage_lang_P: the same for each query and passage.
        top_QK: the best passages of each query, -1 behind the end of a ranking.
    """
    if len(np.unique(passage_lang_P)) < 2:
        return {}
    is_own_N = lang_N == query_lang_Q[hits.query_N]
    placed = hits._replace(rank_N=placed_rank_N)
    worst_Q, versions_Q = _worst_of_best(placed, lang_N)
    spread_Q = np.log(worst_Q / np.maximum(versions_Q, 1)) / np.log(
        np.maximum(len(passage_lang_P) / np.maximum(versions_Q, 1), 2)
    )
    halved = Hits(hits.query_N, hits.rank_N, np.where(is_own_N, hits.grade_N, hits.grade_N / 2), hits.rankings)
    values = (
        metrics.recall(*_only(hits, is_own_N).relevant(), TOP),
        metrics.recall(*_only(hits, ~is_own_N).relevant(), TOP),
        np.where(versions_Q > 0, _worst_of_best(hits, lang_N)[0] <= TOP, np.nan),
        worst_Q,
        spread_Q,
        _own_share(query_lang_Q, passage_lang_P, top_QK),
        _own_first(placed, is_own_N),
        metrics.ndcg(halved.query_N, halved.rank_N, halved.grade_N, halved.rankings, TOP),
    )
    return dict(zip(POOL_MEASURES, values, strict=True))


def share_distances(
    hits: Hits,
    lang_N: IntArray,
    query_lang_Q: IntArray,
    passage_lang_P: IntArray,
    top_QK: IntArray,
    language: int,
) -> Mapping[str, float]:
    """How far the languages of the first k of all queries in one language, together, are from those of the pool, and from those
    of the relevant passages: half the sum of differences of shares, 0 (the same) to 1 (none in common). NaN without queries,
    without a list, or where nothing is relevant; empty for one language.

    Args:
        hits, lang_N, query_lang_Q, passage_lang_P, top_QK: as for `pool_measures`.
        language: the number of the query language.
    """
    size = int(max(passage_lang_P.max(initial=-1), query_lang_Q.max(initial=-1))) + 1
    if len(np.unique(passage_lang_P)) < 2:
        return {}
    rows = query_lang_Q == language
    top_N = top_QK[rows, :TOP].ravel()
    shown_L = _shares(passage_lang_P[top_N[top_N >= 0]], size)
    is_relevant = (hits.grade_N >= 1) & rows[hits.query_N]
    if not rows.any() or not top_QK.shape[1]:
        return dict.fromkeys(SHARES, float("nan"))
    others = (_shares(passage_lang_P, size), _shares(lang_N[is_relevant], size))
    return {name: float(np.abs(shown_L - other_L).sum() / 2) for name, other_L in zip(SHARES, others, strict=True)}


def language_shares(
    hits: Hits, lang_N: IntArray, passage_lang_P: IntArray, top_QK: IntArray, languages: Sequence[str]
) -> Mapping[str, Mapping[str, float]]:
    """The share of each passage language: among the first k of all queries together (`top`), in the pool (`pool`), and among
    the relevant passages of all queries (`relevant`). Empty for one language, or without a list.

    Args:
        hits, lang_N, passage_lang_P, top_QK: as for `pool_measures`.
        languages: by their numbers.
    """
    if len(np.unique(passage_lang_P)) < 2 or not top_QK.shape[1]:
        return {}
    top_N = top_QK[:, :TOP].ravel()
    parts = {"top": passage_lang_P[top_N[top_N >= 0]], "pool": passage_lang_P, "relevant": lang_N[hits.grade_N >= 1]}
    shares = {name: _shares(part_N, len(languages)) for name, part_N in parts.items()}
    return {name: dict(zip(languages, share_L.tolist(), strict=True)) for name, share_L in shares.items()}


def _only(hits: Hits, kept_N: NDArray[np.bool_]) -> Hits:
    return Hits(hits.query_N[kept_N], hits.rank_N[kept_N], hits.grade_N[kept_N], hits.rankings)


def _worst_of_best(hits: Hits, lang_N: IntArray) -> tuple[FloatArray, IntArray]:
    """The worst rank among each language's best relevant passage, NaN without one, and how many languages have one."""
    relevant_N = np.flatnonzero(hits.grade_N >= 1)
    order = relevant_N[np.lexsort((hits.rank_N[relevant_N], lang_N[relevant_N], hits.query_N[relevant_N]))]
    query_N, lang_N = hits.query_N[order], lang_N[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (query_N[1:] != query_N[:-1]) | (lang_N[1:] != lang_N[:-1])
    worst_Q = np.zeros(hits.rankings)
    np.maximum.at(worst_Q, query_N[is_first], hits.rank_N[order][is_first])
    versions_Q = np.bincount(query_N[is_first], minlength=hits.rankings)
    return np.where(versions_Q > 0, worst_Q, np.nan), versions_Q


def _own_share(query_lang_Q: IntArray, passage_lang_P: IntArray, top_QK: IntArray) -> FloatArray:
    """Share of the query's language among the first k over its share of the pool; NaN where either has nothing."""
    if not top_QK.shape[1]:
        return np.full(len(query_lang_Q), np.nan)
    is_there_QK = top_QK[:, :TOP] >= 0
    is_own_QK = (passage_lang_P[top_QK[:, :TOP]] == query_lang_Q[:, None]) & is_there_QK
    shown_Q = is_own_QK.sum(axis=1) / np.maximum(is_there_QK.sum(axis=1), 1)
    pool_L = np.bincount(passage_lang_P, minlength=int(query_lang_Q.max(initial=0)) + 1) / len(passage_lang_P)
    pool_Q = pool_L[query_lang_Q]
    ratio_Q: FloatArray = np.full(len(shown_Q), np.nan)
    np.divide(shown_Q, pool_Q, out=ratio_Q, where=(pool_Q > 0) & is_there_QK.any(axis=1))
    return ratio_Q


def _own_first(hits: Hits, is_own_N: NDArray[np.bool_]) -> FloatArray:
    """Of a query's pairs (own language, other language) of equal grade, the share with its own first; NaN without a pair.

    Those of which neither was retrieved have one rank, and are no pairs.
    """
    result = np.full(hits.rankings, np.nan)
    order = np.argsort(hits.query_N, kind="stable")
    ends = np.searchsorted(hits.query_N[order], np.arange(hits.rankings + 1))
    for query, (start, stop) in enumerate(pairwise(ends.tolist())):
        rows = order[start:stop]
        own, other = rows[is_own_N[rows]], rows[~is_own_N[rows]]
        own_rank, other_rank = hits.rank_N[own][:, None], hits.rank_N[other][None, :]
        pairs = (hits.grade_N[own][:, None] == hits.grade_N[other][None, :]) & (own_rank != other_rank)
        if pairs.any():
            result[query] = (own_rank < other_rank)[pairs].mean()
    return result


def _shares(lang_N: IntArray, size: int) -> FloatArray:
    counts: FloatArray = np.bincount(lang_N, minlength=size).astype(np.float64)
    return counts / counts.sum() if counts.sum() else np.full(size, np.nan)
