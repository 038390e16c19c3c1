"""Several training processes that talk to each other, for tests of what they find together."""

import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch.multiprocessing as mp

PATIENCE_S = (150, 200, 200)
"""Of each try: a group of processes may hang before its members have found each other."""
IMPORTED = ["torch.distributed", "torch.nn.parallel", "transformers", "xlret.model.encoder"]
"""What takes a process seconds to import: done once, by the process that all others are forked from."""


def run_together(worker: Callable[..., None], count: int, arguments: tuple[object, ...], place: Path) -> Path:
    """Runs `worker(rank, *arguments, directory)` in `count` processes until all have ended; returns the directory.

    Each ends at once when all have returned from the worker, without taking its process group down: spawned processes that did
    aborted now and then ("terminate called without an active exception"). They are forked from a process that has imported and
    computed nothing: forked from this one, with its threads, they hung twice.

    Raises:
        AssertionError: they hung, three times.
        Exception: whatever one of them raised.
    """
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # no question to any name server about this machine's address
    multiprocessing.set_forkserver_preload(IMPORTED)
    for number, patience in enumerate(PATIENCE_S):
        directory = place / str(number)
        directory.mkdir()
        context = mp.start_processes(
            _work, (worker, count, arguments, directory), nprocs=count, join=False, start_method="forkserver"
        )
        try:
            end = time.monotonic() + patience
            while time.monotonic() < end:
                if context.join(timeout=1):  # true once all have ended
                    return directory
        finally:
            for process in context.processes:
                process.kill()
        warnings.warn(f"{count} processes did not end within {patience} s", stacklevel=2)
    raise AssertionError("the processes hung each time")


def _work(rank: int, worker: Callable[..., None], count: int, arguments: tuple[object, ...], directory: Path) -> None:
    worker(rank, *arguments, str(directory))
    (directory / f"ended-{rank}").touch()
    while not all((directory / f"ended-{other}").exists() for other in range(count)):
        time.sleep(0.02)
    os._exit(0)
