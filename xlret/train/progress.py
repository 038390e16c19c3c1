"""A run's progress for a person: the driver follows `metrics.jsonl` and prints a line for each report."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xlret.train.log import read_lines

Print = Callable[[str], None]


@contextmanager
def followed(metrics: Path, steps: int, show: Print, poll_seconds: float = 0.5) -> Iterator[None]:
    """Prints what is added to `metrics` while the block runs, and the rest when it ends."""
    done = threading.Event()
    began = time.monotonic()
    shown = len(read_lines(metrics))
    first = [line["step"] for line in read_lines(metrics)][-1:] or [0]

    def follow() -> None:
        nonlocal shown
        ending = False
        while not ending:
            ending = done.wait(poll_seconds)
            lines = read_lines(metrics)
            if len(lines) < shown:  # the run went back to a checkpoint
                show(f"  going on from step {lines[-1]['step'] if lines else 0}")
                shown = len(lines)
            for line in lines[shown:]:
                show(as_line(line, steps, _remaining(line["step"], first[0], steps, time.monotonic() - began)))
            shown = len(lines)

    thread = threading.Thread(target=follow, name="xlret-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=10)


def as_line(line: dict[str, Any], steps: int, remaining: str = "") -> str:
    """One report as text, such as `step 20/400  loss 3.211  lr 1.0e-03 ...`."""
    start = f"step {line['step']:>{len(str(steps))}}/{steps}"
    if line["group"] == "dev":
        best = "  (best so far)" if line["best"] else ""
        distance = f"  rank distance {line['rank_distance']:.1f}" if "rank_distance" in line else ""
        return f"{start}  dev mAP: Mo {line['mo']:.4f}  Cr {line['cr']:.4f}  Mul {line['mul']:.4f}{distance}{best}"
    return (
        f"{start}  loss {line['loss']:.3f}  lr {line['learning_rate']:.1e}  {line['pairs_per_second']:.0f} pairs/s  "
        f"data wait {line['data_wait_share']:.1%}  alpha {line['alpha']:.2f}  switched {line['switch_ratio']:.0%}  {remaining}"
    ).rstrip()


def _remaining(step: int, first: int, steps: int, seconds: float) -> str:
    if step <= first or step >= steps:
        return ""
    left = seconds / (step - first) * (steps - step)
    return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"
