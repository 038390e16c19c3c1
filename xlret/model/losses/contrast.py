"""Queries close to their own code-switched copies (ContrastiveMix; Do, Lee and Hwang, NAACL 2024)."""

from torch import Tensor, nn

from xlret.model.losses.base import Embeddings, Loss


class SwitchedContrast(nn.Module):
    """A loss, plus a weight times the same loss between each query and its own code-switched copy.

    Each query has to find its own copy among those of the global batch, at the inner loss's temperature; copies of queries
    of the same cluster are left out, and hard negatives have no part in it. Batches without copies get the inner loss alone.
    It wraps whatever loss the retriever is trained with, `InfoNCE` or `Matryoshka` over it.

    Inputs: `Embeddings` with `switched_bD` [b, D]; parts are the inner loss's and `contrast`.
    Cost: the inner loss twice; the encoder reads the copies, b more texts.

    >>> import torch
    >>> from xlret.model.losses.infonce import InfoNCE
    >>> from xlret.model.losses.settings import LossSettings
    >>> inner, rows, clusters = InfoNCE(LossSettings(temperature=1.0)), torch.eye(2), torch.tensor([0, 1])
    >>> parts = SwitchedContrast(inner, 0.5).from_embeddings(Embeddings(rows, rows, clusters, switched_bD=rows.flip(0)))
    >>> [round(parts[name].item(), 4) for name in ("contrast", "loss")]  # 1.3133 = -log(1 / (1 + e)); .3133 + .5 * 1.3133
    [1.3133, 0.9699]
    """

    def __init__(self, loss: Loss, weight: float) -> None:
        super().__init__()
        self.loss = loss
        self.weight = weight

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`."""
        parts = self.loss.from_embeddings(embeddings._replace(switched_bD=None))
        if embeddings.switched_bD is None:
            return parts
        pairs = Embeddings(embeddings.query_bD, embeddings.switched_bD, embeddings.cluster_b)
        contrast = self.loss.from_embeddings(pairs)["loss"]
        return {**parts, "loss": parts["loss"] + self.weight * contrast, "contrast": contrast.detach()}

    forward = from_embeddings
