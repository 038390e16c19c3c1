"""What a run reports: `metrics.jsonl`, TensorBoard events, and whoever else wants to hear of it."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from xlret.errors import UserError
from xlret.files import write_error, write_text
from xlret.storage.url import is_url

UPLOAD_S = 10.0
"""Seconds after which a report of a run at a URL is uploaded with those before it."""

Observer = Callable[[int, Mapping[str, Any]], None]
"""Called with the step and the metrics of every report."""


class MetricLog:
    """Written by one worker. Opened at the step of a checkpoint, it forgets what was written after that step.

    Of a run at a URL it is written on this machine, and uploaded now and then, at every checkpoint, and at the end.

    Args:
        run_directory: where `metrics.jsonl` and `tensorboard/` are.
        start: the step at which training goes on.
        observe: called with every line that is written.
    """

    def __init__(self, run_directory: Path, start: int, observe: Observer = lambda step, metrics: None) -> None:
        self._run_directory, directory, self._until_end = run_directory, run_directory, ExitStack()
        if is_url(run_directory):
            from xlret.storage.cache import work_directory

            directory = self._until_end.enter_context(work_directory())
        self._directory, self._uploaded = directory, time.monotonic()
        self._path = directory / "metrics.jsonl"
        kept = [line for line in read_lines(run_directory / "metrics.jsonl") if start and line["step"] <= start]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 - closed in __exit__
        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=start + 1)
        self._observe = observe

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._file.close()
            self._board.close()
            self.upload()
        except (OSError, UserError) as closing:
            if error is None:  # else the error that ended the run is the one to tell
                raise write_error(self._path, closing) from closing
        finally:
            self._until_end.close()

    def write(self, step: int, values: Mapping[str, Any], group: str = "train") -> None:
        """One line `{"step": ..., "group": ..., ...}`; the numbers also go to TensorBoard and to the observer.

        Raises:
            UserError: the disk is full.
        """
        metrics = {"step": step, "group": group, **values}
        try:
            self._file.write(json.dumps(metrics) + "\n")
            self._file.flush()
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{group}/{name}", value, step)
        except OSError as error:
            raise write_error(self._path, error) from error
        if time.monotonic() - self._uploaded > UPLOAD_S:
            self.upload()
        self._observe(step, metrics)

    def upload(self) -> None:
        """Of a run at a URL: puts there what was written until now, each file in place of its earlier state."""
        if self._directory == self._run_directory:
            return
        if not self._file.closed:
            self._board.flush()
        for path in sorted(self._directory.rglob("*")):
            if path.is_file():
                (self._run_directory / path.relative_to(self._directory)).write_bytes(path.read_bytes())
        self._uploaded = time.monotonic()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; a last line that a killed process left half-written is dropped."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
