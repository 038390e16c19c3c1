"""Grafana's dashboards, made of the metrics that there are: `python -m jobs.dashboards` writes `cluster/grafana/*.json`."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlret.commands.frame import call, new_app, run
from xlret.errors import UserError
from xlret.files import write_json
from xlret.monitoring import METRICS

DIRECTORY = Path(__file__).parents[1] / "cluster" / "grafana"
_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 24


@dataclass(frozen=True)
class Panel:
    """One picture: expressions by what their lines are called."""

    title: str
    unit: str
    """As Grafana names units: ms, reqps, percentunit, short."""
    lines: dict[str, str]


def _quantile(share: float, metric: str, label: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {label}) (rate(ray_{metric}_bucket[5m])))"


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "serving": (
        "xlret: serving",
        (
            Panel("Requests", "reqps", {"{{path}}": "sum by (path) (rate(ray_xlret_requests_total[1m]))"}),
            Panel(
                "Share of errors",
                "percentunit",
                {
                    "{{status}}": "sum by (status) (rate(ray_xlret_requests_total[5m])) "
                    "/ scalar(sum(rate(ray_xlret_requests_total[5m])))"
                },
            ),
            Panel(
                "Latency",
                "ms",
                {
                    "p50 {{path}}": _quantile(0.5, "xlret_request_ms", "path"),
                    "p99 {{path}}": _quantile(0.99, "xlret_request_ms", "path"),
                },
            ),
            Panel("Stages of a search, p95", "ms", {"{{stage}}": _quantile(0.95, "xlret_stage_ms", "stage")}),
            Panel("Requests in work", "short", {"in work": "sum(ray_xlret_in_work)"}),
            Panel("Texts", "short", {"{{path}}": "sum by (path) (rate(ray_xlret_texts_total[1m]))"}),
            Panel(
                "Shards that did not answer",
                "short",
                {
                    "shards, {{state}}": "sum by (state) (rate(ray_xlret_shards_total[5m]))",
                    "partial answers": "sum(rate(ray_xlret_partial_total[5m]))",
                    "backends down": "max(ray_xlret_backends_down)",
                },
            ),
            Panel(
                "Languages: hits against the corpus (1: its share of the passages)",
                "short",
                {
                    "{{lang}}": "sum by (lang) (rate(ray_xlret_hits_total[30m])) "
                    "/ sum by (lang) (rate(ray_xlret_hits_expected_total[30m]))"
                },
            ),
            Panel(
                "Items in a call to a backend",
                "short",
                {
                    "{{lane}}": "sum by (lane) (rate(ray_xlret_batched_total[5m])) "
                    "/ (sum by (lane) (rate(ray_xlret_batches_total[5m])) > 0)"
                },
            ),
            Panel("Waiting for a call", "short", {"{{lane}}": "sum by (lane) (ray_xlret_waiting)"}),
            Panel("Wait for the encoder of a question that comes now", "ms", {"longest": "max(ray_xlret_wait_ms)"}),
            Panel("Release", "short", {"{{release}}": "max by (release) (ray_xlret_release)"}),
        ),
    ),
    "training": (
        "xlret: training",
        (
            Panel("Loss", "short", {"{{run}}": "ray_xlret_train_loss"}),
            Panel("Pairs per second", "short", {"{{run}}": "ray_xlret_train_pairs_per_second"}),
            Panel("Waiting for data", "percentunit", {"{{run}}": "ray_xlret_train_data_wait_share"}),
            Panel("Monolingual batches (alpha)", "percentunit", {"{{run}}": "ray_xlret_train_alpha"}),
            Panel("Switched words", "percentunit", {"{{run}}": "ray_xlret_train_switch_ratio"}),
            Panel("Learning rate", "short", {"{{run}}": "ray_xlret_train_learning_rate"}),
            Panel("Steps", "short", {"{{run}}": "ray_xlret_train_step"}),
            Panel("Languages of the batches", "percentunit", {"{{run}}, {{lang}}": "ray_xlret_train_language_share"}),
            Panel("Dev evaluations (mAP)", "short", {"{{run}}, {{metric}}": "ray_xlret_train_dev"}),
        ),
    ),
    "making": (
        "xlret: corpora, vectors, indexes, sweeps",
        (
            Panel(
                "Preparing: rows a second", "short", {"{{corpus}}": "sum by (corpus) (rate(ray_xlret_prepare_rows_total[1m]))"}
            ),
            Panel(
                "Preparing: bad rows left out",
                "short",
                {"{{corpus}}": "sum by (corpus) (ray_xlret_prepare_bad_rows_total)"},
            ),
            Panel("Corpora: groups", "short", {"{{corpus}}, {{part}}": "max by (corpus, part) (ray_xlret_prepare_groups)"}),
            Panel("Corpora: time", "s", {"{{corpus}}": "max by (corpus) (ray_xlret_prepare_seconds)"}),
            Panel(
                "Encoding: passages a second",
                "short",
                {"{{store}}": "sum by (store) (rate(ray_xlret_encode_passages_total[1m]))"},
            ),
            Panel("Encoding: done", "percentunit", {"{{store}}": "max by (store) (ray_xlret_encode_share)"}),
            Panel(
                "Index: time of each stage",
                "s",
                {"{{index}}, {{stage}}": "max by (index, stage) (ray_xlret_index_stage_seconds)"},
            ),
            Panel("Index: shards made", "short", {"{{index}}": "sum by (index) (ray_xlret_index_shards_made_total)"}),
            Panel("Index: passages", "short", {"{{index}}": "max by (index) (ray_xlret_index_passages)"}),
            Panel("Index: recall@10 as measured", "percentunit", {"{{index}}": "min by (index) (ray_xlret_index_recall)"}),
            Panel(
                "Sweeps: configurations",
                "short",
                {"{{sweep}}, {{state}}": "max by (sweep, state) (ray_xlret_sweep_configurations)"},
            ),
            Panel("Sweeps: best so far", "short", {"{{sweep}}, {{metric}}": "max by (sweep, metric) (ray_xlret_sweep_best)"}),
        ),
    ),
}
app = new_app("python -m jobs.dashboards", "Writes Grafana's dashboards.")


@app.default
def write(*, directory: Path = DIRECTORY) -> int:
    """Writes a file for each dashboard.

    Args:
        directory: where to
    """
    for name in DASHBOARDS:
        write_json(directory / f"{name}.json", dashboard(name))
    return 0


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard as Grafana reads it (schema 39, Grafana 10 and later), whose data source is asked for when it is imported."""
    title, panels = DASHBOARDS[name]
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    return {
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "uid": f"xlret-{name}",
        "title": title,
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "10s",
        "panels": [
            {
                "id": number + 1,
                "type": "timeseries",
                "title": panel.title,
                "datasource": source,
                "gridPos": {
                    "x": number * _WIDTH % _COLUMNS,
                    "y": number * _WIDTH // _COLUMNS * _HEIGHT,
                    "w": _WIDTH,
                    "h": _HEIGHT,
                },
                "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + line), "expr": expression, "legendFormat": legend, "datasource": source}
                    for line, (legend, expression) in enumerate(panel.lines.items())
                ],
            }
            for number, panel in enumerate(panels)
        ],
    }


def expressions() -> Iterator[str]:
    """All of them."""
    for _, panels in DASHBOARDS.values():
        for panel in panels:
            yield from panel.lines.values()


def unknown_series(expression: str) -> set[str]:
    """What an expression names that no metric of ours is called in Prometheus.

    >>> unknown_series("sum(rate(ray_xlret_requests_total[1m])) / sum(rate(ray_xlret_reqests_total[1m]))")
    {'ray_xlret_reqests_total'}

    Raises:
        UserError: it names none at all.
    """
    if not (named := set(re.findall(r"\bray_\w+", expression))):
        raise UserError(f"{expression} names no metric")
    known = {series for metric in METRICS.values() for series in metric.series}
    return named - known


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))
