"""Every metric that xlret reports to Ray, which offers them to Prometheus: name, kind, unit, labels and what bounds those.

Ray puts `ray_` before the names and adds the node and, while serving, deployment and replica. A dashboard may name what stands
here and nothing else (`jobs/dashboards.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
        Metric("xlret_backends_down", "gauge", "backends", "backends that do not answer at the moment"),
    ]
)  # fmt: skip
METRICS: Mapping[str, Metric] = {**TRAINING, **SERVING}
"""All of them, by name."""
