"""What a run reports: `metrics.jsonl`, TensorBoard events and Ray's own metrics (seen in its dashboard and Prometheus)."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ray.util.metrics import Gauge
from torch.utils.tensorboard import SummaryWriter

from xlret.files import write_text

GAUGES = {
    "loss": "training loss over the last steps",
    "pairs_per_second": "training pairs per second over all workers",
    "data_wait_share": "share of the time that workers waited for batches",
    "alpha": "share of monolingual batches so far",
    "switch_ratio": "share of words that were switched",
    "learning_rate": "learning rate",
}


class MetricLog:
    """Written by one worker. Opened at the step of a checkpoint, it forgets what was written after that step."""

    def __init__(self, run_directory: Path, start: int, run: str) -> None:
        self._path = run_directory / "metrics.jsonl"
        kept = [line for line in read_lines(self._path) if start and line["step"] <= start]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 - closed in __exit__
        self._board = SummaryWriter(str(run_directory / "tensorboard"), purge_step=start + 1)
        self._gauges = {name: Gauge(f"xlret_train_{name}", text, tag_keys=("run",)) for name, text in GAUGES.items()}
        for gauge in self._gauges.values():
            gauge.set_default_tags({"run": run})

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._board.close()

    def write(self, step: int, values: Mapping[str, Any], group: str = "train") -> None:
        """One line `{"step": ..., "group": ..., ...}`; the numbers also go to TensorBoard and to the gauges."""
        self._file.write(json.dumps({"step": step, "group": group, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(f"{group}/{name}", value, step)
                if group == "train" and name in self._gauges:
                    self._gauges[name].set(float(value))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; a last line that a killed process left half-written is dropped."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
