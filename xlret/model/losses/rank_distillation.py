"""A reranker's distribution over a query's own candidates, taken over by the encoder (KL)."""

import torch
from torch import Tensor, nn

from xlret.model.losses.base import Embeddings
from xlret.model.losses.reranked import reranked
from xlret.model.losses.rows import mean_of_rows


class RankDistillation(nn.Module):
    """KL(softmax of the teacher's scores || softmax of cosines over the temperature) over the positive and own hard negatives.

    Candidates that are missing or have no score are left out; rows with fewer than two do not count.

    Inputs: `Embeddings` with hard negatives and `teacher_score_bC`, as `xlret mine` stores them.
    Cost: b x (1 + H) cosines; nothing is sent between processes but counts.
    Source: TCT-ColBERT (Lin, Yang and Lin, 2021), RocketQAv2, BGE-M3. Relations: `MarginMse` takes over differences, which
    depend on the teacher's scale; this one takes over the order and how sure it is, at `teacher_temperature`.
    """

    def __init__(self, temperature: float, teacher_temperature: float) -> None:
        super().__init__()
        self.temperature, self.teacher_temperature = temperature, teacher_temperature

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`.

        Raises:
            UserError: the batch has no hard negatives or no scores.
        """
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            student_bC, teacher_bC, known_bC = reranked(embeddings, "rank_distillation")
            row_known_b = known_bC[:, 0] & (known_bC.sum(dim=1) > 1)
            hidden_bC = ~known_bC
            hidden_bC[:, 0] = False  # so that no row is empty
            logs = [
                torch.log_softmax((scores_bC / temperature).masked_fill(hidden_bC, -torch.inf), dim=1).masked_fill(hidden_bC, 0)
                for scores_bC, temperature in ((teacher_bC, self.teacher_temperature), (student_bC, self.temperature))
            ]
            divergence_b = (logs[0].exp().masked_fill(hidden_bC, 0) * (logs[0] - logs[1])).sum(dim=1)
            return {"loss": mean_of_rows(divergence_b, row_known_b, embeddings.weight_b)}

    forward = from_embeddings
