"""One training step's forward pass: a ragged batch in, the loss out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xlret.batches.assemble import Assembled
from xlret.model.encoder import Encoder
from xlret.model.losses.base import Embeddings, Loss, Translations
from xlret.text.sides import Side
from xlret.tokens.ragged import Ragged, padded_tokens
from xlret.training.dev import DevSets
from xlret.training.shares import Shares
from xlret.training.steps.base import Step


class RetrieverStep(Step):
    """Encoder and loss as one module, so that DDP sees a single forward pass."""

    def __init__(
        self,
        encoder: Encoder,
        loss: Loss,
        tokens_per_forward: int,
        autocast: bool,
        parallel_sides: Sequence[Side] = (),
        has_teacher: bool = False,
        has_reranked: bool = False,
    ) -> None:
        """The last three say what batches bring beside pairs: translations of these sides, a teacher's vectors, its scores."""
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self._parallel_sides, self._has_teacher, self._has_reranked = parallel_sides, has_teacher, has_reranked
        self._tokens_per_forward = tokens_per_forward
        self._autocast = autocast

    def shard(self, device: torch.device) -> None:
        """See `Step.shard`. Gradients are averaged by the encoder's own backward passes."""
        self.encoder.shard(device)

    def forward(self, batch: Assembled) -> dict[str, Tensor]:
        """`loss` of this worker's rows against the passages of all workers, and the parts that it names."""
        sides = [side for side in batch.texts if len(side.lengths)]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            vectors = encode_sides(self.encoder, sides, self._tokens_at_once(batch))
        return self.loss_of(batch, vectors)

    def loss_of(self, batch: Assembled, vectors: Sequence[Tensor]) -> dict[str, Tensor]:
        """The loss of a batch whose texts have these vectors, those of each side that it has; and the parts that it names."""
        query_bD, passage_PD, *parallel = vectors
        return self.loss.from_embeddings(self._embeddings(batch, query_bD, passage_PD, parallel))

    def _tokens_at_once(self, batch: Assembled) -> int:
        """Padded tokens of a forward pass: chunks bound padding, so a packed batch is one, whose graph would be held anyway."""
        if not self.encoder.packs:
            return self._tokens_per_forward
        return sum(len(side.lengths) for side in batch.texts) * max(int(side.lengths.max(initial=1)) for side in batch.texts)

    def _embeddings(self, batch: Assembled, query_bD: Tensor, passage_PD: Tensor, parallel: list[Tensor]) -> Embeddings:
        b = len(batch.clusters)
        negative_bHD = negative_clusters = None
        if len(batch.negative_clusters):
            negative_bHD = passage_PD[b:].reshape(b, -1, passage_PD.shape[1])
            negative_clusters = self._tensor(batch.negative_clusters).reshape(b, -1)

        def translations(known: NDArray[np.int64]) -> Translations | None:
            return Translations(parallel.pop(0), self._tensor(known).bool()) if len(known) else None

        def teacher(numbers: NDArray[np.float32]) -> Tensor | None:
            return self._tensor(numbers).reshape(b, -1) if len(numbers) else None

        return Embeddings(
            query_bD[:b],
            passage_PD[:b],
            self._tensor(batch.clusters),
            negative_bHD,
            negative_clusters,
            switched_bD=query_bD[b:] if len(query_bD) > b else None,
            parallel_query=translations(batch.parallel_query_known),
            parallel_passage=translations(batch.parallel_passage_known),
            teacher_query_bD=teacher(batch.teacher_queries),
            teacher_passage_bD=teacher(batch.teacher_passages),
            teacher_score_bC=teacher(batch.teacher_scores),
            weight_b=self._tensor(batch.weights) if len(batch.weights) else None,
        )

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.copy()).to(self.device)  # streamed arrays may not be written to, which torch warns of

    def dummy_batch(self) -> Assembled:
        """Two queries and two passages of two padding tokens each, and as much beside them as the loss asks for."""
        text = Ragged(np.full(4, self.encoder.tokeniser.pad_id, np.int32), np.array([2, 2], np.int32))
        beside: dict[str, Any] = {}
        for side in self._parallel_sides:
            plural = "queries" if side == "query" else "passages"
            beside |= {f"parallel_{plural}": text, f"parallel_{side}_known": np.ones(2, np.int64)}
            if self._has_teacher:
                beside[f"teacher_{plural}"] = np.ones(2 * self.encoder.dimension, np.float32)
        if self._has_reranked:
            four = Ragged(np.full(8, self.encoder.tokeniser.pad_id, np.int32), np.full(4, 2, np.int32))
            scores = np.zeros(4, np.float32)
            return Assembled(0, 0, "mono", text, four, np.arange(2), np.arange(2, 4), 0, 0, teacher_scores=scores, **beside)
        return Assembled(0, 0, "mono", text, text, np.arange(2), np.empty(0, np.int64), 0, 0, **beside)

    def padded_tokens(self, batch: Assembled) -> int:
        """Tokens that go through the encoder for this batch, padding included."""
        if self.encoder.packs:
            return batch.tokens
        return padded_tokens(np.concatenate([side.lengths for side in batch.texts]), self._tokens_per_forward)

    def evaluate(self, dev: DevSets, shares: Shares) -> dict[str, float] | None:
        """Mo / Cr / Mul mAP and rank distance over exact rankings, each the mean over the sets."""
        return dev.evaluate(self.encoder, shares, "bfloat16" if self._autocast else "float32")

    def save(self, directory: Path) -> None:
        """Writes the encoder, in place of one that is already in `directory`."""
        self.encoder.save(directory, replace=True)


def encode_sides(encoder: Encoder, sides: Sequence[Ragged], tokens_per_batch: int) -> list[Tensor]:
    """Vectors of several sides at once, each [rows, D], with little padding: texts of both sides are batched by length."""
    ids, lengths = joined(sides)
    vectors_ND = encoder.vectors(ids, lengths, tokens_per_batch)
    return list(torch.split(vectors_ND, [len(side.lengths) for side in sides]))


def joined(sides: Sequence[Ragged]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Token ids and lengths of the texts of all sides, one side after the other."""
    return np.concatenate([side.ids for side in sides]), np.concatenate([side.lengths for side in sides])
