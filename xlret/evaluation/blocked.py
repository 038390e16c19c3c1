"""Exact search of a pool that does not fit into memory: passages a block at a time, the same ranks as `retrieve`.

A score of float32 is a few units in its last place off, and by how much depends on where a passage stands in a block. So what
decides between passages that are that close is their score in float64, and equal vectors tie exactly.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xlret.evaluation.retrieve import Retrieved
from xlret.shapes import FloatArray, FloatMatrix, IntArray

_QUERIES_AT_ONCE = 512
_PAIRS_AT_ONCE = 8192
_SPARSE = 20
"""Where fewer than one score of so many is set, what is set is looked at one by one."""
_CLOSE = 4e-6
"""How near two scores of vectors of length 1 are that float32 cannot tell apart; times the length of the query's vector."""


class PassageBlocks(Protocol):
    """The vectors of a pool in the order of its passages, never all at once."""

    @property
    def count(self) -> int:
        """How many passages there are."""

    def blocks(self) -> Iterator[FloatMatrix]:
        """One block after the other, [B, D] each, some thousand rows."""

    def rows(self, rows: IntArray) -> FloatMatrix:
        """The vectors of some passages, in the order of `rows`."""


class _Pairs(NamedTuple):
    """The (query, relevant passage) pairs of a block of queries; of each query the first, then of each the second, ..."""

    row_N: IntArray
    pair_N: IntArray
    """Which pair of the result each is."""
    nth_starts: list[int]
    """Where the first, second, ... of each query begin; ends with N."""


def retrieve_blocks(
    queries_QD: FloatMatrix,
    passages: PassageBlocks,
    relevant: Sequence[IntArray],
    passage_langs: Sequence[str],
    depth: int = 0,
) -> Retrieved:
    """What `retrieve` gives without `reorder` and `groups`, from vectors that are read once, a block at a time.

    Args:
        queries_QD: query vectors, scored by the inner product.
        passages: the pool.
        relevant: for each query the indices of its relevant passages.
        passage_langs: language of each passage.
        depth: how many best passages to keep for each query.

    Cost: one product, and two comparisons of the scores for each relevant passage of the query that has most. Memory: the
    queries, one block, 512 rows of its scores, and 16 bytes for each of Q x depth results, twice.

    Raises:
        ValueError: shapes that do not fit each other, or vectors that are not finite.
    """
    queries_QD = np.ascontiguousarray(queries_QD, np.float32)
    if len(relevant) != len(queries_QD) or len(passage_langs) != passages.count:
        raise ValueError("relevant must have a row for each query and passage_langs one for each passage")
    if not np.isfinite(queries_QD).all():
        raise ValueError("query vectors hold NaN or infinity")
    counts_Q = np.fromiter(map(len, relevant), np.int64, len(relevant))
    query_N = np.repeat(np.arange(len(relevant), dtype=np.int64), counts_Q)
    passage_N = np.concatenate([np.empty(0, np.int64), *relevant]).astype(np.int64)
    lang_P: NDArray[np.int16] = np.unique(np.asarray(passage_langs, dtype=np.str_), return_inverse=True)[1].astype(np.int16)
    score_N = _exact(queries_QD, passages, query_N, passage_N)
    above_N, own_above_N = np.zeros(len(query_N), np.int64), np.zeros(len(query_N), np.int64)
    is_tied_N = np.zeros(len(query_N), np.bool_)
    close_Q = _CLOSE * np.maximum(np.linalg.norm(queries_QD, axis=1), np.finfo(np.float32).tiny)
    depth = min(depth, passages.count)
    starts = range(0, len(queries_QD), _QUERIES_AT_ONCE)
    parts = [slice(start, min(start + _QUERIES_AT_ONCE, len(queries_QD))) for start in starts]
    pairs = [_pairs_of(counts_Q, part.start, part.stop) for part in parts]
    best = [_Best(queries_QD[part], close_Q[part], depth) for part in parts]
    for block in _blocks(passages, lang_P, queries_QD.shape[1]):
        for part, pairs_of_part, best_of_part in zip(parts, pairs, best, strict=True):
            scores_RB = queries_QD[part] @ block.vectors_BD.T
            best_of_part.add(scores_RB, block.first)
            for start, stop in pairwise(pairs_of_part.nth_starts):
                pair = pairs_of_part.pair_N[start:stop]
                relevant_M = _Relevant(pairs_of_part.row_N[start:stop], passage_N[pair], score_N[pair], lang_P[passage_N[pair]])
                counted = _count(scores_RB, queries_QD[part], close_Q[part], relevant_M, block)
                above_N[pair] += counted.above
                own_above_N[pair] += counted.own_above
                is_tied_N[pair] |= counted.is_tied
    tops = [best_of_part.finished(passages) for best_of_part in best]
    return Retrieved(
        query_N,
        passage_N,
        above_N + 1,
        own_above_N + 1,
        np.ones(len(query_N), np.bool_),
        is_tied_N,
        np.full(len(queries_QD), passages.count, np.int64),
        np.concatenate([np.zeros((0, depth), np.int64), *(top for top, _ in tops)]),
        np.concatenate([np.zeros((0, depth), np.float32), *(scores for _, scores in tops)]),
        float("nan"),
    )


class _Relevant(NamedTuple):
    """M pairs of a query of the block and a passage, at most one a query."""

    row_M: IntArray
    passage_M: IntArray
    score_M: FloatArray
    lang_M: NDArray[np.int16]


class _Block(NamedTuple):
    """Some passages."""

    first: int
    vectors_BD: FloatMatrix
    lang_B: NDArray[np.int16]
    lang: int | None
    """The language of all; None where there are several."""


class _Counted(NamedTuple):
    above: IntArray
    own_above: IntArray
    is_tied: NDArray[np.bool_]


def _blocks(passages: PassageBlocks, lang_P: NDArray[np.int16], dimension: int) -> Iterator[_Block]:
    """The blocks, checked."""
    first = 0
    for vectors_BD in passages.blocks():
        if vectors_BD.shape[1] != dimension:
            raise ValueError(f"query vectors have {dimension} dimensions and passage vectors {vectors_BD.shape[1]}")
        if not np.isfinite(vectors_BD).all():
            raise ValueError(f"passage vectors hold NaN or infinity in rows {first} to {first + len(vectors_BD) - 1}")
        lang_B = lang_P[first : first + len(vectors_BD)]
        yield _Block(first, vectors_BD, lang_B, int(lang_B[0]) if (lang_B == lang_B[0]).all() else None)
        first += len(vectors_BD)
    if first != passages.count:
        raise ValueError(f"there are vectors of {first} passages, where there are {passages.count}")


def _count(
    scores_RB: FloatMatrix, queries_RD: FloatMatrix, close_R: FloatArray, relevant: _Relevant, block: _Block
) -> _Counted:
    """How many passages of a block stand before each relevant passage, in all and in its language."""
    rows_MB = scores_RB if len(relevant.row_M) == len(scores_RB) else scores_RB[relevant.row_M]
    close_M = close_R[relevant.row_M]
    above_MB = rows_MB >= (relevant.score_M - close_M).astype(np.float32)[:, None]  # or too close to tell
    counts_M = _row_counts(above_MB)
    limit_M = (relevant.score_M + close_M).astype(np.float32)
    if counts_M.sum() * _SPARSE < above_MB.size:
        row, column = np.divmod(np.flatnonzero(above_MB), above_MB.shape[1])
        is_near = rows_MB[row, column] <= limit_M[row]
        row, column = row[is_near], column[is_near]
    else:
        row, column = np.nonzero(above_MB & (rows_MB <= limit_M[:, None]))
    is_tied_M = np.zeros(len(relevant.row_M), np.bool_)
    if len(row):
        exact = _products(queries_RD[relevant.row_M[row]], block.vectors_BD[column])
        passage = block.first + column
        is_itself = passage == relevant.passage_M[row]
        is_equal = (exact == relevant.score_M[row]) & ~is_itself
        is_tied_M[row[is_equal]] = True
        is_before = (exact > relevant.score_M[row]) | (is_equal & (passage < relevant.passage_M[row]))
        above_MB[row, column] = is_before & ~is_itself
        counts_M -= np.bincount(row[~is_before | is_itself], minlength=len(counts_M))
    if block.lang is not None:
        return _Counted(counts_M, np.where(relevant.lang_M == block.lang, counts_M, 0), is_tied_M)
    own_M = np.zeros_like(counts_M)
    for lang in np.unique(block.lang_B):
        chosen = np.flatnonzero(relevant.lang_M == lang)
        own_M[chosen] = _row_counts(np.ascontiguousarray(above_MB[np.ix_(chosen, np.flatnonzero(block.lang_B == lang))]))
    return _Counted(counts_M, own_M, is_tied_M)


def _row_counts(is_set_MB: NDArray[np.bool_]) -> IntArray:
    """How many are set in each row: row by row, since numpy counts a whole array ten times as fast as an axis."""
    return np.fromiter(map(np.count_nonzero, is_set_MB), np.int64, len(is_set_MB))


class _Best:
    """The best passages of some queries so far, and those that are too close to the last of them to tell."""

    def __init__(self, queries_RD: FloatMatrix, close_R: FloatArray, depth: int) -> None:
        self._queries_RD, self._close_R, self._depth = queries_RD, close_R, depth
        self._limit_R = np.full(len(queries_RD), -np.inf)
        self._row, self._passage = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        self._score: list[FloatMatrix] = [np.empty(0, np.float32)]
        self._pending = 0

    def add(self, scores_RB: FloatMatrix, first: int) -> None:
        """Takes the scores of a block of passages."""
        if not self._depth:
            return
        limit_R = self._limit_R
        if scores_RB.shape[1] > self._depth and not np.isfinite(limit_R).all():
            cut = scores_RB.shape[1] - self._depth
            limit_R = np.maximum(limit_R, np.partition(scores_RB, cut, axis=1)[:, cut])
        flat = np.flatnonzero(scores_RB >= (limit_R - self._close_R).astype(np.float32)[:, None])
        if not len(flat):
            return
        row, column = np.divmod(flat, scores_RB.shape[1])
        self._row.append(row)
        self._passage.append(first + column)
        self._score.append(scores_RB[row, column])
        self._pending += len(row)
        if self._pending > len(self._queries_RD) * self._depth:
            self._keep_best()

    def finished(self, passages: PassageBlocks) -> tuple[IntArray, FloatMatrix]:
        """The best `depth` passages of each query, higher scores first, then lower indices; and their scores."""
        shape = (len(self._queries_RD), self._depth)
        if not self._depth:
            return np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        row, passage, score = self._keep_best()
        exact = score.astype(np.float64)
        step = (np.diff(row) == 0) & (-np.diff(exact) <= 2 * self._close_R[row[:-1]])
        unsure = np.flatnonzero(np.append(step, False) | np.append(False, step))
        exact[unsure] = _exact(self._queries_RD, passages, row[unsure], passage[unsure])
        row, passage, exact = _first(row, passage, exact, self._depth)
        return passage.reshape(shape), exact.astype(np.float32).reshape(shape)

    def _keep_best(self) -> tuple[IntArray, IntArray, FloatMatrix]:
        row, passage = np.concatenate(self._row), np.concatenate(self._passage)
        score: FloatMatrix = np.concatenate(self._score)
        order = np.lexsort((passage, -score, row))
        row, passage, score = row[order], passage[order], score[order]
        starts = np.searchsorted(row, np.arange(len(self._queries_RD) + 1))
        last = starts[:-1] + self._depth - 1
        has_all = last < starts[1:]
        self._limit_R[has_all] = score[last[has_all]]
        kept = score >= (self._limit_R - self._close_R).astype(np.float32)[row]
        self._row, self._passage, self._score = [row[kept]], [passage[kept]], [score[kept]]
        self._pending = 0
        return row[kept], passage[kept], score[kept]


def _first(row: IntArray, passage: IntArray, score: FloatArray, depth: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The first `depth` of each row by falling score, then by passage."""
    order = np.lexsort((passage, -score, row))
    row, passage, score = row[order], passage[order], score[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < depth
    return row[kept], passage[kept], score[kept]


def _exact(queries_QD: FloatMatrix, passages: PassageBlocks, query_N: IntArray, passage_N: IntArray) -> FloatArray:
    """The score of each pair in float64, [N]."""
    score_N = np.empty(len(query_N))
    for start in range(0, len(query_N), _PAIRS_AT_ONCE):
        pairs = slice(start, start + _PAIRS_AT_ONCE)
        score_N[pairs] = _products(queries_QD[query_N[pairs]], passages.rows(passage_N[pairs]))
    return score_N


def _products(left_ND: FloatMatrix, right_ND: FloatMatrix) -> FloatArray:
    """The inner product of each row with the other's, in float64: equal for equal vectors."""
    products_N: FloatArray = np.einsum("nd,nd->n", left_ND.astype(np.float64), right_ND.astype(np.float64))
    return products_N


def _pairs_of(counts_Q: IntArray, start: int, stop: int) -> _Pairs:
    """The pairs of queries `start` to `stop`, ordered by which of its query's pairs each is."""
    before = int(counts_Q[:start].sum())
    counts_R = counts_Q[start:stop]
    row_N = np.repeat(np.arange(stop - start), counts_R)
    nth_N = np.arange(len(row_N)) - np.repeat(np.cumsum(counts_R) - counts_R, counts_R)
    order = np.lexsort((row_N, nth_N))
    most = int(counts_R.max(initial=0))
    return _Pairs(row_N[order], before + order, np.searchsorted(nth_N[order], np.arange(most + 1)).tolist())
