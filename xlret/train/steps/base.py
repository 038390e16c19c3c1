"""What the training loop asks of a model in training, whatever it is trained for."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from xlret.batches.assemble import Batch
from xlret.train.dev import DevSets


class Step(nn.Module, ABC):
    """A model and its loss as one module, so that DDP sees a single forward pass."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """The loss (a scalar) of this worker's share of a batch; its mean over the workers is the loss of the batch."""

    @abstractmethod
    def made_up(self) -> Batch:
        """A small batch that says nothing, for a forward pass before the first step."""

    @abstractmethod
    def padded_tokens(self, batch: Any) -> int:
        """Tokens that go through the model for this batch, padding included."""

    @abstractmethod
    def evaluate(self, dev: DevSets, rank: int, world: int) -> dict[str, float] | None:
        """Metrics on held-out sets, `mo`, `cr` and `mul` among them; None on every worker but the first.

        All workers must call it at the same step.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Writes the model, in place of one that is there."""
