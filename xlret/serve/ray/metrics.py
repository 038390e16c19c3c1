"""Requests as Ray's metrics, which Ray offers to Prometheus: latency by stage, answers by status, shards, and languages.

| metric | labels | what |
|---|---|---|
| `xlret_requests` | path, status, error | answered requests; their rate is the QPS |
| `xlret_request_ms` | path | from the first byte of a request to the last of its answer |
| `xlret_stage_ms` | stage | encode, search, rerank, highlight of a search |
| `xlret_texts` | path | queries, inputs and documents |
| `xlret_shards` | state | shards that answered a search (ok) and did not (failed) |
| `xlret_partial` | | answers that lack shards |
| `xlret_hits` | lang | hits by the language of their passage |
| `xlret_hits_expected` | lang | the hits that a language's share of the passages would make: what to compare with |
| `xlret_release` | release | 1 for the release that answers, 0 for those before it |
| `xlret_in_work`, `xlret_backends_down` | | requests in work; backends that do not answer at the moment |

Ray puts `ray_` before the names and adds the deployment and replica.
"""

from collections.abc import Mapping
from typing import Any, Final

from ray.serve import metrics

from xlret.serve.record import RequestRecord

_MS: Final = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000]
_PATHS: Final = frozenset({"/", "/v1/search", "/v1/embeddings", "/v1/rerank", "/v1/info", "/admin/release", "/admin/status"})
_QUIET: Final = frozenset({"/healthz", "/readyz"})


class Metrics:
    """Counts what the gateway tells of each request. One for each ingress replica."""

    def __init__(self) -> None:
        self._requests = metrics.Counter("xlret_requests", "Answered requests.", ("path", "status", "error"))
        self._ms = metrics.Histogram("xlret_request_ms", "Latency of requests in milliseconds.", _MS, ("path",))
        self._stage = metrics.Histogram("xlret_stage_ms", "Latency of a search's stages in milliseconds.", _MS, ("stage",))
        self._texts = metrics.Counter("xlret_texts", "Queries, inputs and documents.", ("path",))
        self._shards = metrics.Counter("xlret_shards", "Shards asked.", ("state",))
        self._partial = metrics.Counter("xlret_partial", "Answers that lack shards.")
        self._hits = metrics.Counter("xlret_hits", "Hits by language of the passage.", ("lang",))
        self._expected = metrics.Counter("xlret_hits_expected", "Hits by the language's share of the passages.", ("lang",))
        self._release = metrics.Gauge("xlret_release", "The release that answers.", ("release",))
        self._in_work = metrics.Gauge("xlret_in_work", "Requests in work.")
        self._down = metrics.Gauge("xlret_backends_down", "Backends that do not answer.")
        self._named: set[str] = set()

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
        self._down.set(len(status["down"]))
        if status["release"] is not None:
            self._named.add(status["release"])
        for name in self._named:
            self._release.set(float(name == status["release"]), {"release": name})


def _inc(counter: Any, value: float, tags: dict[str, str] | None = None) -> None:
    if value > 0:  # Ray refuses zero
        counter.inc(value, tags)
