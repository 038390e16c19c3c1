"""Rankings of some passages alone: those that a first search has chosen for each query."""

from collections.abc import Mapping, Sequence

import numpy as np

from xlret.evaluation.retrieve import NOT_RETRIEVED, Reorder, passage_of_columns
from xlret.shapes import FloatMatrix, IntArray


def among_candidates(candidates: Sequence[IntArray], passage_langs: Sequence[str], reorder: Reorder | None) -> Reorder:
    """The scores, or what `reorder` makes of them, of each query's candidates; all other passages are not retrieved."""

    def scores(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        passage_of = passage_of_columns(passage_langs, columns)
        column_of = np.empty_like(passage_of)
        column_of[passage_of] = np.arange(len(passage_of))
        outside_BP = np.ones(scores_BP.shape, np.bool_)
        for block_row, row in enumerate(rows.tolist()):
            outside_BP[block_row, column_of[candidates[row]]] = False
        scores_BP = np.where(outside_BP, NOT_RETRIEVED, scores_BP).astype(np.float32)
        if reorder is not None:
            scores_BP = np.where(outside_BP, NOT_RETRIEVED, reorder(rows, scores_BP, columns)).astype(np.float32)
        return scores_BP

    return scores


def candidates_order(candidates: Sequence[IntArray], passage_langs: Sequence[str]) -> Reorder:
    """The order in which the candidates were given, as scores: minus their positions. All others are not retrieved."""

    def scores(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        by_passage_BP = np.full(scores_BP.shape, NOT_RETRIEVED, np.float32)
        for block_row, row in enumerate(rows.tolist()):
            by_passage_BP[block_row, candidates[row]] = -np.arange(len(candidates[row]), dtype=np.float32)
        return by_passage_BP[:, passage_of_columns(passage_langs, columns)]

    return scores
