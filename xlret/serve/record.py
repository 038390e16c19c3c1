"""What is known of one request when it has been answered: for the log, and for whoever counts."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_log = logging.getLogger("xlret.serve")


@dataclass
class RequestRecord:
    """One request. The endpoint fills in what it knows; the border sends the whole to the observers at the end."""

    request_id: str
    method: str
    path: str
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
    queries: list[str] | None = None
    """Their texts, where the settings say so; nobody's words are logged by default."""


Observer = Callable[[RequestRecord], None]
"""Called once for each request, on the event loop: it must be quick and must not raise."""


def log_request(record: RequestRecord) -> None:
    """One line of JSON to the logger `xlret.serve`. It is ASCII: no line break or escape of a client's gets into the log."""
    line: dict[str, Any] = {
        "request_id": record.request_id,
        "method": record.method,
        "path": record.path[:200],
        "status": record.status,
        "ms": round(record.ms, 2),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
    }
    for name in ("error", "release", "texts", "partial_reason", "hits", "queries"):
        if value := getattr(record, name):
            line[name] = value
    if record.took_ms:
        line["took_ms"] = {stage: round(ms, 2) for stage, ms in record.took_ms.items()}
    if record.shards_ok or record.shards_failed:
        line["shards"] = {"ok": record.shards_ok, "failed": record.shards_failed}
    _log.info("%s", json.dumps(line))
