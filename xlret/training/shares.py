"""How the texts of an evaluation inside a run are shared out over its workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Shares:
    """Every `world`-th value is a worker's, and this process computes the share of one worker, or all of them."""

    world: int = 1
    rank: int | None = None
    """None: all shares, one after the other. What is computed together decides how it is rounded, so these are the bits of
    `world` workers."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that scores."""
        return not self.rank

    def results(
        self, values: Sequence[_Value], function: Callable[[list[_Value]], NDArray[np.float32]], device: torch.device
    ) -> NDArray[np.float32]:
        """What the function gives for all values, one result each, [N, ...]; the workers' shares are put together.

        Args:
            values: N of them, the same on all workers, which must all call it.
            function: called with a share at a time.
            device: for what travels between workers.

        >>> Shares(world=2).results([1, 2, 3], lambda share: np.float32(share) * len(share), torch.device("cpu")).tolist()
        [2.0, 2.0, 6.0]
        """
        ranks = range(self.world) if self.rank is None else (self.rank,)
        parts = [function(list(values[rank :: self.world])) for rank in ranks]
        results = np.zeros((len(values), *parts[0].shape[1:]), np.float32)
        for rank, part in zip(ranks, parts, strict=True):
            results[rank :: self.world] = part
        if len(parts) == self.world:
            return results
        shared = torch.from_numpy(results).to(device)
        dist.all_reduce(shared)  # every result is zero on all workers but one
        together: NDArray[np.float32] = shared.cpu().numpy()
        return together
