"""What every loss of a retriever has in common: from the vectors of a batch to a scalar and its named parts."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Embeddings(NamedTuple):
    """The vectors of one process's share of a batch, b rows, and who answers whom. Vectors need not be normalised.

    >>> import torch
    >>> rows = torch.arange(6.0).reshape(2, 3)
    >>> Embeddings(rows, rows, torch.tensor([0, 1])).cut(2).query_bD.tolist()
    [[0.0, 1.0], [3.0, 4.0]]
    """

    query_bD: Tensor
    passage_bD: Tensor
    """Row i is the positive of query i."""
    cluster_b: Tensor
    """Cluster of each row's group, integers: a passage of the query's own cluster answers it too, and is no negative."""
    negative_bHD: Tensor | None = None
    """Hard negatives of each row, the same H on every process."""
    negative_cluster_bH: Tensor | None = None
    """Clusters of the hard negatives; -1 marks a missing one, whose vector is not looked at."""
    switched_bD: Tensor | None = None
    """A code-switched copy of each query."""

    def cut(self, dimensions: int) -> "Embeddings":
        """The first numbers of every vector."""
        return self._replace(
            query_bD=self.query_bD[:, :dimensions],
            passage_bD=self.passage_bD[:, :dimensions],
            negative_bHD=None if self.negative_bHD is None else self.negative_bHD[..., :dimensions],
            switched_bD=None if self.switched_bD is None else self.switched_bD[:, :dimensions],
        )


class Loss(Protocol):
    """A loss over vectors, which knows no encoder: so it can be tested on plain tensors, cached (vectors first, their gradient
    after, the encoder in parts) and wrapped by another loss. A loss is a `torch.nn.Module` where it learns something.
    """

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """The loss of this process's rows and what it is made of.

        Every process of the default group calls it at the same step, with the same number of rows; the mean of `loss` over
        them is the loss of the global batch, and DDP's mean of the gradients is its gradient.

        Returns:
            `loss`, a scalar with gradient; and, under names of their own, scalars without gradient to be reported.

        Raises:
            UserError: the batch lacks what the loss needs.
        """
        ...
