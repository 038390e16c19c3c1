"""A loss over the beginnings of vectors too, so that they may be cut short (Kusupati et al., NeurIPS 2022)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xlret.model.losses.base import Embeddings, Loss


class Matryoshka(nn.Module):
    """The mean of a loss over whole vectors and over their first d numbers, for each d of `dimensions`.

    The inner loss normalises what it is given, as whoever cuts a vector has to. Nothing is learned besides: at search time
    the first d numbers are the vector of d dimensions. It wraps any loss over cosines (`InfoNCE`); `SwitchedContrast` may wrap
    it in turn.

    Inputs: `Embeddings`, whose vectors are longer than all of `dimensions`; parts are `loss_d` for each d, the whole included.
    Cost: the inner loss once more for each length; the encoder runs once.

    >>> from xlret.model.losses.infonce import InfoNCE
    >>> from xlret.model.losses.settings import LossSettings
    >>> loss = Matryoshka(InfoNCE(LossSettings(temperature=1.0)), [1])
    >>> queries, clusters = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1])
    >>> parts = loss.from_embeddings(Embeddings(queries, queries, clusters))
    >>> {name: round(value.item(), 4) for name, value in parts.items()}  # cut to one number the queries are alike: log(2)
    {'loss': 0.6253, 'loss_1': 0.6931, 'loss_2': 0.5574}
    """

    def __init__(self, loss: Loss, dimensions: Sequence[int]) -> None:
        super().__init__()
        self.loss = loss
        self.dimensions = tuple(dimensions)

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`."""
        lengths = (*self.dimensions, embeddings.query_bD.shape[1])
        losses = {d: self.loss.from_embeddings(embeddings.cut(d))["loss"] for d in lengths}
        return {"loss": torch.stack(list(losses.values())).mean(), **{f"loss_{d}": loss.detach() for d, loss in losses.items()}}

    forward = from_embeddings
