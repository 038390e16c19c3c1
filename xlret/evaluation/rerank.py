"""Reranking in evaluation: the best passages of each query get the order that a reranker gives them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xlret.evaluation.retrieve import NOT_RETRIEVED, Reorder, passage_of_columns
from xlret.evaluation.sets import RetrievalSet
from xlret.shapes import FloatMatrix, IntArray

_PAIRS_AT_ONCE = 8192
"""So many are tokenised together; a block of queries may have half a million."""


class Scorer(Protocol):
    """What reranks: `Reranker.score`, with its settings filled in."""

    def __call__(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float32]: ...


def reranking(retrieval_set: RetrievalSet, score: Scorer, depth: int) -> Reorder:
    """A `Reorder` for `evaluate`: the `depth` best passages of the pooled ranking stand in the order of their new scores.

    What was not retrieved is not reranked.

    They stay above all others, which keep their order; passages with equal new scores stay tied (and go by index). So ranks
    and metrics within a language change through the pooled ranking alone. The scores that rankings report are, for reranked
    passages, no logits: the best score of the others plus 1, 2, ... in the new order.

    Args:
        retrieval_set: queries and passages.
        score: gives each pair of a query and a passage a number.
        depth: passages of each query to rerank; all where there are no more.

    Cost: queries x depth pairs through the reranker.
    """

    def reorder(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        passage_of = passage_of_columns(retrieval_set.passage_langs, columns)
        tops = [_best(scores_P, passage_of, depth) for scores_P in scores_BP]
        texts = [retrieval_set.query_texts[row] for row in rows]
        pairs = [(text, retrieval_set.passage_texts[passage_of[p]]) for text, top in zip(texts, tops, strict=True) for p in top]
        starts = range(0, len(pairs), _PAIRS_AT_ONCE)
        new = np.concatenate([np.empty(0, np.float32), *(score(pairs[at : at + _PAIRS_AT_ONCE]) for at in starts)])
        ends = np.cumsum([len(top) for top in tops])
        for scores_P, top, new_K in zip(scores_BP, tops, np.split(new, ends[:-1]), strict=True):
            others = np.delete(scores_P, top)
            new_ranks = np.unique(new_K, return_inverse=True)[1]
            scores_P[top] = np.ceil(others.max(initial=0.0)) + 1 + new_ranks
        return scores_BP

    return reorder


def _best(scores_P: FloatMatrix, passage_of: IntArray, depth: int) -> IntArray:
    """The columns of the best `depth` passages that were retrieved, best first, ties by passage."""
    order: IntArray = np.lexsort((passage_of, -scores_P))[:depth]
    kept: IntArray = order[scores_P[order] != NOT_RETRIEVED]
    return kept
