"""InfoNCE over cosine: each query has to find its passage among those of the whole global batch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlret.errors import UserError
from xlret.model.gather import gather_rows
from xlret.model.losses.settings import COLDEST, HOTTEST, LossSettings


class InfoNCE(nn.Module):
    """InfoNCE with the positives and hard negatives of all processes as candidates.

    Query i of this process is scored against every positive of the global batch and every hard negative of the global batch.
    A candidate whose cluster is the query's own, and which is not the query's positive, answers the query too and is left out.
    The result is the mean over this process's rows. With equal numbers of rows on all processes, DDP's mean of the gradients
    is the gradient of the mean over the global batch (`gather_rows` says why).

    Cost: b x W*b*(1 + H) scores on each process.

    >>> loss = InfoNCE(LossSettings(temperature=1.0))
    >>> rows = torch.eye(2)
    >>> round(loss(rows, rows, torch.tensor([0, 1])).item(), 4)  # -log(e / (e + 1))
    0.3133
    >>> loss(rows, rows, torch.tensor([5, 5])).item()  # each passage answers the other query: nothing is left to tell apart
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

    def from_embeddings(
        self,
        query_bD: Tensor,
        passage_bD: Tensor,
        cluster_b: Tensor,
        negative_bHD: Tensor | None = None,
        negative_cluster_bH: Tensor | None = None,
    ) -> Tensor:
        """The loss of this process's rows, a scalar; in float32 (float64 for float64 vectors), under autocast too.

        Args:
            query_bD: queries; vectors need not be normalised.
            passage_bD: row i is the positive of query i.
            cluster_b: cluster of each row's group, integers.
            negative_bHD: hard negatives of each row, the same H on every process.
            negative_cluster_bH: their clusters; -1 marks a place without a negative, whose vector is not looked at.

        Raises:
            UserError: `printed_form` without hard negatives.
        """
        with torch.autocast(query_bD.device.type, enabled=False):
            return self._loss(query_bD, passage_bD, cluster_b, negative_bHD, negative_cluster_bH)

    forward = from_embeddings

    def _loss(
        self,
        query_bD: Tensor,
        passage_bD: Tensor,
        cluster_b: Tensor,
        negative_bHD: Tensor | None,
        negative_cluster_bH: Tensor | None,
    ) -> Tensor:
        query_bD, passage_bD = _unit(query_bD), _unit(passage_bD)
        scale = self._scale(query_bD)
        rows = len(query_bD)
        everyone_N = gather_rows(cluster_b)
        own_b = torch.arange(rows, device=query_bD.device) + rows * _rank_of(everyone_N, rows)
        removed_bN = self._same(cluster_b, everyone_N)
        removed_bN[torch.arange(rows, device=query_bD.device), own_b] = False
        positive_bN = (scale * query_bD @ gather_rows(passage_bD).T).masked_fill(removed_bN, -torch.inf)
        scores = [positive_bN]
        if self.settings.printed_form:
            if negative_bHD is None:
                raise UserError("loss.printed_form needs hard negatives; set hard_negatives or printed_form to false")
            scores = [positive_bN.gather(1, own_b[:, None])]
        if negative_bHD is not None:
            assert negative_cluster_bH is not None, "negatives come with their clusters"
            negative_cluster_M = gather_rows(negative_cluster_bH).reshape(-1)
            negative_MD = gather_rows(_unit(negative_bHD)).flatten(0, 1)
            removed_bM = self._same(cluster_b, negative_cluster_M) | (negative_cluster_M < 0)
            scores.append((scale * query_bD @ negative_MD.T).masked_fill(removed_bM, -torch.inf))
        target_b = torch.zeros_like(own_b) if self.settings.printed_form else own_b
        loss = functional.cross_entropy(torch.cat(scores, dim=1), target_b)
        if self.settings.symmetric:
            back_bN = (scale * passage_bD @ gather_rows(query_bD).T).masked_fill(removed_bN, -torch.inf)
            loss = (loss + functional.cross_entropy(back_bN, own_b)) / 2
        return loss

    def _scale(self, like: Tensor) -> Tensor:
        if self.log_scale is None:
            return like.new_tensor(1 / self.settings.temperature)
        with torch.no_grad():  # the bound is put on the weight itself, so that its gradient never dies
            self.log_scale.clamp_(-math.log(HOTTEST), -math.log(COLDEST))
        return self.log_scale.to(like.dtype).exp()

    def _same(self, cluster_b: Tensor, cluster_N: Tensor) -> Tensor:
        same_bN = cluster_b[:, None] == cluster_N
        return same_bN if self.settings.mask else torch.zeros_like(same_bN)


def _unit(rows: Tensor) -> Tensor:
    return functional.normalize(rows if rows.dtype == torch.float64 else rows.float(), dim=-1)


def _rank_of(gathered_N: Tensor, rows: int) -> int:
    """This process's place among those whose rows were gathered; 0 where nothing was."""
    return torch.distributed.get_rank() if len(gathered_N) > rows else 0
