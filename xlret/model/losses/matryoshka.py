"""A loss over the beginnings of vectors too, so that they may be cut short (Kusupati et al., NeurIPS 2022)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xlret.model.losses.infonce import InfoNCE


class Matryoshka(nn.Module):
    """The mean of a loss over whole vectors and over their first d numbers, for each d of `dimensions`.

    The inner loss normalises what it is given, as whoever cuts a vector has to. Nothing is learned besides: at search time
    the first d numbers are the vector of d dimensions.

    Args:
        loss: the loss of vectors of any length.
        dimensions: lengths, each less than the vectors'.

    Cost: the inner loss once more for each length; the encoder runs once.

    >>> from xlret.model.losses.settings import LossSettings
    >>> loss = Matryoshka(InfoNCE(LossSettings(temperature=1.0)), [1])
    >>> queries, clusters = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1])
    >>> halves = [loss.loss(part, part, clusters).item() for part in (queries, queries[:, :1])]
    >>> round(loss(queries, queries, clusters).item() - sum(halves) / 2, 6)
    0.0
    """

    def __init__(self, loss: InfoNCE, dimensions: Sequence[int]) -> None:
        super().__init__()
        self.loss = loss
        self.dimensions = tuple(dimensions)

    def from_embeddings(
        self,
        query_bD: Tensor,
        passage_bD: Tensor,
        cluster_b: Tensor,
        negative_bHD: Tensor | None = None,
        negative_cluster_bH: Tensor | None = None,
    ) -> Tensor:
        """The loss of this process's rows, a scalar; arguments and errors are the inner loss's."""

        def of_length(d: int) -> Tensor:
            negatives = None if negative_bHD is None else negative_bHD[..., :d]
            loss: Tensor = self.loss(query_bD[:, :d], passage_bD[:, :d], cluster_b, negatives, negative_cluster_bH)
            return loss

        return torch.stack([of_length(d) for d in (*self.dimensions, query_bD.shape[1])]).mean()

    forward = from_embeddings
