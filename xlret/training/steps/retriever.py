"""One training step's forward pass: a ragged batch in, the loss out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xlret.batches.assemble import Assembled
from xlret.model.encoder import Encoder
from xlret.model.losses.base import Embeddings, Loss
from xlret.tokens.ragged import Ragged, padded_tokens
from xlret.training.dev import DevSets
from xlret.training.steps.base import Step


class RetrieverStep(Step):
    """Encoder and loss as one module, so that DDP sees a single forward pass."""

    def __init__(
        self,
        encoder: Encoder,
        loss: Loss,
        tokens_per_forward: int,
        autocast: bool,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self._tokens_per_forward = tokens_per_forward
        self._autocast = autocast

    def forward(self, batch: Assembled) -> dict[str, Tensor]:
        """`loss` of this worker's rows against the passages of all workers, and the parts that it names."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            query_bD, passage_PD = encode_sides(self.encoder, (batch.queries, batch.passages), self._tokens_per_forward)
        b = len(batch.clusters)
        negative_bHD = negative_clusters = None
        if len(batch.negative_clusters):
            negative_bHD = passage_PD[b:].reshape(b, -1, passage_PD.shape[1])
            negative_clusters = torch.from_numpy(batch.negative_clusters).to(self.device).reshape(b, -1)
        clusters = torch.from_numpy(batch.clusters.copy()).to(self.device)
        switched_bD = query_bD[b:] if len(query_bD) > b else None
        embeddings = Embeddings(query_bD[:b], passage_PD[:b], clusters, negative_bHD, negative_clusters, switched_bD)
        return self.loss.from_embeddings(embeddings)

    def dummy_batch(self) -> Assembled:
        """Two queries and two passages of two padding tokens each."""
        text = Ragged(np.full(4, self.encoder.tokeniser.pad_id, np.int32), np.array([2, 2], np.int32))
        return Assembled(0, 0, "mono", text, text, np.arange(2), np.empty(0, np.int64), 0, 0)

    def padded_tokens(self, batch: Assembled) -> int:
        """Tokens that go through the encoder for this batch, padding included."""
        return padded_tokens(np.concatenate([batch.queries.lengths, batch.passages.lengths]), self._tokens_per_forward)

    def evaluate(self, dev: DevSets, rank: int, world: int) -> dict[str, float] | None:
        """Mo / Cr / Mul mAP and rank distance over exact rankings, each the mean over the sets."""
        return dev.evaluate(self.encoder, rank, world, "bfloat16" if self._autocast else "float32")

    def save(self, directory: Path) -> None:
        """Writes the encoder, in place of one that is already in `directory`."""
        self.encoder.save(directory, replace=True)


def encode_sides(encoder: Encoder, sides: Sequence[Ragged], tokens_per_batch: int) -> list[Tensor]:
    """Vectors of several sides at once, each [rows, D], with little padding: texts of both sides are batched by length."""
    ids, lengths = (np.concatenate(parts) for parts in zip(*((side.ids, side.lengths) for side in sides), strict=True))
    vectors_ND = encoder.vectors(ids, lengths, tokens_per_batch)
    return list(torch.split(vectors_ND, [len(side.lengths) for side in sides]))
