"""Whether a teacher's scores of mined hard negatives are of a scale that a loss can take over."""

from collections.abc import Sequence

import numpy as np

from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.training.settings import TrainJob

_GROUPS = 1_000
"""Of a corpus, from its start, whose scores are looked at."""


def check_teacher_scores(job: TrainJob, corpora: Sequence[ParallelCorpus]) -> None:
    """Refuses cosines in place of logits: at a temperature of 1 they differ so little that a model unlearns all order.

    Of a run whose loss takes over a teacher's scores and that names no `teacher_temperature`; any other passes.

    Raises:
        UserError: all scores of a corpus lie within -1 and 1; says what to set.
    """
    key, is_taught, temperature = (
        ("reranker", job.reranker.is_taught, job.reranker.teacher_temperature)
        if job.model == "reranker"
        else ("loss", job.loss.has_reranked, job.loss.teacher_temperature)
    )
    if not is_taught or temperature is not None:
        return
    for corpus in corpora:
        groups = np.arange(min(corpus.n_groups, _GROUPS))
        scores = corpus.hard_negative_scores(groups, job.hard_negatives)
        known = scores[np.isfinite(scores)]
        if len(known) and np.abs(known).max() <= 1:
            raise UserError(
                f"the scores of hard negatives in {corpus.path} lie between {known.min():.3f} and {known.max():.3f}, as "
                f"cosines of an encoder do: as they are they say almost nothing of an order; set {key}.teacher_temperature to "
                "the temperature that the encoder was trained at, such as 0.05 (0.01 for E5), or mine with a reranker"
            )
