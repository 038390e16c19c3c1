"""Vectors spread over the sphere: a regulariser beside any loss (GOR)."""

import torch
from torch import Tensor, nn

from xlret.model.gather import gather_rows
from xlret.model.losses.base import Embeddings, Loss
from xlret.model.losses.rows import unit


class Spread(nn.Module):
    """A loss, plus a weight times how far the cosines of unrelated texts are from those of vectors spread evenly.

    For queries and for positives of the global batch: M1^2 + max(0, M2 - 1/D), with the mean M1 and the second moment M2 of
    the cosines of texts of different clusters; both are 0 and 1/D for vectors that are uniform on the sphere. The mean of the
    two sides. Hard negatives and translations have no part in it.

    Inputs: those of the inner loss; parts are the inner loss's and `spread`.
    Cost: the inner loss and 2 x (W*b)^2 cosines on each process.
    Source: global orthogonal regularisation (Zhang et al., ICCV 2017), used for EmbeddingGemma (arXiv 2509.20354).

    >>> from xlret.model.losses.infonce import InfoNCE
    >>> from xlret.model.losses.settings import LossSettings
    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> parts = Spread(InfoNCE(LossSettings()), 0.1).from_embeddings(Embeddings(rows, rows, torch.tensor([0, 1])))
    >>> round(parts["spread"].item(), 4)  # all cosines are 1: 1 + (1 - 1/2)
    1.5
    """

    def __init__(self, loss: Loss, weight: float) -> None:
        super().__init__()
        self.loss = loss
        self.weight = weight

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`."""
        parts = self.loss.from_embeddings(embeddings)
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            sides = [_crowding(rows_bD, embeddings.cluster_b) for rows_bD in (embeddings.query_bD, embeddings.passage_bD)]
        spread = torch.stack(sides).mean()
        return {**parts, "loss": parts["loss"] + self.weight * spread, "spread": spread.detach()}

    forward = from_embeddings


def _crowding(rows_bD: Tensor, cluster_b: Tensor) -> Tensor:
    """The same on every process, of the rows of all of them.

    Each process works on all pairs, not on its own rows': the mean is squared, and the mean of the processes' own squares
    would be another number. The gather sums the gradients of all processes, and DDP takes their mean.
    """
    rows_ND, cluster_N = gather_rows(unit(rows_bD)), gather_rows(cluster_b)
    unrelated_NN = cluster_N[:, None] != cluster_N
    count = unrelated_NN.sum().clamp(min=1)
    cosine_NN = (rows_ND @ rows_ND.T).masked_fill(~unrelated_NN, 0)
    first, second = cosine_NN.sum() / count, cosine_NN.square().sum() / count
    return first.square() + (second - 1 / rows_ND.shape[1]).clamp(min=0)
