"""A reranker's margins between a positive and a negative, taken over by the encoder (MarginMSE)."""

import torch
from torch import Tensor, nn

from xlret.model.losses.base import Embeddings
from xlret.model.losses.reranked import reranked
from xlret.model.losses.rows import mean_of_rows


class MarginMse(nn.Module):
    """The mean squared difference between the encoder's and the teacher's margins of a positive over each of its negatives.

    The encoder's margin is a difference of cosines over the temperature: cosines alone span 2, a reranker's logits 20. The
    teacher's is a difference of its scores over `teacher_temperature`, which brings a teacher's cosines to the same scale.

    Inputs: `Embeddings` with hard negatives and `teacher_score_bC`; pairs with a missing passage or score do not count.
    Cost: b x (1 + H) cosines; nothing is sent between processes but counts.
    Source: Hofstaetter et al., 2020 (arXiv 2010.02666). Relations: see `RankDistillation`.
    """

    def __init__(self, temperature: float, teacher_temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature, self.teacher_temperature = temperature, teacher_temperature

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: the batch has no hard negatives or no scores.
        """
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            student_bC, teacher_bC, known_bC = reranked(embeddings, "margin_mse")
            logits = (student_bC / self.temperature, teacher_bC / self.teacher_temperature)
            margins = [logits_bC[:, :1] - logits_bC[:, 1:] for logits_bC in logits]
            squared_bH = (margins[0] - margins[1]).square()
            if embeddings.weight_b is not None:
                squared_bH = squared_bH * embeddings.weight_b[:, None]
            return {"loss": mean_of_rows(squared_bH.flatten(), (known_bC[:, :1] & known_bC[:, 1:]).flatten())}

    forward = from_embeddings
