"""One step of training a reranker: a loss over the logits of each query's candidates, and its evaluation inside the run."""

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from xlret.batches.pairs import AssembledPairs
from xlret.evaluation.lists import candidate_lists, list_scores
from xlret.evaluation.metrics import mean
from xlret.evaluation.sets import RetrievalSet
from xlret.model.losses.lists import lists_of, make_list_loss
from xlret.model.losses.settings import TAUGHT, ListLoss
from xlret.model.reranker import Reranker
from xlret.tokens.pairs import PairIds
from xlret.tokens.ragged import Ragged, padded_tokens
from xlret.training.dev import DevSets
from xlret.training.shares import Shares
from xlret.training.steps.base import Step


class RerankerStep(Step):
    """Reranker and one of the losses of `model/losses/lists.py`."""

    def __init__(
        self,
        reranker: Reranker,
        tokens_per_forward: int,
        autocast: bool,
        dev_negatives: int = 15,
        loss: ListLoss = "pointwise",
        teacher_temperature: float = 1.0,
    ) -> None:
        """`teacher_temperature` is what rank_distillation and margin_mse divide a teacher's scores by."""
        super().__init__()
        self._terms = make_list_loss(loss, teacher_temperature)
        self._is_taught = loss in TAUGHT
        self.reranker = reranker
        self._tokens_per_forward = tokens_per_forward
        self._autocast = autocast
        self._dev_negatives = dev_negatives

    def forward(self, batch: AssembledPairs) -> dict[str, Tensor]:
        """The mean over the terms of all workers is the mean of what they return: they may have unequal numbers of them."""
        pairs = PairIds(batch.pairs.ids, batch.types, batch.pairs.lengths)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            logits_N = self.reranker.logits(pairs, self._tokens_per_forward)
        labels_N = torch.from_numpy(batch.labels.copy()).to(self.device)
        teacher_N = torch.from_numpy(batch.teacher_scores.copy()).to(self.device) if self._is_taught else None
        terms_K = self._terms(lists_of(logits_N, labels_N, teacher_N))
        return {"loss": terms_K.sum() / _mean_over_workers(len(terms_K), self.device)}

    def dummy_batch(self) -> AssembledPairs:
        """Two pairs of two padding tokens each."""
        ids = np.full(4, self.reranker.card.pad_id, np.int32)
        pairs = Ragged(ids, np.array([2, 2], np.int32))
        return AssembledPairs(0, 0, "mono", pairs, np.zeros(4, np.int32), np.array([1, 0]), 0, 0, np.zeros(2, np.float32))

    def padded_tokens(self, batch: AssembledPairs) -> int:
        """Tokens that go through the model for this batch, padding included."""
        return padded_tokens(batch.pairs.lengths, self._tokens_per_forward)

    def evaluate(self, dev: DevSets, shares: Shares) -> dict[str, float] | None:
        """mAP over short lists (`evaluation/lists.py`) within a language, across and mixed, each the mean over the sets."""
        scored = [self._evaluate_set(dev_set, shares) for dev_set in dev.sets]
        if not shares.is_first:
            return None
        return {name: mean(np.array([scores[name] for scores in scored])) for name in scored[0]}

    def save(self, directory: Path) -> None:
        """Writes the reranker, in place of one that is already in `directory`."""
        self.reranker.save(directory, replace=True)

    def _evaluate_set(self, dev_set: RetrievalSet, shares: Shares) -> dict[str, float]:
        lists = candidate_lists(dev_set, self._dev_negatives)
        pairs = [
            (dev_set.query_texts[candidates.query], dev_set.passage_texts[passage])
            for candidates in lists
            for passage in candidates.passages
        ]
        precision: Literal["float32", "bfloat16"] = "bfloat16" if self._autocast else "float32"
        return list_scores(lists, shares.results(pairs, partial(self.reranker.score, precision=precision), self.device))


def _mean_over_workers(count: int, device: torch.device) -> Tensor:
    """Terms of the global batch divided by the number of workers: what makes DDP's mean of gradients that of the mean loss.

    Never 0: a batch in which no query has what the loss compares trains nothing.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return torch.tensor(float(max(count, 1)), device=device)
    total = torch.tensor(float(count), dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return (total.clamp(min=1) / dist.get_world_size()).float()
