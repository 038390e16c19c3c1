"""A run's numbers as Ray's own metrics, which its dashboard and Prometheus show."""

from collections.abc import Mapping
from typing import Any

from ray.util.metrics import Gauge

_GAUGES = {
    "loss": "training loss over the last steps",
    "pairs_per_second": "training pairs per second over all workers",
    "data_wait_share": "share of the time that workers waited for batches",
    "alpha": "share of monolingual batches so far",
    "switch_ratio": "share of words that were switched",
    "learning_rate": "learning rate",
}


class Gauges:
    """Gauges `xlret_train_loss` and its kin, tagged with the run's name."""

    def __init__(self, run: str) -> None:
        self._gauges = {name: Gauge(f"xlret_train_{name}", about, tag_keys=("run",)) for name, about in _GAUGES.items()}
        for gauge in self._gauges.values():
            gauge.set_default_tags({"run": run})

    def __call__(self, step: int, metrics: Mapping[str, Any]) -> None:
        if metrics["group"] == "train":
            for name, gauge in self._gauges.items():
                gauge.set(float(metrics[name]))
