"""One training step's forward pass: a ragged batch in, the loss out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xlret.batches.assemble import Assembled
from xlret.model.encoder import Encoder
from xlret.model.losses.infonce import InfoNCE
from xlret.model.losses.matryoshka import Matryoshka
from xlret.tokens.ragged import Ragged, chunks, padded, padded_tokens
from xlret.train.dev import DevSets
from xlret.train.steps.base import Step


class RetrieverStep(Step):
    """Encoder and loss as one module, so that DDP sees a single forward pass.

    Batches that bring switched copies of their queries get a second loss: each query has to find its own copy among those of
    the global batch, at the same temperature, times `contrast_weight` (ContrastiveMix, Do et al., NAACL 2024).
    """

    def __init__(
        self,
        encoder: Encoder,
        loss: InfoNCE | Matryoshka,
        tokens_per_forward: int,
        autocast: bool,
        contrast_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self._contrast_weight = contrast_weight
        self._tokens_per_forward = tokens_per_forward
        self._autocast = autocast

    def forward(self, batch: Assembled) -> Tensor:
        """The loss of this worker's rows against the passages of all workers (a scalar)."""
        device = next(self.encoder.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._autocast):
            query_bD, passage_PD = encode_ragged(self.encoder, (batch.queries, batch.passages), self._tokens_per_forward)
        b = len(batch.clusters)
        negative_bHD = negative_clusters = None
        if len(batch.negative_clusters):
            negative_bHD = passage_PD[b:].reshape(b, -1, passage_PD.shape[1])
            negative_clusters = torch.from_numpy(batch.negative_clusters).to(device).reshape(b, -1)
        clusters = torch.from_numpy(batch.clusters.copy()).to(device)
        result: Tensor = self.loss(query_bD[:b], passage_PD[:b], clusters, negative_bHD, negative_clusters)
        if len(query_bD) > b:
            result = result + self._contrast_weight * self.loss(query_bD[:b], query_bD[b:], clusters)
        return result

    def made_up(self) -> Assembled:
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
        """Writes the encoder, in place of one that is there."""
        self.encoder.save(directory, replace=True)


def encode_ragged(encoder: Encoder, sides: Sequence[Ragged], budget: int) -> list[Tensor]:
    """Vectors of several sides at once, each [rows, D], with little padding.

    All texts are sorted by length and cut into chunks of at most `budget` padded tokens (at least one text), so short queries
    are not padded to the longest passage. The vectors are those of any other batching, up to rounding.
    """
    pad_id = encoder.tokeniser.pad_id
    device = next(encoder.parameters()).device
    lengths = np.concatenate([side.lengths for side in sides])
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    ids = np.concatenate([side.ids for side in sides])
    order = np.argsort(lengths, kind="stable")
    vectors = []
    for rows in chunks(lengths[order], budget):
        chosen = order[rows]
        flat = np.concatenate([ids[starts[row] : starts[row] + lengths[row]] for row in chosen])
        ids_BT, mask_BT = padded(flat, lengths[chosen], pad_id)
        vectors.append(encoder(torch.from_numpy(ids_BT).to(device), torch.from_numpy(mask_BT).to(device)))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    everything = torch.cat(vectors)[torch.from_numpy(place).to(device)]
    return list(torch.split(everything, [len(side.lengths) for side in sides]))
