"""InfoNCE over cosine: each query has to find its passage among those of the whole global batch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlret.errors import UserError
from xlret.model.gather import gather_rows
from xlret.model.losses.base import Embeddings
from xlret.model.losses.rows import mean_of_rows, own_rows, unit
from xlret.model.losses.settings import COLDEST, HOTTEST, LossSettings


class InfoNCE(nn.Module):
    """InfoNCE with the positives and hard negatives of all processes as candidates.

    Query i of this process is scored against every positive of the global batch and every hard negative of the global batch.
    A candidate whose cluster is the query's own, and which is not the query's positive, answers the query too and is left out.
    The result is the mean over this process's rows. With equal numbers of rows on all processes, DDP's mean of the gradients
    is the gradient of the mean over the global batch (`gather_rows` says why).

    Inputs: `Embeddings` of b rows; `symmetric` and `printed_form` are options, hard negatives may be missing. Other losses here
    wrap this one (`Matryoshka`, `SwitchedContrast`).
    Cost: b x W*b*(1 + H) scores on each process, and D numbers received for each of the W*b*(1 + H) candidates.
    Source: van den Oord, Li and Vinyals, 2018; in-batch negatives as in DPR (Karpukhin et al., EMNLP 2020).

    >>> loss = InfoNCE(LossSettings(temperature=1.0))
    >>> rows = torch.eye(2)
    >>> round(loss(Embeddings(rows, rows, torch.tensor([0, 1])))["loss"].item(), 4)  # -log(e / (e + 1))
    0.3133
    >>> loss(Embeddings(rows, rows, torch.tensor([5, 5])))["loss"].item()  # each passage answers both: nothing to tell apart
    0.0
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings
        self.log_scale: nn.Parameter | None = None
        if settings.learned_temperature:
            self.log_scale = nn.Parameter(torch.tensor(-math.log(settings.temperature)))

    @property
    def temperature(self) -> float:
        """What cosines are divided by now."""
        return self.settings.temperature if self.log_scale is None else math.exp(-self.log_scale.item())

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`; in float32 (float64 for float64 vectors), under autocast too.

        Raises:
            UserError: `printed_form` without hard negatives.
        """
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            return {"loss": self._loss(embeddings)}

    forward = from_embeddings

    def _loss(self, embeddings: Embeddings) -> Tensor:
        query_bD, passage_bD, cluster_b, negative_bHD, negative_cluster_bH = embeddings[:5]
        query_bD, passage_bD = unit(query_bD), unit(passage_bD)
        scale = self._scale(query_bD)
        everyone_N = gather_rows(cluster_b)
        own_b = own_rows(len(query_bD), len(everyone_N), query_bD.device)
        removed_bN = self._same(cluster_b, everyone_N)
        removed_bN[torch.arange(len(query_bD), device=query_bD.device), own_b] = False
        positive_bN = (scale * query_bD @ gather_rows(passage_bD).T).masked_fill(removed_bN, -torch.inf)
        scores = [positive_bN]
        if self.settings.printed_form:
            if negative_bHD is None:
                raise UserError("loss.printed_form needs hard negatives; set hard_negatives or printed_form to false")
            scores = [positive_bN.gather(1, own_b[:, None])]
        if negative_bHD is not None:
            assert negative_cluster_bH is not None, "negatives come with their clusters"
            negative_cluster_M = gather_rows(negative_cluster_bH).reshape(-1)
            negative_MD = gather_rows(unit(negative_bHD)).flatten(0, 1)
            removed_bM = self._same(cluster_b, negative_cluster_M) | (negative_cluster_M < 0)
            scores.append((scale * query_bD @ negative_MD.T).masked_fill(removed_bM, -torch.inf))
        target_b = torch.zeros_like(own_b) if self.settings.printed_form else own_b
        loss = self._mean(torch.cat(scores, dim=1), target_b, embeddings.weight_b)
        if self.settings.symmetric:
            back_bN = (scale * passage_bD @ gather_rows(query_bD).T).masked_fill(removed_bN, -torch.inf)
            loss = (loss + self._mean(back_bN, own_b, embeddings.weight_b)) / 2
        return loss

    def _mean(self, scores_bN: Tensor, target_b: Tensor, weight_b: Tensor | None) -> Tensor:
        if weight_b is None:
            return functional.cross_entropy(scores_bN, target_b)
        return mean_of_rows(functional.cross_entropy(scores_bN, target_b, reduction="none"), weight_b=weight_b)

    def _scale(self, like: Tensor) -> Tensor:
        if self.log_scale is None:
            return like.new_tensor(1 / self.settings.temperature)
        with torch.no_grad():  # the bound is put on the weight itself, so that its gradient never dies
            self.log_scale.clamp_(-math.log(HOTTEST), -math.log(COLDEST))
        return self.log_scale.to(like.dtype).exp()

    def _same(self, cluster_b: Tensor, cluster_N: Tensor) -> Tensor:
        same_bN = cluster_b[:, None] == cluster_N
        return same_bN if self.settings.mask else torch.zeros_like(same_bN)
