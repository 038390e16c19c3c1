"""Memory under questions that nobody asked before: once the cache of vectors is full, a request leaves nothing behind."""

import asyncio
import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

from stand_in import House

from xlret.serve.settings import LogSettings


async def searched(house: House, number: int) -> None:
    """A search through the whole application, from an address of its own, without a client's memory in the way."""
    body = json.dumps({"query": f"cat number {number}", "top_k": 3, "highlight": number % 4 == 0}).encode()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body}]
    statuses = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    headers = [(b"content-type", b"application/json"), (b"x-forwarded-for", f"10.0.{number >> 8}.{number & 255}".encode())]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/search", "query_string": b"", "headers": headers,
        "client": ("127.0.0.1", 4711), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    await house.app(scope, receive, send)
    assert statuses[0] == 200


def test_unique_questions_leave_nothing_behind(tmp_path: Path) -> None:
    async def run() -> int:
        log = LogSettings(file=tmp_path / "log", stderr=False)
        house = House(groups=1, shards=1, detect=False, log=log, batch={"cache_bytes": 10_000})
        await house.gateway.swap(Path("/releases/red"))
        tracemalloc.start()
        try:
            after = []
            for first in (0, 120, 240, 360):
                for number in range(first, first + 120):
                    await searched(house, number)
                    for fake in (house.encoder, *house.shards):
                        fake.batches.clear()  # the stand-ins keep book of their calls
                gc.collect()
                after.append(tracemalloc.get_traced_memory()[0])
            assert 9_000 < house.gateway.cache.bytes <= 10_000
            # Until the second the cache fills, and what is made at first use is made. A table that grows once shows once.
            return min(after[2] - after[1], after[3] - after[2])
        finally:
            tracemalloc.stop()

    grown = asyncio.run(run())
    assert grown < 120 * 64, f"{grown / 120:.0f} bytes a request"
