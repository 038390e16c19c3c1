"""Texts and translations as distributions over the dimensions of their vectors: the Jensen-Shannon distance of the two."""

import torch
from torch import Tensor, nn

from xlret.errors import UserError
from xlret.model.losses.base import Embeddings
from xlret.model.losses.rows import mean_of_rows, unit

_LEAST = 1e-12
"""Divergences below it count as it: the root's slope at 0 is infinite."""


class JensenShannon(nn.Module):
    """The square root of the Jensen-Shannon divergence of softmaxed vectors of texts and their translations.

    The mean over rows, and over queries and passages. Vectors of length 1 are nearly uniform as distributions: for two that
    are near each other it is about their distance over sqrt(8 D), so that beside InfoNCE its weight says more than its value.

    Inputs: `Embeddings` with `parallel_query`, `parallel_passage` or both; rows without a translation do not count.
    Cost: b x D numbers; the encoder reads b more texts a side.
    Source: Hong et al., "Improving Semantic Proximity ... through Cross-Lingual Alignment", arXiv 2604.05684, where it goes
    beside InfoNCE and 2,800 triplets were enough. Relations: `Xlco` aligns by contrast, this without negatives.

    >>> from xlret.model.losses.base import Translations
    >>> rows, known = torch.eye(2), torch.tensor([True, True])
    >>> batch = Embeddings(rows, rows, torch.tensor([0, 1]), parallel_query=Translations(rows.flip(0), known))
    >>> round(JensenShannon().from_embeddings(batch)["loss"].item(), 4)
    0.3331
    """

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: the batch has no translations.
        """
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            losses = [
                mean_of_rows(_distance(text_bD, translations.vector_bD), translations.known_b, embeddings.weight_b)
                for text_bD, translations in embeddings.with_translations()
            ]
        if not losses:
            raise UserError("loss.kind jensen_shannon compares texts with their translations, which this batch has none of")
        return {"loss": torch.stack(losses).mean()}

    forward = from_embeddings


def _distance(left_bD: Tensor, right_bD: Tensor) -> Tensor:
    logs = [torch.log_softmax(unit(rows_bD), dim=1) for rows_bD in (left_bD, right_bD)]
    middle_bD = torch.logsumexp(torch.stack(logs), dim=0) - torch.log(logs[0].new_tensor(2.0))
    divergence_b = sum(((log_bD.exp() * (log_bD - middle_bD)).sum(dim=1) for log_bD in logs), logs[0].new_zeros(())) / 2
    return divergence_b.clamp(min=_LEAST).sqrt()
