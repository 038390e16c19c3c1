"""Load on an HTTP endpoint: so many clients that wait for their answers (closed), or so many requests a second (open)."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

_REFUSED = (429, 503)
_TIMEOUT_S = 60.0


@dataclass
class Outcome:
    """What came back. Times are in seconds; those of an open loop count from when a request was due, not from when it left."""

    seconds: float = 0.0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    failed: list[str] = field(default_factory=list)
    late: float = 0.0
    """The most that the client itself was behind its schedule: beyond some milliseconds it measured itself."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.answered) / self.seconds if self.seconds else 0.0

    def ms(self, percent: float) -> float:
        """Percentile of the answers' times, milliseconds; NaN without answers."""
        return percentile_ms(self.answered, percent)


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Several spells of the same load as one."""
    return Outcome(
        seconds=sum(outcome.seconds for outcome in outcomes),
        answered=[seconds for outcome in outcomes for seconds in outcome.answered],
        refused=[seconds for outcome in outcomes for seconds in outcome.refused],
        without_retry_after=sum(outcome.without_retry_after for outcome in outcomes),
        failed=[sentence for outcome in outcomes for sentence in outcome.failed],
        late=max(outcome.late for outcome in outcomes),
    )


def percentile_ms(seconds: Sequence[float], percent: float) -> float:
    """A percentile in milliseconds; NaN for nothing.

    >>> percentile_ms([0.001, 0.002, 0.003], 50)
    2.0
    """
    return float(np.percentile(seconds, percent)) * 1000 if seconds else float("nan")


async def closed_loop(url: str, bodies: Iterator[Any], clients: int, seconds: float) -> Outcome:
    """Each client sends its next request when it has the answer to the last.

    Args:
        bodies: JSON bodies to POST, endless; None sends GET.
        clients: connections.
        seconds: how long to go on.
    """
    outcome = Outcome()
    began = time.perf_counter()

    async def client() -> None:
        connection = _Connection(url)
        while time.perf_counter() - began < seconds:
            await _ask(connection, next(bodies), time.perf_counter(), outcome)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    outcome.seconds = time.perf_counter() - began
    return outcome


async def open_loop(url: str, bodies: Iterator[Any], arrivals: NDArray[np.float64]) -> Outcome:
    """Sends requests when they are due, whether earlier ones are answered or not.

    Args:
        bodies: JSON bodies to POST, one an arrival.
        arrivals: seconds from the start at which requests are due, rising.
    """
    outcome = Outcome()
    waiting = set()
    idle: list[_Connection] = []

    async def ask(body: Any, since: float) -> None:
        connection = idle.pop() if idle else _Connection(url)
        await _ask(connection, body, since, outcome)
        idle.append(connection)

    began = time.perf_counter()
    for due in arrivals.tolist():
        ahead = began + due - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        outcome.late = max(outcome.late, -ahead)
        task = asyncio.create_task(ask(next(bodies), began + due))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)
    outcome.seconds = time.perf_counter() - began  # to the last answer: what a queue gave later is not given in time
    for connection in idle:
        connection.close()
    return outcome


async def _ask(connection: "_Connection", body: Any, since: float, outcome: Outcome) -> None:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            status, headers, text = await connection.ask(body)
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        connection.close()
        outcome.failed.append(f"{type(error).__name__}: {error}")
        return
    took = time.perf_counter() - since
    if status == 200:
        outcome.answered.append(took)
    elif status in _REFUSED:
        outcome.refused.append(took)
        outcome.without_retry_after += b"\nretry-after:" not in headers
    else:
        outcome.failed.append(f"{status}: {text[:200]!r}")


class _Connection:
    """HTTP/1.1 to one address, and no more of it than the load needs: on a small machine a client library's own work would be
    work that the server cannot do.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path or "/"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: Any) -> tuple[int, bytes, bytes]:
        """Status, headers (in small letters) and body of the answer to a POST of a JSON body; None sends GET.

        Raises:
            OSError: there is no connection.
            EOFError: it was closed before the whole answer was there.
            ValueError: the answer is not HTTP as this endpoint speaks it.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        data = b"" if body is None else json.dumps(body).encode()
        kind = f"content-type: application/json\r\ncontent-length: {len(data)}\r\n" if data else ""
        head = f"{'POST' if data else 'GET'} {self._path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\n{kind}\r\n"
        writer.write(head.encode() + data)
        headers = (await reader.readuntil(b"\r\n\r\n")).lower()
        text = await reader.readexactly(int(headers.partition(b"\ncontent-length:")[2].split(b"\r", 1)[0]))
        if b"\nconnection: close" in headers:
            self.close()
        return int(headers.split(b" ", 2)[1]), headers, text

    def close(self) -> None:
        """Ends the connection; the next request makes another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
