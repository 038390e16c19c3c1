"""Exact search: float32 scores, ties by passage index, the full ranks of the relevant passages and the best k."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xlret.evaluation.bias import RankCorrelation
from xlret.shapes import FloatArray, FloatMatrix, IntArray

_BLOCK_SCORES = 1 << 22
"""Scores held at once (16 MB of float32, and as much again sorted): small enough to stay near the processor."""


NOT_RETRIEVED = -np.inf
"""The score of a passage that a ranking does not have at all, such as one that a run does not name."""


class Reorder(Protocol):
    """Gives other scores, and so another order, to all passages of some queries at once: what a balance of languages does."""

    def __call__(self, rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        """The new scores, [B, P]; `NOT_RETRIEVED` for passages that are not in the ranking.

        Args:
            rows: which queries the B rows are.
            scores_BP: their scores; may be overwritten.
            columns: the columns of each language; within one they stand in the order of the passages' indices.
        """


@dataclass(frozen=True)
class Retrieved:
    """What one pass over all scores leaves. A pair is a (query, relevant passage); N pairs, in the order they were given."""

    query_N: IntArray
    passage_N: IntArray
    pooled_rank_N: IntArray
    """Rank of the relevant passage among all passages, from 1."""
    own_rank_N: IntArray
    """Its rank among the passages of its own language, from 1."""
    is_retrieved_N: NDArray[np.bool_]
    """Whether the ranking has it. Where not, its ranks are the mean of those behind the list, so that no language is first."""
    is_tied_N: NDArray[np.bool_]
    """Whether another passage has the same score; such are ranked by their index."""
    length_Q: IntArray
    """How many passages each query's ranking has."""
    top_QK: IntArray
    """The best K passages of each query, best first; -1 behind the end of a ranking. K = 0 unless asked for."""
    top_scores_QK: FloatMatrix
    correlation_G: FloatArray
    """How alike the rankings of a question in its languages are, see `RankCorrelation`; empty where it was not asked for."""
    is_own_retrieved_N: NDArray[np.bool_] | None = None
    """Whether the ranking of its language has it, where that is a list of its own; None: as `is_retrieved_N`."""


def retrieve(
    queries_QD: FloatMatrix,
    passages_PD: FloatMatrix,
    relevant: Sequence[IntArray],
    passage_langs: Sequence[str],
    depth: int = 0,
    reorder: Reorder | None = None,
    groups: Sequence[str] = (),
) -> Retrieved:
    """Scores all queries against all passages, a block of queries at a time.

    A passage's rank is 1 + the passages that score higher + those with the same score and a lower index. Passages with equal
    vectors get equal scores, bit for bit, whatever the processor's matrix product makes of columns.

    Args:
        queries_QD: query vectors, scored by the inner product.
        passages_PD: passage vectors.
        relevant: for each query the indices of its relevant passages.
        passage_langs: language of each passage.
        depth: how many best passages to keep for each query.
        reorder: gives the scores that are ranked instead; all ranks and scores of the result are then of these.
        groups: queries of equal group ask the same in several languages; with them `bias.RankCorrelation` of the rankings of
            the whole pool is taken. Empty: it is not.

    Cost: one product and two sorts of the scores: 3 to 6 s for 13,000 x 13,000 on two cores; memory for the
    vectors twice, 16 MB blocks, and 12 bytes for each of Q x depth results. With groups a third sort, which takes as long
    as all else.

    Raises:
        ValueError: shapes that do not fit each other, vectors that are not finite, or an index that is no passage.
    """
    queries_QD, passages_PD = _checked(queries_QD, "query"), _checked(passages_PD, "passage")
    counts = np.fromiter(map(len, relevant), np.int64, len(relevant))
    passage_N = np.concatenate([np.empty(0, np.int64), *relevant]).astype(np.int64)
    if groups and len(groups) != len(queries_QD):
        raise ValueError("groups must have a row for each query, or none at all")
    if len(relevant) != len(queries_QD) or len(passage_langs) != len(passages_PD):
        raise ValueError("relevant must have a row for each query and passage_langs one for each passage")
    if queries_QD.shape[1] != passages_PD.shape[1]:
        raise ValueError(f"query vectors have {queries_QD.shape[1]} dimensions and passage vectors {passages_PD.shape[1]}")
    if passage_N.size and not 0 <= passage_N.min() <= passage_N.max() < len(passages_PD):
        raise ValueError(f"relevant names a passage outside 0 to {len(passages_PD) - 1}")
    pool = _Pool.by_language(passages_PD, passage_langs)
    query_N = np.repeat(np.arange(len(relevant), dtype=np.int64), counts)
    ends = np.concatenate([[0], np.cumsum(counts)])
    depth = min(depth, len(passages_PD))
    result = Retrieved(
        query_N,
        passage_N,
        np.zeros(len(passage_N), np.int64),
        np.zeros(len(passage_N), np.int64),
        np.ones(len(passage_N), np.bool_),
        np.zeros(len(passage_N), np.bool_),
        np.full(len(queries_QD), len(passages_PD), np.int64),
        np.zeros((len(queries_QD), depth), np.int64),
        np.zeros((len(queries_QD), depth), np.float32),
        np.empty(0),
    )
    correlation = RankCorrelation(len(passages_PD))
    order_Q = np.argsort(np.asarray(groups, dtype=np.str_), kind="stable") if groups else np.arange(len(queries_QD))
    block = max(1, _BLOCK_SCORES // max(1, len(passages_PD)))
    for start in range(0, len(order_Q), block):
        rows = order_Q[start : start + block]  # queries of a group stand together
        scores_BP = pool.scores(queries_QD[rows])
        if reorder is not None:
            scores_BP = reorder(rows, scores_BP, pool.columns)
        pairs = np.concatenate([np.arange(ends[row], ends[row + 1]) for row in rows])
        row_N = np.repeat(np.arange(len(rows)), counts[rows])
        column_N = pool.column_of[passage_N[pairs]]
        ranks = _ranks(scores_BP, row_N, column_N, pool)
        result.pooled_rank_N[pairs], result.own_rank_N[pairs], result.is_tied_N[pairs] = ranks
        result.is_retrieved_N[pairs] = scores_BP[row_N, column_N] != NOT_RETRIEVED
        if reorder is not None:
            result.length_Q[rows] = np.count_nonzero(scores_BP != NOT_RETRIEVED, axis=1)
        for row, scores_P in zip(rows, scores_BP if depth else (), strict=False):
            top_K, result.top_scores_QK[row] = _best(scores_P, pool.passage_of, depth)
            result.top_QK[row] = np.where(result.top_scores_QK[row] != NOT_RETRIEVED, top_K, -1)
        for row, scores_P in zip(rows, scores_BP if groups else (), strict=False):
            correlation.add(groups[row], scores_P[pool.column_of])
    return replace(result, correlation_G=correlation.values())


def passage_of_columns(langs: Sequence[str], columns: Mapping[str, slice]) -> NDArray[np.int64]:
    """Which passage each column is that a `Reorder` gets."""
    lang_P = np.asarray(langs, dtype=np.str_)
    passage_of = np.empty(len(lang_P), np.int64)
    for lang, segment in columns.items():
        passage_of[segment] = np.flatnonzero(lang_P == lang)
    return passage_of


@dataclass(frozen=True)
class _Pool:
    """The passages as columns, one language after the other, within a language in the order of their indices."""

    distinct_UD: FloatMatrix
    distinct_of: IntArray | None
    """Which distinct vector each column has; None where all are distinct."""
    passage_of: IntArray
    column_of: IntArray
    columns: Mapping[str, slice]
    """The columns of each language."""
    segment_of: IntArray

    @classmethod
    def by_language(cls, passages_PD: FloatMatrix, langs: Sequence[str]) -> "_Pool":
        names, lang_P = np.unique(np.asarray(langs, dtype=np.str_), return_inverse=True)
        passage_of = np.argsort(lang_P, kind="stable")
        column_of = np.empty_like(passage_of)
        column_of[passage_of] = np.arange(len(passage_of))
        ends = np.cumsum(np.bincount(lang_P)) if len(lang_P) else np.empty(0, np.int64)
        segments = (slice(int(end - size), int(end)) for end, size in zip(ends, np.bincount(lang_P), strict=True))
        columns = dict(zip(map(str, names), segments, strict=True))
        columns_PD = np.ascontiguousarray(passages_PD[passage_of])
        as_bytes = columns_PD.view(np.dtype((np.void, columns_PD.dtype.itemsize * columns_PD.shape[1]))).ravel()
        _, first, distinct_of = np.unique(as_bytes, return_index=True, return_inverse=True)
        if len(first) == len(columns_PD):
            return cls(columns_PD, None, passage_of, column_of, columns, lang_P[passage_of])
        return cls(columns_PD[first], distinct_of, passage_of, column_of, columns, lang_P[passage_of])

    def scores(self, queries_BD: FloatMatrix) -> FloatMatrix:
        """Scores of a block of queries, [B, P], columns in the pool's order."""
        scores_BU: FloatMatrix = queries_BD @ self.distinct_UD.T
        return scores_BU if self.distinct_of is None else np.take(scores_BU, self.distinct_of, axis=1)


def _ranks(
    scores_BP: FloatMatrix, row_N: IntArray, column_N: IntArray, pool: _Pool
) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
    """Ranks, in the whole pool and in the language, of the passages at (row, column), and which are tied; rows ascend."""
    score_N = scores_BP[row_N, column_N]
    above_N, equal_N = _above(scores_BP, row_N, score_N)
    pooled_N, own_N = above_N + 1, above_N + 1
    if len(pool.columns) > 1:
        for number, segment in enumerate(pool.columns.values()):
            pairs = np.flatnonzero(pool.segment_of[column_N] == number)
            own_N[pairs] = _above(scores_BP[:, segment], row_N[pairs], score_N[pairs])[0] + 1
    is_missing_N = score_N == NOT_RETRIEVED
    sizes = np.bincount(pool.segment_of)[pool.segment_of[column_N]]
    own_N[is_missing_N] += (sizes - own_N)[is_missing_N] // 2  # the mean of the ranks behind the list
    pooled_N[is_missing_N] += (equal_N[is_missing_N] - 1) // 2
    is_tied_N = (equal_N > 1) & ~is_missing_N  # the passage itself is one
    for pair in np.flatnonzero(is_tied_N):
        tied = np.flatnonzero(scores_BP[row_N[pair]] == score_N[pair])
        earlier = tied[pool.passage_of[tied] < pool.passage_of[column_N[pair]]]
        pooled_N[pair] += len(earlier)
        own_N[pair] += np.count_nonzero(pool.segment_of[earlier] == pool.segment_of[column_N[pair]])
    return pooled_N, own_N, is_tied_N


def _above(scores_BP: FloatMatrix, row_N: IntArray, score_N: NDArray[np.float32]) -> tuple[IntArray, IntArray]:
    """How many scores of its row are higher than each given score, and how many are equal to it."""
    above_N, equal_N = np.zeros(len(row_N), np.int64), np.zeros(len(row_N), np.int64)
    ends = np.searchsorted(row_N, np.arange(len(scores_BP) + 1))
    for row, ascending_P in enumerate(np.sort(scores_BP, axis=1)):
        pairs = slice(ends[row], ends[row + 1])
        last = ascending_P.searchsorted(score_N[pairs], side="right")
        above_N[pairs] = len(ascending_P) - last
        equal_N[pairs] = last - ascending_P.searchsorted(score_N[pairs], side="left")
    return above_N, equal_N


def _best(scores_P: FloatMatrix, passage_of: IntArray, depth: int) -> tuple[IntArray, FloatMatrix]:
    """The `depth` best passages of one query and their scores: higher scores first, then lower indices."""
    lowest = np.partition(scores_P, len(scores_P) - depth)[len(scores_P) - depth]
    columns = np.flatnonzero(scores_P >= lowest)
    columns = columns[np.lexsort((passage_of[columns], -scores_P[columns]))][:depth]
    return passage_of[columns], scores_P[columns]


def _checked(vectors: FloatMatrix, side: str) -> FloatMatrix:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise ValueError(f"{side} vectors must be [N, D], not {list(vectors.shape)}")
    if not np.isfinite(vectors).all():
        raise ValueError(f"{side} vectors hold NaN or infinity in row {int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])}")
    return vectors
