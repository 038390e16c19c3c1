"""What is known of one request when it has been answered: for the log, and for whoever counts."""

import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_LONGEST_TRACE = 8000
"""Characters."""


@dataclass(frozen=True)
class StageSpan:
    """A stage of a request, for a trace: from when to when, on the clock of `time.monotonic`, and what about it."""

    name: str
    began: float
    ended: float
    attributes: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass
class RequestRecord:
    """One request. The endpoint fills in what it knows; the border sends the whole to the observers at the end."""

    request_id: str
    method: str
    path: str
    source: str = ""
    """Address of the client."""
    route: str | None = None
    """The address of the API that answered, None where there is none: unlike `path` one of a few."""
    arrived: float = field(default_factory=time.monotonic)
    complete: float = field(default_factory=time.monotonic)
    """When its body was there: the time that the answer may take counts from here."""
    status: int = 0
    """499 where the client went away first."""
    bytes_in: int = 0
    bytes_out: int = 0
    ms: float = 0.0
    error: str | None = None
    release: str | None = None
    texts: int = 0
    """Queries, inputs or documents."""
    took_ms: dict[str, float] = field(default_factory=dict)
    """By stage."""
    shards_ok: int = 0
    shards_failed: int = 0
    partial_reason: str | None = None
    hits: dict[str, int] = field(default_factory=dict)
    """Hits by language."""
    corpus: dict[str, float] = field(default_factory=dict)
    """Share of the passages searched, by language."""
    exception: str | None = None
    """Why a request failed that should not have (500, 503, 504), with the traceback: for the log, not for the client."""
    queries: list[str] | None = None
    """Their texts, where the settings say so; nobody's words are logged by default."""
    traceparent: str | None = None
    tracestate: str | None = None
    """The trace that the client says it is part of (W3C Trace Context)."""
    spans: list[StageSpan] | None = None
    """Its stages, where somebody wants them (see `tracing`)."""

    def span(self, name: str, began: float, **attributes: str | int | bool) -> None:
        """Notes a stage that ends now."""
        if self.spans is not None:
            self.spans.append(StageSpan(name, began, time.monotonic(), attributes))


Observer = Callable[[RequestRecord], None]
"""Called once for each request, on the event loop: it must be quick and must not raise."""


def as_line(record: RequestRecord) -> str:
    """The request as a line of JSON, in ASCII: no line break or escape of a client's gets into a log.

    >>> json.loads(as_line(RequestRecord("r1", "GET", "/healthz", status=200)))["status"]
    200
    """
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": record.request_id,
        "source": record.source,
        "method": record.method,
        "path": record.path[:200],
        "route": record.route,
        "status": record.status,
        "ms": round(record.ms, 2),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
    }
    for name in ("error", "release", "texts", "partial_reason", "hits", "queries", "exception"):
        if value := getattr(record, name):
            line[name] = value
    if record.took_ms:
        line["took_ms"] = {stage: round(ms, 2) for stage, ms in record.took_ms.items()}
    if record.shards_ok or record.shards_failed:
        line["shards"] = {"ok": record.shards_ok, "failed": record.shards_failed}
    return json.dumps(line)


def exception_text(error: BaseException) -> str:
    """What went wrong and where, for the log; the end of it where it is long."""
    return "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
