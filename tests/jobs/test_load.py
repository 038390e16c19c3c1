"""The load generator against a server whose answers are known."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
from aiohttp import web

from jobs.bench.load import Outcome, closed_loop, open_loop


@asynccontextmanager
async def server(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def test_closed_loop_never_has_more_requests_out_than_clients() -> None:
    now, most = 0, 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.json_response(await request.json())

    async def run() -> Outcome:
        async with server(answer) as url:
            return await closed_loop(url, itertools.repeat({"q": 1}), clients=3, seconds=0.5)

    found = asyncio.run(run())
    assert most == 3
    assert len(found.answered) >= 3
    assert min(found.answered) >= 0.02
    assert not found.failed
    assert found.rate <= 3 / 0.02


def test_open_loop_counts_what_was_answered_refused_and_failed() -> None:
    numbers = itertools.count()

    async def answer(_: web.Request) -> web.Response:
        number = next(numbers)
        if number % 3 == 0:
            return web.Response(status=200)
        if number % 3 == 1:
            return web.Response(status=429, headers={"Retry-After": "1"} if number > 1 else {})
        return web.Response(status=500, text="broken")

    async def run() -> Outcome:
        async with server(answer) as url:
            return await open_loop(url, itertools.repeat({}), np.arange(30) * 0.01)

    found = asyncio.run(run())
    assert (len(found.answered), len(found.refused), len(found.failed)) == (10, 10, 10)
    assert found.without_retry_after == 1
    assert found.failed[0] == "500: b'broken'"
    assert found.seconds >= 0.29
    assert found.ms(50) > 0


def test_open_loop_counts_waiting_from_when_a_request_was_due() -> None:
    """A server that stops answering for a while delays all requests due meanwhile, and each one's time shows it."""
    gate = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await gate.wait()
        return web.Response()

    async def run() -> Outcome:
        async with server(answer) as url:
            asyncio.get_running_loop().call_later(0.4, gate.set)
            return await open_loop(url, itertools.repeat({}), np.arange(4) * 0.1)

    times = sorted(asyncio.run(run()).answered)
    assert times[-1] >= 0.4
    assert times[-1] - times[0] >= 0.25


def test_open_loop_counts_the_time_until_the_last_answer() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)  # as from a queue: long after the last request was sent
        return web.Response()

    async def run() -> Outcome:
        async with server(answer) as url:
            return await open_loop(url, itertools.repeat({}), np.arange(10) / 100)

    found = asyncio.run(run())
    assert len(found.answered) == 10
    assert found.rate <= 10 / 0.59
