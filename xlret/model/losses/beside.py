"""InfoNCE between queries and passages, and a term beside it."""

from torch import Tensor, nn

from xlret.model.losses.base import Embeddings, Loss


class Beside(nn.Module):
    """The weighted sum of a retrieval loss and another loss over the same batch.

    Inputs: what the two need. Parts: those of both, and their losses unweighted as `retrieval` and `term`.
    Cost: that of both; the encoder runs once.
    """

    def __init__(self, retrieval: Loss, term: Loss, retrieval_weight: float, term_weight: float) -> None:
        super().__init__()
        self.retrieval, self.term = retrieval, term
        self.retrieval_weight, self.term_weight = retrieval_weight, term_weight

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`."""
        retrieval, term = self.retrieval.from_embeddings(embeddings), self.term.from_embeddings(embeddings)
        loss = self.retrieval_weight * retrieval["loss"] + self.term_weight * term["loss"]
        return {**retrieval, **term, "loss": loss, "retrieval": retrieval["loss"].detach(), "term": term["loss"].detach()}

    forward = from_embeddings
