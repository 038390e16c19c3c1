"""CLEAR: InfoNCE, the way back from passages to translated queries, and agreement between the two."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlret.errors import UserError
from xlret.model.gather import gather_rows
from xlret.model.losses.base import Embeddings, Translations
from xlret.model.losses.infonce import InfoNCE
from xlret.model.losses.rows import mean_of_rows, own_rows, unit
from xlret.model.losses.settings import LossSettings


class Clear(nn.Module):
    """(1 - a - b) InfoNCE + a reverse + b agreement, with the passage as the bridge between a query and its translation.

    Reverse: each positive has to find the translation of its query among those of the global batch. Agreement: the divergence
    KL(reverse distribution over translated queries || distribution of the query over positives), column by column the same
    groups. Columns of the row's own cluster (but for its own) and groups without a translation are left out of both; rows
    without a translation have InfoNCE alone. Both distributions get gradient, as in the published code; its hard negative
    queries have no counterpart here, so agreement is over positives alone.

    Inputs: `Embeddings` with `parallel_query`; hard negatives, if any, are InfoNCE's. Meant for batches in which queries and
    passages differ in language (`plan.regime: cross`). Parts: `retrieval`, `reverse`, `agreement`.
    Cost: InfoNCE and 2 x b x W*b scores on each process; the encoder reads b more queries.
    Source: Lee et al., arXiv 2604.05821: a = .4, b = .2, scale 20. Relations: `Lakda` compares a query with its translation
    directly; with a and b 0 this is `InfoNCE`.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.retrieval = InfoNCE(settings)
        self.settings = settings

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: the batch has no translations of queries.
        """
        if embeddings.parallel_query is None:
            raise UserError("loss.kind clear leads passages to translated queries, which this batch has none of")
        retrieval = self.retrieval.from_embeddings(embeddings)["loss"]
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            reverse, agreement = self._back(embeddings, embeddings.parallel_query)
        a, b = self.settings.reverse_share, self.settings.agreement_share
        parts = {"retrieval": retrieval, "reverse": reverse, "agreement": agreement}
        loss = (1 - a - b) * retrieval + a * reverse + b * agreement
        return {"loss": loss, **{name: part.detach() for name, part in parts.items()}}

    forward = from_embeddings

    def _back(self, embeddings: Embeddings, translations: Translations) -> tuple[Tensor, Tensor]:
        query_bD, passage_bD, other_bD = map(unit, (embeddings.query_bD, embeddings.passage_bD, translations.vector_bD))
        cluster_N, known_N = gather_rows(embeddings.cluster_b), gather_rows(translations.known_b.long()).bool()
        rows = torch.arange(len(query_bD), device=query_bD.device)
        own_b = own_rows(len(rows), len(cluster_N), rows.device)
        removed_bN = (embeddings.cluster_b[:, None] == cluster_N) | ~known_N
        removed_bN[rows, own_b] = False
        forth_bN, back_bN = (
            torch.log_softmax(
                (from_bD @ gather_rows(to_bD).T / self.settings.temperature).masked_fill(removed_bN, -torch.inf), 1
            )
            for from_bD, to_bD in ((query_bD, passage_bD), (passage_bD, other_bD))
        )
        reverse_b = functional.nll_loss(back_bN, own_b, reduction="none")
        # Where a column is removed both logarithms are minus infinity: their difference is no number, their share nothing.
        difference_bN = back_bN.masked_fill(removed_bN, 0) - forth_bN.masked_fill(removed_bN, 0)
        agreement_b = (back_bN.exp() * difference_bN).sum(dim=1)
        means = [mean_of_rows(loss_b, translations.known_b, embeddings.weight_b) for loss_b in (reverse_b, agreement_b)]
        return means[0], means[1]
