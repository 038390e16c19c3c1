"""A run's numbers as Ray's own metrics, which its dashboard and Prometheus show."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray.util.metrics

from xlret.batches.plan import BatchPlan
from xlret.monitoring import TRAINING, tell

_PREFIX = "xlret_train_"
_MOST_BATCHES = 64
"""Of the last ones, from which the shares of languages are taken (0.1 ms each)."""


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


class PlanGauges:
    """Languages of the batches and dev evaluations, from the driver, which has the plan (a `RunCallback`).

    Args:
        run: its name.
        plan: its batches.
        accumulate: how many of them make a step.
    """

    def __init__(self, run: str, plan: BatchPlan, accumulate: int) -> None:
        self._run, self._plan, self._accumulate = run, plan, accumulate
        self._counted = 0

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Sets the gauges of `monitoring.TRAINED`."""
        if metrics["group"] == "dev":
            for name in ("mo", "cr", "mul"):
                if name in metrics:
                    tell("xlret_train_dev", metrics[name], run=self._run, metric=name)
            return
        end = step * self._accumulate
        shares = language_shares(self._plan, max(self._counted if self._counted < end else 0, end - _MOST_BATCHES), end)
        for lang in self._plan.languages:
            tell("xlret_train_language_share", shares.get(lang, 0.0), run=self._run, lang=lang)
        self._counted = end

    def on_checkpoint(self, step: int, directory: Path) -> None:
        """Nothing to set."""


def language_shares(plan: BatchPlan, first: int, end: int) -> dict[str, float]:
    """Of each language, its share of the queries and passages of the batches from `first` up to `end`."""
    texts: Counter[str] = Counter()
    for number in range(first, end):
        batch = plan.step(number)
        texts.update(batch.query_lang)
        texts.update(batch.passage_lang)
    return {lang: count / texts.total() for lang, count in texts.items()}
