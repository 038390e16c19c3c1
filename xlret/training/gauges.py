"""A run's numbers as Ray's own metrics, which its dashboard and Prometheus show."""

from collections.abc import Mapping
from typing import Any

import ray.util.metrics

from xlret.monitoring import TRAINING

_PREFIX = "xlret_train_"


class Gauges:
    """The gauges of `monitoring.TRAINING`, tagged with the run's name."""

    def __init__(self, run: str) -> None:
        self._gauges = {name.removeprefix(_PREFIX): metric.create(ray.util.metrics) for name, metric in TRAINING.items()}
        for gauge in self._gauges.values():
            gauge.set_default_tags({"run": run})

    def __call__(self, step: int, metrics: Mapping[str, Any]) -> None:
        if metrics["group"] == "train":
            for name, gauge in self._gauges.items():
                gauge.set(float(step if name == "step" else metrics[name]))
