"""Evaluation inside a run: all workers encode a share of the held-out texts, the first one scores them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from xlret.data.corpus import ParallelCorpus
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.metrics import mean
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.model.encoder import Encoder
from xlret.text.sides import Side
from xlret.training.settings import DevSettings

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class DevSets:
    """The held-out sets of a run, the same on every worker."""

    sets: tuple[RetrievalSet, ...]

    @classmethod
    def open(cls, settings: DevSettings) -> "DevSets":
        """Opens the dev corpora and takes `settings.groups` groups of each."""
        corpora = [ParallelCorpus.open(path, verify=False) for path in settings.corpora]
        return cls(
            tuple(from_corpus(corpus, languages=settings.languages, groups=settings.groups, seed=0) for corpus in corpora)
        )

    def evaluate(self, encoder: Encoder, rank: int, world: int, precision: Precision) -> dict[str, float] | None:
        """Mo / Cr / Mul mAP and rank distance, each the mean over the sets; None on every worker but the first.

        All workers must call it at the same step.
        """
        evaluations = [
            evaluation
            for dev_set in self.sets
            if (evaluation := _evaluate_set(encoder, dev_set, rank, world, precision)) is not None
        ]
        if not evaluations:
            return None
        names = ("mo", "cr", "mul", "rank_distance")
        return {name: mean(np.array([getattr(evaluation, name) for evaluation in evaluations])) for name in names}


def _evaluate_set(encoder: Encoder, dev_set: RetrievalSet, rank: int, world: int, precision: Precision) -> Evaluation | None:
    was_training = encoder.training
    encoder.eval()
    queries = _encode_shared(encoder, dev_set.query_texts, "query", rank, world, precision)
    passages = _encode_shared(encoder, dev_set.passage_texts, "passage", rank, world, precision)
    encoder.train(was_training)
    return evaluate(dev_set, queries, passages) if rank == 0 else None


def _encode_shared(
    encoder: Encoder, texts: list[str], side: Side, rank: int, world: int, precision: Precision
) -> NDArray[np.float32]:
    """Vectors of all texts, [N, D]; each worker encodes every `world`-th distinct text."""
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    vectors = np.zeros((len(distinct), encoder.dimension), np.float32)
    share = distinct[rank::world]
    padded = share + distinct[:1] * (encoder.sharded and len(share) * world < len(distinct))  # equally many in all workers
    vectors[rank::world] = encoder.encode(padded, side, precision=precision, remember=True)[: len(share)]
    if world > 1:
        shared = torch.from_numpy(vectors).to(next(encoder.parameters()).device)
        dist.all_reduce(shared)  # every row is zero on all workers but one
        vectors = shared.cpu().numpy()
    row_of = {text: row for row, text in enumerate(distinct)}
    return vectors[[row_of[text] for text in texts]]
