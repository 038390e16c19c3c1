"""Several rankings as one: reciprocal rank fusion."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy  # type: ignore[import-untyped]  # its submodules load when they are used

from xlret.evaluation.retrieve import NOT_RETRIEVED, Reorder
from xlret.shapes import FloatMatrix, IntArray

K = 60
"""The constant of Cormack, Clarke and Büttcher (SIGIR 2009)."""


def fused(rankings: Sequence[Reorder], *, with_vectors: bool) -> Reorder:
    """The sum of 1 / (60 + rank) over rankings of the whole pool; a ranking that has not retrieved a passage adds nothing.

    Passages of equal score share the best of their ranks. A passage that none has retrieved is not retrieved.

    Args:
        rankings: what scores.
        with_vectors: whether the scores of the vectors are a ranking too.

    Cost: a sort of all scores for each ranking.
    """

    def scores(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        parts = [scores_BP.copy()] if with_vectors else []
        parts += [ranking(rows, scores_BP.copy(), columns) for ranking in rankings]
        total_BP = np.zeros(scores_BP.shape, np.float32)
        for part_BP in parts:
            rank_BP = scipy.stats.rankdata(-part_BP, method="min", axis=1)
            total_BP += np.where(part_BP == NOT_RETRIEVED, 0, 1 / (K + rank_BP)).astype(np.float32)
        total_BP[total_BP == 0] = NOT_RETRIEVED
        return total_BP

    return scores
