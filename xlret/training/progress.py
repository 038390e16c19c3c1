"""A run's progress: lines for a person, and the driver that follows what workers in other processes write."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xlret.storage.url import is_url
from xlret.training.callbacks import RunCallback
from xlret.training.checkpoint import kept_checkpoints
from xlret.training.log import read_lines

_URL_POLL_S = 5.0
"""How often a run at a URL is looked at: each look is some requests."""
Print = Callable[[str], None]


class ProgressLines:
    """Shows a line for each report (a `RunCallback`)."""

    def __init__(self, steps: int, show: Print) -> None:
        self._steps, self._show = steps, show
        self._began = time.monotonic()
        self._first: int | None = None

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        if self._first is None:
            self._first, self._began = step, time.monotonic()
        self._show(as_line(metrics, self._steps, remaining(step, self._first, self._steps, time.monotonic() - self._began)))

    def on_checkpoint(self, step: int, directory: Path) -> None:
        """Not worth a line."""


@contextmanager
def followed(run_directory: Path, callbacks: Iterable[RunCallback], poll_seconds: float = 0.5) -> Iterator[None]:
    """Tells the callbacks what is added to a run while the block runs, and the rest when it ends.

    Raises:
        Exception: what a callback raised, when the block has ended.
    """
    callbacks = tuple(callbacks)
    poll_seconds = max(poll_seconds, _URL_POLL_S) if is_url(run_directory) else poll_seconds
    metrics = run_directory / "metrics.jsonl"
    done = threading.Event()
    told = len(read_lines(metrics))
    known = set(kept_checkpoints(run_directory))
    failures: list[Exception] = []

    def tell() -> None:
        nonlocal told, known
        lines = read_lines(metrics)
        for line in lines[min(told, len(lines)) :]:  # fewer than before: the run went back to a checkpoint
            for callback in callbacks:
                callback.on_report(line["step"], line)
        told = len(lines)
        kept = kept_checkpoints(run_directory)
        for directory in kept:
            if directory not in known:
                for callback in callbacks:
                    callback.on_checkpoint(int(directory.name.removeprefix("step-")), directory)
        known = set(kept)

    def follow() -> None:
        ending = False
        try:
            while not ending:
                ending = done.wait(poll_seconds)
                tell()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=follow, name="xlret-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=10)
    if failures:
        raise failures[0]


def as_line(line: Mapping[str, Any], steps: int, left: str = "") -> str:
    """One report as text, such as `step 20/400  loss 3.211  lr 1.0e-03 ...`."""
    start = f"step {line['step']:>{len(str(steps))}}/{steps}"
    if line["group"] == "dev":
        best = "  (best so far)" if line["best"] else ""
        distance = f"  rank distance {line['rank_distance']:.1f}" if "rank_distance" in line else ""
        return f"{start}  dev mAP: Mo {line['mo']:.4f}  Cr {line['cr']:.4f}  Mul {line['mul']:.4f}{distance}{best}"
    return (
        f"{start}  loss {line['loss']:.3f}  lr {line['learning_rate']:.1e}  {line['pairs_per_second']:.0f} pairs/s  "
        f"data wait {line['data_wait_share']:.1%}  alpha {line['alpha']:.2f}  switched {line['switch_ratio']:.0%}  {left}"
    ).rstrip()


def remaining(step: int, first: int, steps: int, seconds: float) -> str:
    """How long the rest will take, from the steps since the first report; empty where that says nothing."""
    if step <= first or step >= steps:
        return ""
    left = seconds / (step - first) * (steps - step)
    return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"
