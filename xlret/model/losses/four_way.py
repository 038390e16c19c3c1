"""In-batch InfoNCE in up to four directions, harder negatives counting more."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlret.model.gather import gather_rows
from xlret.model.losses.base import Embeddings
from xlret.model.losses.rows import mean_of_rows, own_rows, unit
from xlret.model.losses.settings import LossSettings


class FourWay(nn.Module):
    """One softmax over a query's candidates and over what else stands near the pair: other queries, other passages.

    Row i's score is that of query i and its positive; against it stand, in one denominator, query i and all passages
    (`query_to_passage`, always in), query i and all other queries, positive i and all queries, positive i and all other
    passages. Queries and passages of the row's own cluster are left out everywhere, but for the pair itself.

    Hardness adds `hardness_strength` x cosine, without gradient, to the logits of query-to-passage negatives: of those of other
    rows (`in_batch`, strength 9 in the paper), of the row's own hard negatives (`hard`, 5 for EmbeddingGemma), or of `all`.

    Inputs: `Embeddings`; hard negatives may be missing.
    Cost: with n directions n x b x W*b*(1 + H) scores at most on each process.
    Source: GTE (Li et al., arXiv 2308.03281) for the directions, Lan et al. (arXiv 2503.04812) for hardness; the
    in-batch loss of sentence-transformers 6 has both. Relations: one direction without hardness is `InfoNCE`, whose
    `symmetric` takes the mean of two softmaxes instead.

    >>> rows = torch.eye(2)
    >>> batch = Embeddings(rows, rows, torch.tensor([0, 1]))
    >>> loss = FourWay(LossSettings(kind="four_way", temperature=1.0))
    >>> round(loss.from_embeddings(batch)["loss"].item(), 4)  # log((2e + 4) / e)
    1.2446
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings

    def from_embeddings(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """See `Loss.from_embeddings`."""
        with torch.autocast(embeddings.query_bD.device.type, enabled=False):
            return {"loss": mean_of_rows(self._loss_of_rows(embeddings), weight_b=embeddings.weight_b)}

    forward = from_embeddings

    def _loss_of_rows(self, embeddings: Embeddings) -> Tensor:
        directions, cluster_b = self.settings.directions, embeddings.cluster_b
        query_bD, passage_bD = unit(embeddings.query_bD), unit(embeddings.passage_bD)
        query_ND, candidate_CD = gather_rows(query_bD), gather_rows(passage_bD)
        cluster_N = gather_rows(cluster_b)
        candidate_cluster_C, is_own_bC = cluster_N, self._own(cluster_b, cluster_N)
        own_pair_bN = is_own_bC
        if embeddings.negative_bHD is not None:
            assert embeddings.negative_cluster_bH is not None, "negatives come with their clusters"
            negative_cluster_M = gather_rows(embeddings.negative_cluster_bH).reshape(-1)
            candidate_CD = torch.cat([candidate_CD, gather_rows(unit(embeddings.negative_bHD)).flatten(0, 1)])
            candidate_cluster_C = torch.cat([cluster_N, negative_cluster_M])
            is_own_bC = torch.cat([own_pair_bN, own_pair_bN.repeat_interleave(embeddings.negative_bHD.shape[1], dim=1)], dim=1)
        same_bN = cluster_b[:, None] == cluster_N
        same_bC = (cluster_b[:, None] == candidate_cluster_C) | (candidate_cluster_C < 0)
        is_pair_bC = functional.pad(own_pair_bN, (0, same_bC.shape[1] - same_bN.shape[1]))
        cosine_bC = query_bD @ candidate_CD.T
        hardness_bC = self._hardness(cosine_bC, is_own_bC, is_pair_bC)
        scores = [self._scored(cosine_bC, same_bC & ~is_pair_bC) + hardness_bC]
        if "query_to_query" in directions:
            scores.append(self._scored(query_bD @ query_ND.T, same_bN | own_pair_bN))
        if "passage_to_query" in directions:
            scores.append(self._scored(passage_bD @ query_ND.T, same_bN & ~own_pair_bN))
        if "passage_to_passage" in directions:
            scores.append(self._scored(passage_bD @ candidate_CD.T, same_bC | is_own_bC))
        target_b = own_pair_bN.long().argmax(dim=1)
        return functional.cross_entropy(torch.cat(scores, dim=1), target_b, reduction="none")

    def _own(self, cluster_b: Tensor, cluster_N: Tensor) -> Tensor:
        """[b, N] bool: which row of the global batch this process's row is."""
        own_b = own_rows(len(cluster_b), len(cluster_N), cluster_b.device)
        return own_b[:, None] == torch.arange(len(cluster_N), device=cluster_b.device)

    def _scored(self, cosine_bN: Tensor, removed_bN: Tensor) -> Tensor:
        return (cosine_bN / self.settings.temperature).masked_fill(removed_bN, -torch.inf)

    def _hardness(self, cosine_bC: Tensor, is_own_bC: Tensor, is_pair_bC: Tensor) -> Tensor:
        counted_bC = {
            "none": torch.zeros_like(is_own_bC),
            "in_batch": ~is_own_bC,
            "hard": is_own_bC & ~is_pair_bC,
            "all": ~is_pair_bC,
        }[self.settings.hardness]
        return self.settings.hardness_strength * cosine_bC.detach() * counted_bC
