"""Load on an HTTP endpoint: so many clients that wait for their answers (closed), or so many requests a second (open)."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

_REFUSED = (429, 503)


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

    async def client(session: aiohttp.ClientSession) -> None:
        while time.perf_counter() - began < seconds:
            await _ask(session, url, next(bodies), time.perf_counter(), outcome)

    async with _session(clients) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
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
    async with _session(0) as session:
        began = time.perf_counter()
        for due in arrivals.tolist():
            ahead = began + due - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
            outcome.late = max(outcome.late, -ahead)
            task = asyncio.create_task(_ask(session, url, next(bodies), began + due, outcome))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)
        outcome.seconds = time.perf_counter() - began  # to the last answer: what a queue gave later is not given in time
    return outcome


async def _ask(session: aiohttp.ClientSession, url: str, body: Any, since: float, outcome: Outcome) -> None:
    try:
        request = session.get(url) if body is None else session.post(url, json=body)
        async with request as answer:
            text = await answer.read()
            took = time.perf_counter() - since
            if answer.status == 200:
                outcome.answered.append(took)
            elif answer.status in _REFUSED:
                outcome.refused.append(took)
                outcome.without_retry_after += "retry-after" not in answer.headers
            else:
                outcome.failed.append(f"{answer.status}: {text[:200]!r}")
    except (aiohttp.ClientError, TimeoutError) as error:
        outcome.failed.append(f"{type(error).__name__}: {error}")


def _session(connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), timeout=aiohttp.ClientTimeout(total=60))
