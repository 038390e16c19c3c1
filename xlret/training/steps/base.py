"""What the training loop asks of a model in training, whatever it is trained for."""

import contextlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from xlret.batches.assemble import Batch
from xlret.errors import UserError
from xlret.training.dev import DevSets
from xlret.training.shares import Shares


class Step(nn.Module, ABC):
    """A model and its loss as one module, and the forward **and** backward pass of a batch through it.

    `run` does for most losses; where a loss needs more than one pass over the batch (cached losses), a step has its own.
    """

    def __init__(self) -> None:
        super().__init__()
        # In a tuple: a module that held its own wrapper as an attribute would be its own child.
        self._over_workers: tuple[DistributedDataParallel, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def distribute(self) -> None:
        """From here on gradients are averaged over the workers of the default process group (DDP).

        DDP regroups its gradient buckets after the first backward pass, and with more than two workers the order of summation
        follows the buckets. Passes on a dummy batch here give fresh and resumed runs the same buckets from the first step on.
        """
        devices = [self.device.index] if self.device.type == "cuda" else None
        model = DistributedDataParallel(self, device_ids=devices, gradient_as_bucket_view=True)
        for _ in range(2):
            model(self.dummy_batch())["loss"].backward()
        self.zero_grad(set_to_none=True)
        self._over_workers = (model,)

    def shard(self, device: torch.device) -> None:
        """Spreads the model's weights over the workers, before an optimiser is made of them; takes the place of `distribute`.

        Raises:
            UserError: the model cannot be spread.
        """
        raise UserError(f"ray.sharding: a {type(self).__name__} has no weights that can be spread; set it to none")

    def run(self, batch: Any, *, batches: int = 1, sync: bool = True) -> dict[str, float]:
        """Adds to the weights' gradients that of this worker's share of a batch.

        Args:
            batch: this worker's share.
            batches: how many batches the optimiser step has; the gradient is that of the loss divided by it.
            sync: False leaves the average over the workers to a later batch of the same optimiser step.

        Returns:
            `loss`, not divided, and the parts that the loss names.
        """
        model = self._over_workers[0] if self._over_workers else self
        alone = model.no_sync() if isinstance(model, DistributedDataParallel) and not sync else contextlib.nullcontext()
        with alone:
            parts: dict[str, Tensor] = model(batch)
            (parts["loss"] / batches).backward()  # type: ignore[no-untyped-call]
        return {name: value.item() for name, value in parts.items()}

    @abstractmethod
    def forward(self, batch: Any) -> dict[str, Tensor]:
        """`loss` (a scalar) of this worker's share of a batch, and parts of it to be reported.

        The mean of `loss` over the workers is the loss of the batch.
        """

    @abstractmethod
    def dummy_batch(self) -> Batch:
        """A small batch that says nothing, for a pass before the first step."""

    @abstractmethod
    def padded_tokens(self, batch: Any) -> int:
        """Tokens that go through the model for this batch, padding included."""

    @abstractmethod
    def evaluate(self, dev: DevSets, shares: Shares) -> dict[str, float] | None:
        """Metrics on held-out sets, `mo`, `cr` and `mul` among them; None on every worker but the first.

        All workers must call it at the same step.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Writes the model, in place of one that is already in `directory`."""
