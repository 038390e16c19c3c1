"""A reranker's batches: each query with its passage, with passages of other rows of the batch, and with hard negatives."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xlret.batches.plan import StepPlan
from xlret.keys import generator
from xlret.shapes import IntArray
from xlret.tokens.ragged import Ragged


@dataclass(frozen=True)
class AssembledPairs:
    """One worker's share of one step: for each of its rows the positive pair, then the negative ones, as token ids."""

    step: int
    rank: int
    kind: str
    pairs: Ragged  # [N]
    types: NDArray[np.int32]  # [sum of lengths]: which tokens are the passage's
    labels: IntArray  # [N]: 1 for the pair of a query and its own passage
    words: int  # words of the sides that may be switched
    switched: int
    teacher_scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """[N]: a teacher's scores of the pairs, NaN where nothing scored them; none where the loss takes none over."""

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return int(self.pairs.lengths.sum())


def draw_negatives(plan: StepPlan, clusters_B: IntArray, rows: range, count: int, seed: int) -> list[IntArray]:
    """For each of `rows` the other rows of the batch whose passages it gets as negatives, `count` where there are so many.

    Never a row of the same cluster, whose passage answers too. First come rows whose passage stands to the query's language as
    the positive does (the same, or another): were languages to tell positives from negatives, a reranker would learn that
    instead. The draw depends on seed, step and row alone, not on how rows are shared out.

    Args:
        plan: the whole batch.
        clusters_B: the cluster of each row's group.
        rows: those wanted.
        count: negatives of a row.
        seed: the plan's.
    """
    query_B, passage_B = np.array(plan.query_lang, dtype=object), np.array(plan.passage_lang, dtype=object)
    drawn = []
    for row in rows:
        others = np.flatnonzero(clusters_B != clusters_B[row])
        others = generator(seed, "negatives", plan.step, row).permutation(others)
        like = (passage_B[others] == query_B[row]) == (passage_B[row] == query_B[row])
        drawn.append(others[np.argsort(~like, kind="stable")][:count])
    return drawn
