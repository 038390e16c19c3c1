"""Evaluation of a run on held-out texts: all workers encode a share of them, the first one scores them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus import ParallelCorpus
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.metrics import mean
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.model.encoder import Encoder
from xlret.text.sides import Side
from xlret.training.settings import DevSettings
from xlret.training.shares import Shares

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

    def evaluate(self, encoder: Encoder, shares: Shares, precision: Precision) -> dict[str, float] | None:
        """Mo / Cr / Mul mAP and rank distance, each the mean over the sets; None on every worker but the first.

        All workers must call it at the same step.
        """
        evaluations = [
            evaluation
            for dev_set in self.sets
            if (evaluation := _evaluate_set(encoder, dev_set, shares, precision)) is not None
        ]
        if not evaluations:
            return None
        names = ("mo", "cr", "mul", "rank_distance")
        return {name: mean(np.array([getattr(evaluation, name) for evaluation in evaluations])) for name in names}


def _evaluate_set(encoder: Encoder, dev_set: RetrievalSet, shares: Shares, precision: Precision) -> Evaluation | None:
    was_training = encoder.training
    encoder.eval()
    queries = _encode_shared(encoder, dev_set.query_texts, "query", shares, precision)
    passages = _encode_shared(encoder, dev_set.passage_texts, "passage", shares, precision)
    encoder.train(was_training)
    return evaluate(dev_set, queries, passages) if shares.is_first else None


def _encode_shared(
    encoder: Encoder, texts: Sequence[str], side: Side, shares: Shares, precision: Precision
) -> NDArray[np.float32]:
    """Vectors of all texts, [N, D]; each distinct text is encoded once."""
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    largest = -(-len(distinct) // shares.world)

    def encode(share: list[str]) -> NDArray[np.float32]:
        padded = share + distinct[:1] * (encoder.sharded and len(share) < largest)  # equally many in all workers
        return encoder.encode(padded, side, precision=precision, remember=True)[: len(share)]

    vectors = shares.results(distinct, encode, next(encoder.parameters()).device)
    row_of = {text: row for row, text in enumerate(distinct)}
    return vectors[[row_of[text] for text in texts]]
