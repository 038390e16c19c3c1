"""Batches: merged while busy, at once when idle, nothing for those who left."""

import asyncio
import time

import pytest

from xlret.serve.engine.batching import Batcher
from xlret.serve.settings import BatchSettings

SOON = 60.0


class Backend:
    """Doubles numbers; a test says when."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, items: list[int], deadline: float) -> list[int]:
        self.calls.append(items)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if -1 in items:
            raise ValueError("no")
        return [2 * item for item in items]


def deadline(seconds: float = SOON) -> float:
    return time.monotonic() + seconds


def test_what_comes_in_one_turn_goes_in_one_call_at_once() -> None:
    async def run() -> None:
        backend = Backend()
        batcher = Batcher(backend, BatchSettings(wait_ms=1e6))
        found = await asyncio.gather(*(batcher.submit([number, number + 10], deadline()) for number in range(3)))
        assert found == [[0, 20], [2, 22], [4, 24]]
        assert backend.calls == [[0, 10, 1, 11, 2, 12]]
        assert await batcher.submit([], deadline()) == []

    asyncio.run(run())


def test_while_busy_items_collect_up_to_the_size_of_a_batch() -> None:
    async def run() -> None:
        backend = Backend()
        backend.open.clear()
        batcher = Batcher(backend, BatchSettings(queries=4, calls=1, wait_ms=0))
        first = asyncio.ensure_future(batcher.submit([0], deadline()))
        await until(lambda: len(backend.calls) == 1)
        rest = [asyncio.ensure_future(batcher.submit([number], deadline())) for number in range(1, 7)]
        await until(lambda: len(batcher._queue) == 6)
        backend.open.set()
        assert await first == [0]
        assert await asyncio.gather(*rest) == [[2], [4], [6], [8], [10], [12]]
        assert backend.calls == [[0], [1, 2, 3, 4], [5, 6]]

    asyncio.run(run())


def test_a_free_backend_that_is_busy_gets_a_batch_after_a_short_wait() -> None:
    async def run() -> None:
        backend = Backend()
        backend.open.clear()
        batcher = Batcher(backend, BatchSettings(calls=2, wait_ms=20))
        tasks = [asyncio.ensure_future(batcher.submit([0], deadline()))]
        await until(lambda: len(backend.calls) == 1)
        for number in (1, 2):
            tasks.append(asyncio.ensure_future(batcher.submit([number], deadline())))
            await asyncio.sleep(0)
        assert len(backend.calls) == 1
        await until(lambda: len(backend.calls) == 2)  # although the first is not answered
        assert backend.calls[1] == [1, 2]
        backend.open.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_calls_share_a_queue_and_the_oldest_go_first() -> None:
    async def run() -> None:
        backend = Backend()
        backend.open.clear()
        batcher = Batcher(backend, BatchSettings(calls=2, queries=32))
        tasks = [asyncio.ensure_future(batcher.submit([number], deadline())) for number in range(50)]
        await until(lambda: len(backend.calls) == 2)
        backend.open.set()
        assert await asyncio.gather(*tasks) == [[2 * number] for number in range(50)]
        assert [len(call) for call in backend.calls] == [25, 13, 8, 4]
        assert [number for call in backend.calls for number in call] == list(range(50))

    asyncio.run(run())


def test_the_wait_is_told_from_the_pace_of_the_last_calls() -> None:
    async def run() -> None:
        async def slow(items: list[int], deadline: float) -> list[int]:
            await asyncio.sleep(0.05 * len(items))
            return items

        batcher = Batcher(slow, BatchSettings(calls=1, queries=2))
        await asyncio.gather(*(batcher.submit([number], deadline()) for number in range(2)))
        assert batcher.wait_s == 0
        tasks = [asyncio.ensure_future(batcher.submit([number], deadline())) for number in range(10)]
        await asyncio.sleep(0)  # all are queued, and no call has begun
        began, told = time.monotonic(), batcher.wait_s
        await asyncio.gather(*tasks)
        took = time.monotonic() - began
        assert took / 3 < told < took * 3
        assert batcher.wait_s == 0

    asyncio.run(run())


def test_calls_that_end_too_late_slow_the_pace_by_and_by() -> None:
    async def run() -> None:
        backend = Backend()
        batcher = Batcher(backend, BatchSettings(calls=1, queries=1))

        async def waits(seconds: float) -> float:
            """The wait behind one item, whose call is given up after so many seconds."""
            asked = asyncio.ensure_future(batcher.submit([0], deadline(seconds)))
            await until(lambda: batcher._in_work)
            wait_s = batcher.wait_s
            with pytest.raises(TimeoutError):
                await asked
            await until(lambda: not batcher._in_work)
            return wait_s

        await batcher.submit([0], deadline())
        backend.open.clear()
        first, second, third = [await waits(0.05) for _ in range(3)]
        assert first > 0
        assert second == pytest.approx(2 * first)
        assert third == pytest.approx(4 * first)
        for _ in range(30):
            await waits(0.02)
        assert await waits(0.02) < 1
        backend.open.set()
        for _ in range(20):
            assert await batcher.submit([3], deadline()) == [6]
        backend.open.clear()
        assert await waits(0.02) < 0.02

    asyncio.run(run())


def test_a_call_that_nobody_waits_for_is_cancelled_and_a_queued_item_is_never_sent() -> None:
    async def run() -> None:
        backend = Backend()
        backend.open.clear()
        batcher = Batcher(backend, BatchSettings(calls=1))
        sent = [asyncio.ensure_future(batcher.submit([number], deadline())) for number in (0, 1)]
        await until(lambda: backend.calls == [[0, 1]])
        queued = asyncio.ensure_future(batcher.submit([2], deadline()))
        await until(lambda: len(batcher._queue) == 1)
        sent[0].cancel()
        queued.cancel()
        await asyncio.sleep(0.01)
        assert backend.cancelled == 0  # the other one still waits
        sent[1].cancel()
        await until(lambda: backend.cancelled == 1)
        backend.open.set()
        assert await batcher.submit([3], deadline()) == [6]
        assert backend.calls == [[0, 1], [3]]

    asyncio.run(run())


def test_late_items_and_errors() -> None:
    async def run() -> None:
        backend = Backend()
        backend.open.clear()
        batcher = Batcher(backend, BatchSettings(calls=1))
        with pytest.raises(TimeoutError):
            await batcher.submit([0], deadline(0.02))
        with pytest.raises(TimeoutError):
            await batcher.submit([0], deadline(-1))
        backend.open.set()
        with pytest.raises(ValueError, match="no"):
            await batcher.submit([1, -1], deadline())
        assert await batcher.submit([2], deadline()) == [4]

    asyncio.run(run())


def test_a_backend_that_loses_results_is_an_error_not_a_mixed_up_answer() -> None:
    async def run() -> None:
        async def lossy(items: list[int], deadline: float) -> list[int]:
            return items[1:]

        with pytest.raises(RuntimeError, match="1 results for 2 items"):
            await Batcher(lossy, BatchSettings()).submit([1, 2], deadline())

    asyncio.run(run())


async def until(condition: object) -> None:
    """Waits until `condition()` holds; a minute is more than any machine needs."""
    end = time.monotonic() + SOON
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        await asyncio.sleep(0.001)
