"""What a caller of `train` is told while it runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class RunCallback(Protocol):
    """Called in the process that called `train`, in the order of the steps.

    In a run in this process an exception of a callback ends the training (a pruner's, say). Over Ray the reports are read from
    what the workers write, within a second, and an exception is raised when the workers have ended.
    """

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        """A line of `metrics.jsonl`: `metrics["group"]` is `train` (loss, rates) or `dev` (`mo`, `cr`, `mul`, ...)."""

    def on_checkpoint(self, step: int, directory: Path) -> None:
        """The checkpoint of a step is whole; it is removed once `keep_checkpoints` newer ones are."""
