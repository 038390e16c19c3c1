"""Sums over the steps since a run's last report, and the report that they give."""

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.distributed as dist

from xlret.batches.assemble import KINDS, Batch


@dataclass
class Window:
    """What one worker saw since the last report."""

    started: float = field(default_factory=time.perf_counter)
    paused: float = 0.0
    """Seconds of evaluation and checkpoints."""
    waited: float = 0.0
    """Seconds of waiting for batches."""
    batches: int = 0
    parts: dict[str, float] = field(default_factory=dict)
    """Sums over the batches of the loss and its parts, by name."""
    loss_of_kind: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    batches_of_kind: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    tokens: int = 0
    padded: int = 0
    words: int = 0
    switched: int = 0

    def add(self, batch: Batch, parts: Mapping[str, float], padded: int) -> None:
        """Counts a batch in, with the loss's parts (`loss` among them) and its tokens with padding."""
        self.batches += 1
        for name, value in parts.items():
            self.parts[name] = self.parts.get(name, 0.0) + value
        self.loss_of_kind[batch.kind] += parts["loss"]
        self.batches_of_kind[batch.kind] += 1
        self.tokens += batch.tokens
        self.padded += padded
        self.words += batch.words
        self.switched += batch.switched

    def report(self, pairs_per_batch: int, world: int, device: torch.device) -> dict[str, float]:
        """Means and rates over all workers. All of them must call it, at the same step; batches were of the same kinds."""
        seconds = time.perf_counter() - self.started - self.paused
        sums = [self.waited, self.tokens, self.padded, self.words, self.switched]
        total = torch.tensor([*sums, *self.loss_of_kind.values(), *self.parts.values()], dtype=torch.float64, device=device)
        if world > 1:
            dist.all_reduce(total)
        waited, tokens, padded, words, switched, *losses = total.tolist()
        parts = dict(zip(self.parts, (value / world / self.batches for value in losses[len(KINDS) :]), strict=True))
        of_kind = {
            f"loss_{kind}": loss / world / count
            for (kind, count), loss in zip(self.batches_of_kind.items(), losses[: len(KINDS)], strict=True)
            if count
        }
        return {
            "loss": parts.pop("loss"),
            **parts,
            **of_kind,
            "pairs_per_second": self.batches * pairs_per_batch / seconds,
            "tokens_per_second": tokens / seconds,
            "padding_share": 1 - tokens / padded,
            "data_wait_share": waited / world / seconds,
            "switch_ratio": switched / words if words else 0.0,
            "peak_memory_mb": _peak_memory_mb(device),
            "seconds": seconds,
            "workers": world,
        }


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
