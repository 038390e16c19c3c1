"""Something measured in a process of its own, so that its memory is its own."""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from importlib import import_module
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


def apart(function: Callable[..., R], *arguments: Any, module: str, workers: int = 0) -> tuple[R, Cost]:
    """Calls a function in a fresh process, in which a Ray with as many workers is there already; a module that it needs is
    imported before its time is taken, in this process and in the workers. Without workers it has one core, where the system
    can say so."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, function, arguments, module, workers).result()


def _measured(function: Callable[..., R], arguments: tuple[Any, ...], module: str, workers: int) -> tuple[R, Cost]:
    if not workers and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    _import(module)
    placing: AbstractContextManager[tuple[Calls, int]] = calls_for(workers, max(2, workers))
    with placing as (calls, _):
        list(calls(_import, [module] * workers))
        start, cpu = time.monotonic(), time.process_time()
        result = function(*arguments)
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    return result, Cost(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def _import(module: str) -> None:
    """What a process does first; pyarrow loads pandas when it is first given an array."""
    import_module(module)
    import_module("pandas")
    time.sleep(0.5)  # else one worker might do it for all
