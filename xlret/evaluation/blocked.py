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
_PASSAGES_AT_ONCE = 4096
"""With the queries at once 8 MiB of scores, which a cache still has when they are looked at."""
_PAIRS_AT_ONCE = 8192
_PRODUCTS_AT_ONCE = 64
"""Of so many pairs a cache still has the vectors in float64 when they are multiplied."""
_GROUP = 16
"""A passage is looked at where the best of so many in a row reaches what decides; most do not."""
_SPARSE = 4
"""Where fewer than one group of so many reaches it, its passages are looked at one by one."""
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

    Cost: one product and one pass for the best of each sixteen passages; comparisons of these and of the few passages whose
    sixteen reach what decides, for the best and for each relevant passage of the query that has most. Memory: the queries, one
    block, 8 MiB of its scores, and 14 bytes for each of Q x depth results, twice.

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
    number_of = {lang: number for number, lang in enumerate(dict.fromkeys(passage_langs))}
    lang_P = np.fromiter(map(number_of.__getitem__, passage_langs), np.int16, len(passage_langs))
    score_N = _exact(queries_QD, passages, query_N, passage_N)
    above_N, own_above_N = np.zeros(len(query_N), np.int64), np.zeros(len(query_N), np.int64)
    is_tied_N = np.zeros(len(query_N), np.bool_)
    close_Q = _CLOSE * np.maximum(np.linalg.norm(queries_QD, axis=1), np.finfo(np.float32).tiny)
    depth = min(depth, passages.count)
    starts = range(0, len(queries_QD), _QUERIES_AT_ONCE)
    parts = [slice(start, min(start + _QUERIES_AT_ONCE, len(queries_QD))) for start in starts]
    pairs = [_pairs_of(counts_Q, part.start, part.stop) for part in parts]
    best = [_Best(queries_QD[part], close_Q[part], depth) for part in parts]
    buffer = np.empty(-(-_PASSAGES_AT_ONCE // _GROUP) * _GROUP * min(_QUERIES_AT_ONCE, len(queries_QD)), np.float32)
    for block in _blocks(passages, lang_P, queries_QD.shape[1]):
        for part, pairs_of_part, best_of_part in zip(parts, pairs, best, strict=True):
            scores = _scores(block, queries_QD[part], buffer)
            best_of_part.add(scores)
            for start, stop in pairwise(pairs_of_part.nth_starts):
                row_M, pair_M = pairs_of_part.row_N[start:stop], pairs_of_part.pair_N[start:stop]
                relevant_R = _relevant(row_M, passage_N[pair_M], score_N[pair_M], lang_P, close_Q[part])
                counted = _count(scores, queries_QD[part], relevant_R)
                above_N[pair_M] += counted.above_R[row_M]
                own_above_N[pair_M] += counted.own_above_R[row_M]
                is_tied_N[pair_M] |= counted.is_tied_R[row_M]
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
        np.empty(0),
    )


class _Block(NamedTuple):
    """Some passages."""

    first: int
    vectors_BD: FloatMatrix
    lang_B: NDArray[np.int16]


class _Scores(NamedTuple):
    """What the passages of a block score for R queries."""

    block: _Block
    scores_BR: FloatMatrix
    groups_GSR: FloatMatrix
    """The same, some passages a group; the last is filled up with -inf."""
    best_GR: FloatMatrix
    """The best of each group."""

    def reaching(self, limit_R: FloatMatrix) -> tuple[IntArray, IntArray] | None:
        """Passages of the block and rows of the scores that are not below a limit of their query; None: they are many."""
        queries = len(limit_R)
        flat = np.flatnonzero(self.best_GR >= limit_R)
        if len(flat) * _SPARSE > self.best_GR.size:
            return None
        group, row = np.divmod(flat, queries)
        hit, member = np.divmod(np.flatnonzero(self.groups_GSR[group, :, row] >= limit_R[row][:, None]), _GROUP)
        passage, row = group[hit] * _GROUP + member, row[hit]
        is_passage = passage < len(self.scores_BR)
        return passage[is_passage], row[is_passage]


class _Relevant(NamedTuple):
    """At most one relevant passage of each of R queries; -1, and a limit that no score reaches, where there is none."""

    passage_R: IntArray
    score_R: FloatArray
    lang_R: NDArray[np.int16]
    low_R: FloatMatrix
    """The least float32 score that can be one before it."""
    high_R: FloatMatrix
    """The highest that can be one after it."""


class _Counted(NamedTuple):
    above_R: IntArray
    own_above_R: IntArray
    is_tied_R: NDArray[np.bool_]


def _blocks(passages: PassageBlocks, lang_P: NDArray[np.int16], dimension: int) -> Iterator[_Block]:
    """The blocks, cut."""
    first = 0
    for vectors_BD in passages.blocks():
        if vectors_BD.shape[1] != dimension:
            raise ValueError(f"query vectors have {dimension} dimensions and passage vectors {vectors_BD.shape[1]}")
        for start in range(0, len(vectors_BD), _PASSAGES_AT_ONCE):
            cut_BD = vectors_BD[start : start + _PASSAGES_AT_ONCE]
            yield _Block(first, cut_BD, lang_P[first : first + len(cut_BD)])
            first += len(cut_BD)
    if first != passages.count:
        raise ValueError(f"there are vectors of {first} passages, where there are {passages.count}")


def _scores(block: _Block, queries_RD: FloatMatrix, buffer: FloatMatrix) -> _Scores:
    """The scores of a block, in a buffer that the next call overwrites."""
    count, queries = len(block.vectors_BD), len(queries_RD)
    groups = -(-count // _GROUP)
    filled_BR = buffer[: groups * _GROUP * queries].reshape(groups * _GROUP, queries)
    np.matmul(block.vectors_BD, queries_RD.T, out=filled_BR[:count])
    # A vector that is not finite has no finite score; that of a finite one may overflow.
    if not np.isfinite(filled_BR[:count, 0]).all() and not np.isfinite(block.vectors_BD).all():
        raise ValueError(f"passage vectors hold NaN or infinity in rows {block.first} to {block.first + count - 1}")
    filled_BR[count:] = -np.inf
    groups_GSR = filled_BR.reshape(groups, _GROUP, queries)
    return _Scores(block, filled_BR[:count], groups_GSR, np.maximum.reduce(groups_GSR, axis=1))


def _relevant(
    row_M: IntArray, passage_M: IntArray, score_M: FloatArray, lang_P: NDArray[np.int16], close_R: FloatArray
) -> _Relevant:
    """M relevant passages of M of the R queries."""
    passage_R, lang_R = np.full(len(close_R), -1), np.full(len(close_R), -1, np.int16)
    score_R = np.full(len(close_R), np.inf)
    passage_R[row_M], score_R[row_M], lang_R[row_M] = passage_M, score_M, lang_P[passage_M]
    return _Relevant(passage_R, score_R, lang_R, (score_R - close_R).astype(np.float32), (score_R + close_R).astype(np.float32))


def _count(scores: _Scores, queries_RD: FloatMatrix, relevant: _Relevant) -> _Counted:
    """How many passages of a block stand before each relevant passage, in all and in its language."""
    queries, lang_B = len(queries_RD), scores.block.lang_B
    is_tied_R = np.zeros(queries, np.bool_)

    def is_before(passage: IntArray, row: IntArray) -> NDArray[np.bool_]:
        """Of passages too close to tell by float32; notes ties."""
        exact = _products(queries_RD[row], scores.block.vectors_BD[passage])
        number = scores.block.first + passage
        is_equal = (exact == relevant.score_R[row]) & (number != relevant.passage_R[row])
        is_tied_R[row[is_equal]] = True
        is_higher = (exact > relevant.score_R[row]) & (number != relevant.passage_R[row])
        before: NDArray[np.bool_] = is_higher | (is_equal & (number < relevant.passage_R[row]))
        return before

    reaching = scores.reaching(relevant.low_R)
    if reaching is not None:
        passage, row = reaching
        is_near = scores.scores_BR[passage, row] <= relevant.high_R[row]
        is_counted = ~is_near
        is_counted[is_near] = is_before(passage[is_near], row[is_near])
        passage, row = passage[is_counted], row[is_counted]
        own_row = row[lang_B[passage] == relevant.lang_R[row]]
        return _Counted(np.bincount(row, minlength=queries), np.bincount(own_row, minlength=queries), is_tied_R)
    above_BR = scores.scores_BR >= relevant.low_R
    passage, row = np.nonzero(above_BR & (scores.scores_BR <= relevant.high_R))
    above_BR[passage, row] = is_before(passage, row)
    own_R = np.zeros(queries, np.int64)
    for lang in np.unique(lang_B):
        own_R = np.where(relevant.lang_R == lang, _column_counts(above_BR[lang_B == lang]), own_R)
    return _Counted(_column_counts(above_BR), own_R, is_tied_R)


def _column_counts(is_set_BR: NDArray[np.bool_]) -> IntArray:
    """How many are set in each column; bytes are added 255 rows at a time, which takes a tenth of the time."""
    bytes_BR = is_set_BR.view(np.uint8)
    counts_R = np.zeros(is_set_BR.shape[1], np.int64)
    for start in range(0, len(bytes_BR), 255):
        counts_R += np.add.reduce(bytes_BR[start : start + 255], axis=0, dtype=np.uint8)
    return counts_R


class _Best:
    """The best passages of some queries so far, and those that are too close to the last of them to tell."""

    def __init__(self, queries_RD: FloatMatrix, close_R: FloatArray, depth: int) -> None:
        self._queries_RD, self._close_R, self._depth = queries_RD, close_R, depth
        self._limit_R = np.full(len(queries_RD), -np.inf)
        self._row, self._passage = [np.empty(0, np.int16)], [np.empty(0, np.int64)]
        self._score: list[FloatMatrix] = [np.empty(0, np.float32)]
        self._pending = 0

    def add(self, scores: _Scores) -> None:
        """Takes the scores of a block of passages."""
        if not self._depth:
            return
        scores_BR, limit_R = scores.scores_BR, self._limit_R
        # The best of groups do where they are enough: seldom are two of a group among the best.
        first_NR = scores.best_GR if len(scores.best_GR) >= self._depth else scores_BR
        cut = len(first_NR) - self._depth
        if cut >= 0 and not np.isfinite(limit_R).all():
            limit_R = np.maximum(limit_R, np.partition(np.ascontiguousarray(first_NR.T), cut, axis=1)[:, cut])
        low_R = (limit_R - self._close_R).astype(np.float32)
        reaching = scores.reaching(low_R)
        passage, row = reaching if reaching is not None else np.divmod(np.flatnonzero(scores_BR >= low_R), len(low_R))
        if not len(row):
            return
        self._row.append(row.astype(np.int16))
        self._passage.append(scores.block.first + passage)
        self._score.append(scores_BR[passage, row])
        self._pending += len(row)
        if self._pending >= len(self._queries_RD) * self._depth:
            self._keep_best()

    def finished(self, passages: PassageBlocks) -> tuple[IntArray, FloatMatrix]:
        """The best `depth` passages of each query, higher scores first, then lower indices; and their scores."""
        shape = (len(self._queries_RD), self._depth)
        if not self._depth:
            return np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        self._keep_best()
        order, starts = _by_row(self._row[0], shape[0])
        row, passage, score = self._row[0][order].astype(np.int64), self._passage[0][order], self._score[0][order]
        falling = _falling(score, starts)
        exact = score.astype(np.float64)
        step = (np.diff(row) == 0) & (-np.diff(exact[falling]) <= 2 * self._close_R[row[:-1]])
        unsure = falling[np.append(step, False) | np.append(False, step)]
        exact[unsure] = _exact(self._queries_RD, passages, row[unsure], passage[unsure])
        best = _falling(exact, starts, self._depth)
        return passage[best].reshape(shape), exact[best].astype(np.float32).reshape(shape)

    def _keep_best(self) -> None:
        """Lets go of what cannot be among the best."""
        row, passage = np.concatenate(self._row), np.concatenate(self._passage)
        score: FloatMatrix = np.concatenate(self._score)
        order, starts = _by_row(row, len(self._queries_RD))
        score_of_row = score[order]
        for query, (start, stop) in enumerate(pairwise(starts)):
            if (cut := stop - start - self._depth) >= 0:
                score_of_row[start:stop].partition(cut)
                self._limit_R[query] = score_of_row[start + cut]
        kept = score >= (self._limit_R - self._close_R).astype(np.float32)[row]
        self._row, self._passage, self._score = [row[kept]], [passage[kept]], [score[kept]]
        self._pending = 0


def _by_row(row: NDArray[np.int16], rows: int) -> tuple[IntArray, list[int]]:
    """The order by row, passages in their order, and where each row starts and the last ends."""
    order = np.argsort(row, kind="stable")  # of 16 bits: as fast as a copy
    return order, [0, *np.cumsum(np.bincount(row, minlength=rows)).tolist()]


def _falling(score: FloatArray | FloatMatrix, starts: list[int], depth: int | None = None) -> IntArray:
    """The order of each row by falling score, equal ones as they stand; the first `depth` of each."""
    orders = [start + np.argsort(-score[start:stop], kind="stable")[:depth] for start, stop in pairwise(starts)]
    return np.concatenate(orders)


def _exact(queries_QD: FloatMatrix, passages: PassageBlocks, query_N: IntArray, passage_N: IntArray) -> FloatArray:
    """The score of each pair in float64, [N]."""
    score_N = np.empty(len(query_N))
    for start in range(0, len(query_N), _PAIRS_AT_ONCE):
        pairs = slice(start, start + _PAIRS_AT_ONCE)
        score_N[pairs] = _products(queries_QD[query_N[pairs]], passages.rows(passage_N[pairs]))
    return score_N


def _products(left_ND: FloatMatrix, right_ND: FloatMatrix) -> FloatArray:
    """The inner product of each row with the other's, in float64: equal for equal vectors."""
    products_N = np.empty(len(left_ND))
    for start in range(0, len(left_ND), _PRODUCTS_AT_ONCE):
        rows = slice(start, start + _PRODUCTS_AT_ONCE)
        np.einsum("nd,nd->n", left_ND[rows].astype(np.float64), right_ND[rows].astype(np.float64), out=products_N[rows])
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
