"""What every loss of a retriever has in common: from the vectors of a batch to a scalar and its named parts."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Translations(NamedTuple):
    """Vectors of the texts of a batch in another language."""

    vector_bD: Tensor
    """Row i is the translation of text i, the same fact of the same group."""
    known_b: Tensor
    """Bool: False where the group has none, whose vector is not looked at."""


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
    parallel_query: Translations | None = None
    """Each query in another language."""
    parallel_passage: Translations | None = None
    """Each positive in another language."""
    teacher_query_bD: Tensor | None = None
    """A teacher's vector of each group's query in the pivot language; zeros where there is none."""
    teacher_passage_bD: Tensor | None = None
    """The same of the positives."""
    teacher_score_bC: Tensor | None = None
    """A teacher's scores of each query's own candidates, the positive first, then its hard negatives; NaN where missing."""
    weight_b: Tensor | None = None
    """What each row's loss is multiplied by."""

    def with_translations(self) -> list[tuple[Tensor, Translations]]:
        """Queries and passages with their translations, those sides that have any."""
        sides = ((self.query_bD, self.parallel_query), (self.passage_bD, self.parallel_passage))
        return [(text_bD, translations) for text_bD, translations in sides if translations is not None]

    def cut(self, dimensions: int) -> "Embeddings":
        """The first numbers of every vector of the encoder; a teacher's stay whole."""

        def shorter(translations: Translations | None) -> Translations | None:
            return translations and Translations(translations.vector_bD[:, :dimensions], translations.known_b)

        return self._replace(
            query_bD=self.query_bD[:, :dimensions],
            passage_bD=self.passage_bD[:, :dimensions],
            negative_bHD=None if self.negative_bHD is None else self.negative_bHD[..., :dimensions],
            switched_bD=None if self.switched_bD is None else self.switched_bD[:, :dimensions],
            parallel_query=shorter(self.parallel_query),
            parallel_passage=shorter(self.parallel_passage),
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
