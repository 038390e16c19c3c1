"""A run's curves, as charts for its report."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xlret.batches.assemble import KINDS
from xlret.charts import Chart, chart, points

Report = Mapping[str, Any]
"""A line of `metrics.jsonl`."""

DEV_METRICS = {"mo": "Mo", "cr": "Cr", "mul": "Mul"}


def run_charts(train: Sequence[Report], dev: Sequence[Report], planned_alpha: Callable[[int], float]) -> list[Chart]:
    """Charts over the steps: loss by kind of batch, dev metrics, alpha, switching, speed and waiting; what a run has of them.

    Args:
        train: its reports of training.
        dev: its reports of evaluation.
        planned_alpha: the share of mono batches that is planned for its first steps, 1 or more of them.
    """

    def curve(lines: Sequence[Report], name: str) -> list[tuple[float, float]]:
        return [(line["step"], line[name]) for line in lines if name in line]

    kinds = {kind: curve(train, f"loss_{kind}") for kind in KINDS}
    present = {kind: values for kind, values in kinds.items() if values}
    losses = {"all": curve(train, "loss")} | (present if len(present) > 1 else {})
    alphas = {"realised": curve(train, "alpha"), "planned": [(line["step"], planned_alpha(line["step"])) for line in train]}
    drawn: list[tuple[str, str, dict[str, list[tuple[float, float]]], dict[str, Any]]] = [
        ("Loss by kind of batch" if len(losses) > 1 else "Loss", "mean since the last report", losses, {}),
        ("Held-out groups", "mAP", {title: curve(dev, name) for name, title in DEV_METRICS.items()}, {}),
        ("Rank distance on held-out groups", "ranks", {"": curve(dev, "rank_distance")}, {}),
        ("Alpha", "mono batches so far", alphas, {"percent": True}),
        ("Code-switching", "switched words", {"": curve(train, "switch_ratio")}, {"percent": True, "least": 0.0}),
        ("Speed", "pairs a second", {"": curve(train, "pairs_per_second")}, {"least": 0.0}),
        ("Waiting for batches", "share of the time", {"": curve(train, "data_wait_share")}, {"percent": True, "least": 0.0}),
        ("Learning rate", "", {"": curve(train, "learning_rate")}, {"least": 0.0}),
    ]
    charts = []
    for title, y_title, series, options in drawn:
        samples = {name: points(values) for name, values in series.items()}
        if any(samples.values()):
            charts.append(chart(title, "step", y_title, samples, log=False, **options))
    return charts
