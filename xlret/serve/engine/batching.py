"""Many small requests into few large calls: what arrives while a call is in work goes into the next one."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from xlret.serve.settings import BatchSettings

FEW = 8
"""Items that a call may always take: an encoder on a CPU does more a second with 8 questions at a time than with 2, and hardly
less than with 32."""

_NEWEST = 0.3
"""Weight of the last call in the pace."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class BatchCounts:
    """What batchers of one kind have done."""

    waiting: int = 0
    """Items that are in no call yet, at the moment."""
    calls: int = 0
    items: int = 0
    """In those calls."""


@dataclass
class _Entry(Generic[T, R]):
    item: T
    deadline: float
    arrived: float
    answer: "asyncio.Future[R]"


class Batcher(Generic[T, R]):
    """Collects items and calls `call(items, deadline)` with up to `settings.queries` of them.

    An item that arrives when nothing is in work starts at once, together with those of the same turn of the event loop.
    Otherwise a batch starts when it is full, when its oldest item has waited `wait_ms`, or when nothing is in work any more;
    never more than `settings.calls` at a time. Where several calls may be in work, each takes only its share of a queue, at
    least `FEW` items: if one took all, those would wait for a long call while the next one had almost nothing to do.
    Items that nobody waits for any more, or that are late, are left out; a call that nobody waits for any more is cancelled.

    Args:
        call: the results of a batch, one for each item, in their order. Its deadline, on the clock of `time.monotonic`, is
            the latest of its items'.
        settings: the sizes and times named above.
        weigh: what an item weighs.
        heaviest: a batch of several items weighs no more than this.
        counts: where it is counted what waits and is called; several batchers may share them.
    """

    def __init__(
        self,
        call: Callable[[list[T], float], Awaitable[Sequence[R]]],
        settings: BatchSettings,
        weigh: Callable[[T], int] = lambda item: 0,
        heaviest: int = 0,
        counts: BatchCounts | None = None,
    ) -> None:
        self._call = call
        self._settings = settings
        self._weigh, self._heaviest = weigh, heaviest
        self._counts = counts or BatchCounts()
        self._queue: deque[_Entry[T, R]] = deque()
        self._in_work: set[asyncio.Task[None]] = set()
        self._items_in_work = 0
        self._pace_s = 0.0
        self._timer: asyncio.Handle | None = None

    @property
    def wait_s(self) -> float:
        """How long an item that came now would wait for its call to begin, in seconds: what is before it, at the pace of the
        last calls. (Of the items in work half the work is done, by and large.)"""
        return self._pace_s * (len(self._queue) + self._items_in_work / 2) / self._settings.calls

    async def submit(self, items: Sequence[T], deadline: float) -> list[R]:
        """The results of `items`, in their order.

        Raises:
            TimeoutError: the deadline passed first.
            Exception: whatever the call raised.
        """
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        entries = [_Entry[T, R](item, deadline, now, loop.create_future()) for item in items]
        if not entries:
            return []
        self._queue.extend(entries)
        self._counts.waiting += len(entries)
        self._wake(0)
        try:
            async with asyncio.timeout_at(loop.time() + deadline - now):
                return list(await asyncio.gather(*(entry.answer for entry in entries)))
        finally:
            for entry in entries:
                if not entry.answer.cancel() and not entry.answer.cancelled():
                    entry.answer.exception()  # seen: gather raised the first one only

    def _wake(self, seconds: float) -> None:
        if self._timer is not None and seconds > 0:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._start) if seconds > 0 else loop.call_soon(self._start)

    def _start(self) -> None:
        """Starts the batches whose time has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        settings = self._settings
        while self._queue and len(self._in_work) < settings.calls:
            now = time.monotonic()
            waited = now - self._queue[0].arrived
            most = min(settings.queries, max(FEW, math.ceil(len(self._queue) / settings.calls)))
            if self._in_work and len(self._queue) < most and 1000 * waited < settings.wait_ms:
                self._wake(max(1e-4, settings.wait_ms / 1000 - waited))
                return
            batch: list[_Entry[T, R]] = []
            weight = 0
            while self._queue and len(batch) < most:
                entry = self._queue[0]
                if not entry.answer.done() and entry.deadline > now:
                    weight += self._weigh(entry.item)
                    if batch and weight > self._heaviest:
                        break
                    batch.append(entry)
                self._queue.popleft()
                self._counts.waiting -= 1
            if batch:
                self._counts.calls += 1
                self._counts.items += len(batch)
                task = asyncio.get_running_loop().create_task(self._run(batch))
                self._in_work.add(task)
                task.add_done_callback(self._ended)
                _cancel_when_deserted(task, batch)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._in_work.discard(task)
        self._start()

    async def _run(self, batch: list[_Entry[T, R]]) -> None:
        began = time.monotonic()
        self._items_in_work += len(batch)
        try:
            results = await self._call([entry.item for entry in batch], max(entry.deadline for entry in batch))
            if len(results) != len(batch):
                raise RuntimeError(f"a backend returned {len(results)} results for {len(batch)} items")
        except asyncio.CancelledError:
            self._slow(began, batch)
            for entry in batch:
                entry.answer.cancel()
            raise
        except Exception as error:
            if isinstance(error, TimeoutError):
                self._slow(began, batch)
            for entry in batch:
                if not entry.answer.done():
                    entry.answer.set_exception(error)
            return
        finally:
            self._items_in_work -= len(batch)
        self._pace_s += (_pace_s(began, batch) - self._pace_s) * (_NEWEST if self._pace_s else 1)
        for entry, result in zip(batch, results, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(result)

    def _slow(self, began: float, batch: Sequence[object]) -> None:
        """A call was given up: it would have taken longer still. Believed by and by, since the backend may just have hung."""
        self._pace_s = min(2 * self._pace_s, max(self._pace_s, _pace_s(began, batch)))


def _pace_s(began: float, batch: Sequence[object]) -> float:
    """Seconds an item of a call until now."""
    return (time.monotonic() - began) / len(batch)


def _cancel_when_deserted(task: "asyncio.Task[None]", batch: list[_Entry[T, R]]) -> None:
    waiting = len(batch)

    def left(answer: "asyncio.Future[R]") -> None:
        nonlocal waiting
        waiting -= answer.cancelled()
        if waiting == 0:
            task.cancel()

    for entry in batch:
        entry.answer.add_done_callback(left)
