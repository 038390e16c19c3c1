"""Cross-lingual contrast (XLCO): each text has to find its translation among those of the global batch."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlret.errors import UserError
from xlret.model.gather import gather_rows
from xlret.model.losses.base import Embeddings, Translations
from xlret.model.losses.rows import mean_of_rows, own_rows, unit


class Xlco(nn.Module):
    """InfoNCE over cosines between texts and their translations, both ways, the mean over queries and passages.

    Queries are told apart from queries and passages from passages: it says nothing of which passage answers which query. So it
    is meant beside a loss that does (`InfoNCE`, or a teacher as in `Mimo`). A candidate of the text's own cluster that is not
    its translation is left out, as is a row whose group has no translation.

    Inputs: `Embeddings` with `parallel_query`, `parallel_passage` or both; `switched_bD` and hard negatives are not looked at.
    Cost: 2 x b x W*b scores for each side and process; the encoder reads b more texts a side.
    Source: the sentence-level contrast of InfoXLM (Chi et al., NAACL 2021), which MIMO (Jang, Hong and Lim,
    arXiv 2605.31171) mixes with distillation. Relations: `InfoNCE` symmetric, with translations in place of answers.

    >>> rows, clusters, known = torch.eye(2), torch.tensor([0, 1]), torch.tensor([True, True])
    >>> batch = Embeddings(rows, rows, clusters, parallel_query=Translations(rows, known))
    >>> round(Xlco(temperature=1.0).from_embeddings(batch)["loss"].item(), 4)  # -log(e / (e + 1)), both ways
    0.3133
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: the batch has no translations.
        """
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            losses = [
                self._contrast(text_bD, translations, embeddings) for text_bD, translations in embeddings.with_translations()
            ]
        if not losses:
            raise UserError("loss.kind xlco compares texts with their translations, which this batch has none of")
        return {"loss": torch.stack(losses).mean()}

    forward = from_embeddings

    def _contrast(self, text_bD: Tensor, translations: Translations, embeddings: Embeddings) -> Tensor:
        cluster_b = embeddings.cluster_b
        text_bD, other_bD, known_b = unit(text_bD), unit(translations.vector_bD), translations.known_b
        rows = torch.arange(len(text_bD), device=text_bD.device)
        cluster_N, known_N = gather_rows(cluster_b), gather_rows(known_b.long()).bool()
        own_b = own_rows(len(rows), len(cluster_N), rows.device)
        removed_bN = (cluster_b[:, None] == cluster_N) | ~known_N
        removed_bN[rows, own_b] = False
        ways = []
        for from_bD, to_bD in ((text_bD, other_bD), (other_bD, text_bD)):
            scores_bN = (from_bD @ gather_rows(to_bD).T / self.temperature).masked_fill(removed_bN, -torch.inf)
            ways.append(functional.cross_entropy(scores_bN, own_b, reduction="none"))
        return mean_of_rows(torch.stack(ways).mean(dim=0), known_b, embeddings.weight_b)
