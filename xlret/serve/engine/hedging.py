"""One call to a backend within a deadline: tried once more when it fails, asked twice when it is slow, left alone when down."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from xlret.errors import UserError
from xlret.serve.settings import DeadlineSettings

R = TypeVar("R")

_FAILURES = 3
"""In a row, after which a backend counts as down."""
_SAVED = 5.0
"""Hedges that may be saved up."""


class DownError(Exception):
    """The backend failed again and again a moment ago; it was not asked."""


class Health:
    """How one backend has answered lately.

    Args:
        settings: when to hedge and how long to leave a backend alone that is down.
    """

    def __init__(self, settings: DeadlineSettings) -> None:
        self.settings = settings
        self.failures = 0
        """In a row."""
        self._down_until = 0.0
        self._hedges = 1.0

    @property
    def down(self) -> bool:
        """Whether the backend is left alone for the moment."""
        return self.failures >= _FAILURES and time.monotonic() < self._down_until

    def enter(self) -> None:
        """To be called before asking.

        Raises:
            DownError: the backend is down. After a while one call a time is let through to see whether it is back.
        """
        if self.down:
            raise DownError("did not answer the last calls")
        if self.failures >= _FAILURES:
            self._down_until = time.monotonic() + self.settings.down_s
        self._hedges = min(_SAVED, self._hedges + self.settings.hedges)

    def succeeded(self) -> None:
        """The backend answered."""
        self.failures = 0

    def failed(self) -> None:
        """It did not."""
        self.failures += 1
        self._down_until = time.monotonic() + self.settings.down_s

    def may_hedge(self) -> bool:
        """Takes one of the hedges that have been saved up, if there is one."""
        if self._hedges < 1:
            return False
        self._hedges -= 1
        return True


async def ask(call: Callable[[], Awaitable[R]], deadline: float, health: Health) -> R:
    """The result of `call`, which must be safe to make twice.

    A call that raises is made once more at once. One that is slow is made a second time beside the first, as far as
    `DeadlineSettings.hedges` allows, and whichever answers first counts.

    Args:
        call: starts the call.
        deadline: on the clock of `time.monotonic`.
        health: of the backend that is called.

    Raises:
        TimeoutError: no answer by the deadline.
        DownError: the backend is down and was not asked.
        UserError: the backend refused; that is not tried again.
        Exception: what the second call raised.
    """
    health.enter()
    began = time.monotonic()
    hedge_at = began + health.settings.retry_after * (deadline - began)
    tasks: set[asyncio.Task[R]] = {asyncio.ensure_future(_awaited(call))}
    again = True
    try:
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError
            until = deadline if hedge_at <= now else hedge_at
            done, tasks = await asyncio.wait(tasks, timeout=until - now, return_when=asyncio.FIRST_COMPLETED)
            errors = [RuntimeError("the call was cancelled") if task.cancelled() else task.exception() for task in done]
            for task, error in zip(done, errors, strict=True):
                if error is None:
                    health.succeeded()
                    return task.result()
            for error in errors:
                if error is not None and (isinstance(error, UserError) or not (again or tasks)):
                    raise error
            slow = not done and until == hedge_at < deadline
            if again and (done or (slow and health.may_hedge())):
                again = False
                tasks.add(asyncio.ensure_future(_awaited(call)))
    except UserError:
        health.succeeded()  # it is there, and refused
        raise
    except TimeoutError:
        # A client that allows a millisecond must not make the backend look dead to all others.
        if 1000 * (deadline - began) >= health.settings.timeout_ms / 4:
            health.failed()
        raise TimeoutError("did not answer in time") from None
    except Exception:
        health.failed()
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _awaited(call: Callable[[], Awaitable[R]]) -> R:
    return await call()
