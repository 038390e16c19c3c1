"""How long each stage of a long work took, and how often it read the vectors."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xlret import monitoring

Say = Callable[[str], None]


class Stages:
    """Seconds by stage, in the order in which they began; metrics of the index too, where it has a name.

    >>> stages = Stages()
    >>> with stages.passing("parting by shard"): pass
    >>> stages.passes
    1
    """

    def __init__(self, index: str = "") -> None:
        self._index = index
        self.seconds: dict[str, float] = {}
        self.passes = 0
        """How often all vectors were read."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Takes the time of a stage."""
        start = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
        if self._index:
            monitoring.tell("xlret_index_stage_seconds", self.seconds[name], index=self._index, stage=name)

    @contextmanager
    def passing(self, name: str) -> Iterator[None]:
        """Takes the time of a stage that reads all vectors once."""
        with self(name):
            yield
        self.passes += 1

    def tell(self, say: Say) -> None:
        """Says it in one line."""
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        say(f"{sum(self.seconds.values()):.1f} s: {parts}; all vectors were read {self.passes} times")
