"""Something measured in a process of its own, so that its memory is its own."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

from xlret.calls import Calls, calls_for

R = TypeVar("R")


class Cost(NamedTuple):
    """What a call cost."""

    seconds: float
    cpu_seconds: float
    """Of the process that called, which a busy machine changes less than the seconds."""
    peak_gb: float
    """Most memory of the process that called; tasks of Ray are others."""


def apart(function: Callable[..., R], *arguments: Any, workers: int = 0) -> tuple[R, Cost]:
    """Calls a function of a module in a fresh process, in which a Ray with as many workers is there already."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, function, arguments, workers).result()


def _measured(function: Callable[..., R], arguments: tuple[Any, ...], workers: int) -> tuple[R, Cost]:
    placing: AbstractContextManager[tuple[Calls, int]] = calls_for(workers, max(2, workers))
    with placing as (calls, _):
        list(calls(_import_of, [function] * workers))
        start, cpu = time.monotonic(), time.process_time()
        result = function(*arguments)
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    return result, Cost(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def _import_of(function: Callable[..., Any]) -> str:
    """What a worker does first: the function's module, and all that it needs, is imported there."""
    time.sleep(0.5)  # else one worker might do it for all
    return function.__module__
