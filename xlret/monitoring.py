"""Every metric that xlret reports to Ray, which offers them to Prometheus: name, kind, unit, labels and what bounds those.

Ray puts `ray_` before the names and adds the node and, while serving, deployment and replica. A dashboard may name what stands
here and nothing else (`jobs/dashboards.py`).
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

Kind = Literal["counter", "gauge", "histogram"]
_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}
_MS_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as the code knows it.
        kind: counters only grow; gauges are set; histograms count values by size.
        unit: of its values.
        help: what it tells.
        labels: each with what bounds its values. A label that clients could fill as they like would fill Prometheus' memory.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def series(self) -> tuple[str, ...]:
        """Its names in Prometheus.

        >>> METRICS["xlret_requests"].series, METRICS["xlret_train_loss"].series
        (('ray_xlret_requests_total',), ('ray_xlret_train_loss',))
        """
        return tuple(f"ray_{self.name}{suffix}" for suffix in _SUFFIXES[self.kind])

    def create(self, makers: Any) -> Any:
        """The metric itself, to be set, counted or observed.

        Args:
            makers: `ray.util.metrics` or, in a replica, `ray.serve.metrics`.
        """
        labels = tuple(self.labels)
        told = f"{self.help} ({self.unit})"
        if self.kind == "histogram":
            return makers.Histogram(self.name, description=told, boundaries=list(_MS_BUCKETS), tag_keys=labels)
        maker = makers.Counter if self.kind == "counter" else makers.Gauge
        return maker(self.name, description=told, tag_keys=labels)


def _by_name(metrics: Iterable[Metric]) -> Mapping[str, Metric]:
    return {metric.name: metric for metric in metrics}


_RUN = {"run": "names of runs, one a directory"}
_PATH = {"path": "our own paths; every other one is `other`"}
_LANG = {"lang": "languages of the release's passages"}
_CORPUS = {"corpus": "names of corpora in recipes"}
_STORE = {"store": "names of vector stores, one a directory"}
_INDEX = {"index": "names of indexes, one a directory"}
_SWEEP = {"sweep": "names of sweeps, one a directory"}
_LANE = {"lane": "query, passage, highlight (the encoder); search, read (the shards)"}

PREPARING: Mapping[str, Metric] = _by_name(
    [
        Metric("xlret_prepare_rows", "counter", "rows", "rows read and checked", _CORPUS),
        Metric("xlret_prepare_bad_rows", "counter", "rows", "rows that were left out as bad", _CORPUS),
        Metric(
            "xlret_prepare_groups", "gauge", "groups", "groups of a corpus that is whole", {**_CORPUS, "part": "train, dev"}
        ),
        Metric("xlret_prepare_seconds", "gauge", "s", "what a corpus took to prepare", _CORPUS),
    ]
)
ENCODING: Mapping[str, Metric] = _by_name(
    [
        Metric("xlret_encode_passages", "counter", "passages", "passages encoded since the start", _STORE),
        Metric("xlret_encode_share", "gauge", "share", "of the passages that are encoded", _STORE),
    ]
)
INDEXING: Mapping[str, Metric] = _by_name(
    [
        Metric(
            "xlret_index_stage_seconds", "gauge", "s", "what a stage of building took",
            {**_INDEX, "stage": "parting by shard, sampling, training, language component, shards, measuring, checking"},
        ),
        Metric("xlret_index_shards_made", "counter", "shards", "shards written", _INDEX),
        Metric("xlret_index_passages", "gauge", "passages", "passages of the newest version", _INDEX),
        Metric("xlret_index_recall", "gauge", "share", "recall@10 against exact search, as measured when it was built", _INDEX),
    ]
)  # fmt: skip
SWEEPING: Mapping[str, Metric] = _by_name(
    [
        Metric(
            "xlret_sweep_configurations", "gauge", "configurations", "configurations of a sweep",
            {**_SWEEP, "state": "all, done, failed, under way"},
        ),
        Metric("xlret_sweep_best", "gauge", "1", "the best configuration so far", {**_SWEEP, "metric": "goals of the sweep"}),
    ]
)  # fmt: skip

TRAINING: Mapping[str, Metric] = _by_name(
    [
        Metric("xlret_train_loss", "gauge", "nats", "training loss over the last steps", _RUN),
        Metric("xlret_train_pairs_per_second", "gauge", "pairs/s", "training pairs over all workers", _RUN),
        Metric("xlret_train_data_wait_share", "gauge", "share", "of the time, that workers waited for batches", _RUN),
        Metric("xlret_train_alpha", "gauge", "share", "of monolingual batches so far", _RUN),
        Metric("xlret_train_switch_ratio", "gauge", "share", "of words that were switched", _RUN),
        Metric("xlret_train_learning_rate", "gauge", "1", "learning rate", _RUN),
        Metric("xlret_train_step", "gauge", "steps", "steps that are done", _RUN),
    ]
)
TRAINED: Mapping[str, Metric] = _by_name(
    [
        Metric(
            "xlret_train_language_share", "gauge", "share", "of the texts of the last steps' batches",
            {**_RUN, "lang": "languages of the run's corpora"},
        ),
        Metric("xlret_train_dev", "gauge", "mAP", "of the last evaluation on dev", {**_RUN, "metric": "mo, cr, mul"}),
    ]
)  # fmt: skip
SERVING: Mapping[str, Metric] = _by_name(
    [
        Metric(
            "xlret_requests", "counter", "requests", "answered requests",
            {**_PATH, "status": "statuses of HTTP", "error": "codes of serve/errors.py"},
        ),
        Metric("xlret_request_ms", "histogram", "ms", "from the first byte of a request to the last of its answer", _PATH),
        Metric(
            "xlret_stage_ms", "histogram", "ms", "stages of a search",
            {"stage": "read (its body), parse, encode, search, rerank, highlight, write"},
        ),
        Metric("xlret_texts", "counter", "texts", "queries, inputs and documents", _PATH),
        Metric("xlret_shards", "counter", "shards", "shards asked", {"state": "ok, failed"}),
        Metric("xlret_partial", "counter", "answers", "answers that lack shards"),
        Metric("xlret_hits", "counter", "hits", "hits by the language of their passage", _LANG),
        Metric("xlret_hits_expected", "counter", "hits", "hits by the language's share of the passages", _LANG),
        Metric("xlret_release", "gauge", "0 or 1", "1 for the release that answers", {"release": "releases since the start"}),
        Metric("xlret_in_work", "gauge", "requests", "requests in work"),
        Metric("xlret_wait_ms", "gauge", "ms", "that a question which came now would wait for the encoder"),
        Metric("xlret_waiting", "gauge", "items", "texts, questions or passages that wait for a call to a backend", _LANE),
        Metric("xlret_batches", "counter", "calls", "calls to backends", _LANE),
        Metric("xlret_batched", "counter", "items", "texts, questions or passages in those calls", _LANE),
        Metric("xlret_backends_down", "gauge", "backends", "backends that do not answer at the moment"),
    ]
)  # fmt: skip
METRICS: Mapping[str, Metric] = {**PREPARING, **TRAINING, **TRAINED, **ENCODING, **INDEXING, **SWEEPING, **SERVING}
"""All of them, by name."""


def tell(name: str, value: float, **labels: str) -> None:
    """Sets a gauge or counts on, where this process is part of a Ray that offers it to Prometheus; elsewhere does nothing.

    Args:
        name: of a metric of `METRICS`, a gauge or a counter.
        value: what the gauge shows now, or what the counter grows by.
        labels: a value for each label of the metric.
    """
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return
    metric = METRICS[name]
    made = _made(name, ray.get_runtime_context().get_job_id())
    if metric.kind == "gauge":
        made.set(float(value), labels)
    elif value > 0:  # Ray refuses zero
        made.inc(float(value), labels)


@lru_cache(maxsize=256)
def _made(name: str, job: str) -> Any:
    """A metric of this process, anew for each time that it joins a Ray."""
    from ray.util import metrics

    return METRICS[name].create(metrics)


def table() -> str:
    """All metrics as a table in Markdown, for cluster/README.md."""
    lines = ["| metric | labels | unit | what it tells |", "|---|---|---|---|"]
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.series[0]}` ({metric.kind}) | {labels} | {metric.unit} | {metric.help} |")
    return "\n".join(lines)
