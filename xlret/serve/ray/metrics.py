"""Requests as Ray's metrics, which Ray offers to Prometheus: latency by stage, answers by status, shards, and languages.

`xlret.monitoring.SERVING` says what each of them is.
"""

from collections.abc import Mapping
from typing import Any, Final

from ray.serve import metrics

from xlret.monitoring import SERVING
from xlret.serve.record import RequestRecord

_PATHS: Final = frozenset({"/", "/v1/search", "/v1/embeddings", "/v1/rerank", "/v1/info", "/admin/release", "/admin/status"})
_QUIET: Final = frozenset({"/healthz", "/readyz"})


class Metrics:
    """Counts what the gateway tells of each request. One for each ingress replica."""

    def __init__(self) -> None:
        made = {name: metric.create(metrics) for name, metric in SERVING.items()}
        self._requests = made["xlret_requests"]
        self._ms = made["xlret_request_ms"]
        self._stage = made["xlret_stage_ms"]
        self._texts = made["xlret_texts"]
        self._shards = made["xlret_shards"]
        self._partial = made["xlret_partial"]
        self._hits = made["xlret_hits"]
        self._expected = made["xlret_hits_expected"]
        self._release = made["xlret_release"]
        self._in_work = made["xlret_in_work"]
        self._wait = made["xlret_wait_ms"]
        self._down = made["xlret_backends_down"]
        self._waiting = made["xlret_waiting"]
        self._batches, self._batched = made["xlret_batches"], made["xlret_batched"]
        self._named: set[str] = set()
        self._counted: dict[str, tuple[int, int]] = {}

    def observe(self, record: RequestRecord) -> None:
        """An `Observer`: counts one request."""
        if record.path in _QUIET:
            return
        # Paths and errors are the client's and ours: only ours become labels, or a client could make labels without end.
        path = record.path if record.path in _PATHS else "page" if record.path.startswith("/page/") else "other"
        self._requests.inc(1, {"path": path, "status": str(record.status), "error": record.error or ""})
        self._ms.observe(record.ms, {"path": path})
        for stage, ms in record.took_ms.items() if path == "/v1/search" else ():
            if stage != "total" and ms > 0:  # zero: the request did without it
                self._stage.observe(ms, {"stage": stage})
        _inc(self._texts, record.texts, {"path": path})
        _inc(self._shards, record.shards_ok, {"state": "ok"})
        _inc(self._shards, record.shards_failed, {"state": "failed"})
        _inc(self._partial, int(record.partial_reason is not None))
        for lang, count in record.hits.items():
            _inc(self._hits, count, {"lang": lang})
        total = sum(record.hits.values())
        for lang, share in record.corpus.items():
            _inc(self._expected, total * share, {"lang": lang})

    def state(self, status: Mapping[str, Any]) -> None:
        """Takes in what `Gateway.status` says; to be called every few seconds."""
        self._in_work.set(status["requests"])
        self._wait.set(status["wait_ms"])
        self._down.set(len(status["down"]))
        for lane, counts in status["lanes"].items():
            calls, items = self._counted.get(lane, (0, 0))
            self._waiting.set(counts["waiting"], {"lane": lane})
            _inc(self._batches, counts["calls"] - calls, {"lane": lane})
            _inc(self._batched, counts["items"] - items, {"lane": lane})
            self._counted[lane] = counts["calls"], counts["items"]
        if status["release"] is not None:
            self._named.add(status["release"])
        for name in self._named:
            self._release.set(float(name == status["release"]), {"release": name})


def _inc(counter: Any, value: float, tags: dict[str, str] | None = None) -> None:
    if value > 0:  # Ray refuses zero
        counter.inc(value, tags)
