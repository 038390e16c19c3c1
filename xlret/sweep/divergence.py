"""Whether a training has come apart: its loss is above what it began with."""

from collections import deque
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from xlret.batches.assemble import KINDS


class Divergence:
    """Watches the loss of a run, mono and cross batches apart: the one kind is harder, and their share changes with the draw.

    A run has diverged where the mean of a kind's last `window` reports is above `factor` times the highest of its first
    `window` reports. A run that is continued is watched from where it goes on, so `told` must be given the earlier reports too.
    """

    def __init__(self, window: int, factor: float) -> None:
        self._window, self._factor = window, factor
        self._first: dict[str, list[float]] = {}
        self._last: dict[str, deque[float]] = {}

    def told(self, metrics: Mapping[str, Any]) -> str | None:
        """Takes in a report of a run; the sentence that says how it diverged, once it has.

        >>> watch = Divergence(window=2, factor=1.2)
        >>> [watch.told({"loss_mono": loss}) for loss in (2.0, 1.0, 2.4)]
        [None, None, None]
        >>> watch.told({"loss_mono": 2.6})
        'the loss of mono batches, 2.500 on the mean of the last 2 reports, is above 1.2 times its start, 2.000'
        """
        for kind in KINDS:
            loss = metrics.get(f"loss_{kind}")
            if loss is None:
                continue
            first = self._first.setdefault(kind, [])
            if len(first) < self._window:
                first.append(loss)
                continue
            last = self._last.setdefault(kind, deque(maxlen=self._window))
            last.append(loss)
            if len(last) == self._window and fmean(last) > self._factor * max(first):
                return (
                    f"the loss of {kind} batches, {fmean(last):.3f} on the mean of the last {self._window} reports, is above "
                    f"{self._factor:g} times its start, {max(first):.3f}"
                )
        return None
