"""One call within a deadline: retried, hedged, left alone when down."""

import asyncio
import time
from collections.abc import Callable

import pytest

from xlret.errors import UserError
from xlret.serve.engine.hedging import DownError, Health, ask
from xlret.serve.settings import DeadlineSettings


class Backend:
    """Does what a script says, one step a call: a number to answer, an error to raise, None to hang."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.calls = 0
        self.hanging = 0

    async def __call__(self) -> object:
        step = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        if isinstance(step, Exception):
            raise step
        if step is None:
            self.hanging += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging -= 1
        return step


def run(test: Callable[[], object]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def deadline(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


def test_a_failed_call_is_made_once_more() -> None:
    async def test() -> None:
        backend = Backend(OSError("died"), 7)
        assert await ask(backend, deadline(), Health(DeadlineSettings())) == 7
        backend = Backend(OSError("died"), OSError("still dead"), 7)
        with pytest.raises(OSError, match="still dead"):
            await ask(backend, deadline(), Health(DeadlineSettings()))
        assert backend.calls == 2

    run(test)


def test_a_refusal_is_not_tried_again() -> None:
    async def test() -> None:
        backend = Backend(UserError("no such field"))
        health = Health(DeadlineSettings())
        for _ in range(5):
            with pytest.raises(UserError, match="no such field"):
                await ask(backend, deadline(), health)
        assert backend.calls == 5
        assert not health.down

    run(test)


def test_a_slow_call_is_asked_a_second_time_and_the_first_answer_counts() -> None:
    async def test() -> None:
        backend = Backend(None, 7)
        health = Health(DeadlineSettings(retry_after=0.001))
        assert await ask(backend, deadline(), health) == 7
        assert backend.hanging == 0  # the slow one was cancelled

    run(test)


def test_hedges_are_a_small_share_of_calls() -> None:
    async def test() -> None:
        backend = Backend(None)
        health = Health(DeadlineSettings(retry_after=0.1, hedges=0.1))
        for _ in range(20):
            health.failures = 0  # this test is not about backends that are down
            with pytest.raises(TimeoutError):
                await ask(backend, deadline(0.01), health)
        assert 20 <= backend.calls <= 24

    run(test)


def test_a_slow_call_without_a_hedge_is_still_tried_again_when_it_fails() -> None:
    async def test() -> None:
        async def slow_then_fails() -> int:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.05)
            if calls == 1:
                raise OSError("died")
            return 7

        calls = 0
        health = Health(DeadlineSettings(retry_after=0.0001, hedges=0))
        health.may_hedge()  # the one that is there from the start
        assert await ask(slow_then_fails, deadline(), health) == 7

    run(test)


def test_a_backend_that_fails_three_times_is_left_alone_and_then_tried_again() -> None:
    async def test() -> None:
        backend = Backend(*[OSError("dead")] * 6, 7)
        health = Health(DeadlineSettings(down_s=1000))
        for _ in range(3):
            with pytest.raises(OSError, match="dead"):
                await ask(backend, deadline(), health)
        assert health.down
        with pytest.raises(DownError):
            await ask(backend, deadline(), health)
        assert backend.calls == 6
        health._down_until = 0.0  # the moment is over
        assert await ask(backend, deadline(), health) == 7
        assert not health.down

    run(test)


def test_impatient_clients_do_not_make_a_backend_look_dead() -> None:
    async def test() -> None:
        backend = Backend(None)
        health = Health(DeadlineSettings(timeout_ms=2000))
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await ask(backend, deadline(0.001), health)
        assert not health.down
        assert backend.hanging == 0

    run(test)


def test_leaving_cancels_the_call() -> None:
    async def test() -> None:
        backend = Backend(None)
        task = asyncio.ensure_future(ask(backend, deadline(), Health(DeadlineSettings())))
        while not backend.hanging:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.hanging == 0

    run(test)
