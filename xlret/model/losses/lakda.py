"""Parallel queries rank alike (LaKDA): what a query says of the batch's passages, its translation says too."""

import torch
from torch import Tensor, nn

from xlret.errors import UserError
from xlret.model.gather import gather_rows
from xlret.model.losses.base import Embeddings
from xlret.model.losses.rows import mean_of_rows, unit


class Lakda(nn.Module):
    """Kullback-Leibler divergence between the distributions over passages of a query and of its translation.

    Both distributions are softmaxes of cosines over the temperature, over all positives and hard negatives of the global
    batch. The divergence is taken in both directions and halved, as neither language is the other's teacher here; both get
    gradient. It aligns rankings, not vectors, and says nothing of which passage is right: it goes beside `InfoNCE`.

    Inputs: `Embeddings` with `parallel_query`; rows whose group has no translation do not count. Hard negatives may be missing.
    Cost: 2 x b x W*b*(1 + H) scores on each process; the encoder reads b more queries.
    Source: the idea of LaKDA (Yang, Jiang and Baldwin, "Language Bias in Information Retrieval", MRL 2024, arXiv 2509.06195),
    written from its description: the paper's own form of the divergence and its weight were not at hand.

    >>> from xlret.model.losses.base import Translations
    >>> query, other = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> batch = Embeddings(query, query, torch.tensor([0, 1]), parallel_query=Translations(other, torch.tensor([True, True])))
    >>> round(Lakda(1.0).from_embeddings(batch)["loss"].item(), 4)  # (0 + (e - 1) / (e + 1)) / 2
    0.2311
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: the batch has no translations of queries.
        """
        if embeddings.parallel_query is None:
            raise UserError("loss.kind lakda compares queries with their translations, which this batch has none of")
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            return {
                "loss": self._divergence(embeddings, embeddings.parallel_query.vector_bD, embeddings.parallel_query.known_b)
            }

    forward = from_embeddings

    def _divergence(self, embeddings: Embeddings, other_bD: Tensor, known_b: Tensor) -> Tensor:
        passage_ND = gather_rows(unit(embeddings.passage_bD))
        if embeddings.negative_bHD is not None:
            assert embeddings.negative_cluster_bH is not None, "negatives come with their clusters"
            is_there_M = gather_rows(embeddings.negative_cluster_bH).reshape(-1) >= 0
            passage_ND = torch.cat([passage_ND, gather_rows(unit(embeddings.negative_bHD)).flatten(0, 1)[is_there_M]])
        log_bN, other_log_bN = (
            torch.log_softmax(unit(query_bD) @ passage_ND.T / self.temperature, dim=1)
            for query_bD in (embeddings.query_bD, other_bD)
        )
        difference_bN = log_bN - other_log_bN
        divergence_b = ((log_bN.exp() - other_log_bN.exp()) * difference_bN).sum(dim=1) / 2
        return mean_of_rows(divergence_b, known_b, embeddings.weight_b)
