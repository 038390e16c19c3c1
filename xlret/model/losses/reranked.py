"""A query's own candidates for losses that distil a reranker: cosines, the teacher's scores, and which are missing."""

from typing import NamedTuple

import torch
from torch import Tensor

from xlret.errors import UserError
from xlret.model.losses.base import Embeddings
from xlret.model.losses.rows import unit


class Reranked(NamedTuple):
    """The positive and the hard negatives of each query: C = 1 + H candidates, the positive first."""

    student_bC: Tensor
    """Cosines."""
    teacher_bC: Tensor
    """The teacher's scores, 0 where they are missing."""
    known_bC: Tensor
    """Bool: the negative exists and the teacher scored it. Of the positive: it was scored."""


def reranked(embeddings: Embeddings, kind: str) -> Reranked:
    """Cosines of each query with its own candidates beside the teacher's scores of them.

    Raises:
        UserError: the batch has no hard negatives or no scores; names the loss.
    """
    negative_bHD, score_bC = embeddings.negative_bHD, embeddings.teacher_score_bC
    if negative_bHD is None or embeddings.negative_cluster_bH is None or score_bC is None:
        raise UserError(f"loss.kind {kind} needs hard negatives with a teacher's scores; mine them with xlret mine")
    candidate_bCD = torch.cat([embeddings.passage_bD[:, None], negative_bHD], dim=1)
    student_bC = torch.einsum("bd,bcd->bc", unit(embeddings.query_bD), unit(candidate_bCD))
    exists_bC = torch.cat([torch.ones_like(embeddings.cluster_b[:, None]).bool(), embeddings.negative_cluster_bH >= 0], dim=1)
    known_bC = exists_bC & score_bC.isfinite()
    return Reranked(student_bC, score_bC.nan_to_num().to(student_bC), known_bC)
