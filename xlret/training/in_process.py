"""A run in this process, without Ray: the loop of one worker, with its batches assembled ahead by a thread."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch

from xlret.batches.assemble import Assembler, Batch
from xlret.errors import UserError
from xlret.training.callbacks import RunCallback
from xlret.training.checkpoint import Progress
from xlret.training.loop import WorkerTask, training_loop

_AHEAD = 4
"""Batches that wait while one is trained on."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def run_in_process(task: WorkerTask, callbacks: Iterable[RunCallback]) -> None:
    """Trains until the last step, telling the callbacks.

    Raises:
        UserError: a GPU is asked for where there is none; a batch cannot be made; the loss is no number.
    """
    training_loop(task, InProcessWorker(use_gpu=task.job.ray.gpu, callbacks=callbacks))


class InProcessWorker:
    """The only worker of a run (a `loop.Worker`)."""

    rank, world = 0, 1

    def __init__(self, *, use_gpu: bool, callbacks: Iterable[RunCallback] = ()) -> None:
        if use_gpu and not torch.cuda.is_available():
            raise UserError("ray.gpu is true, but there is no GPU; set ray.gpu to false")
        self.device = torch.device("cuda:0" if use_gpu else "cpu")
        self._callbacks = tuple(callbacks)

    def batches(self, task: WorkerTask, start: int, stop: int) -> Generator[Batch]:
        assemble = Assembler(task.inputs)
        yield from ahead(lambda step: assemble(step, 0, 1), range(start, stop), _AHEAD)

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        for callback in self._callbacks:
            callback.on_report(step, metrics)

    def evaluated(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Nothing to do: callbacks have seen the metrics as a report."""

    def evaluator(self) -> None:
        """Nobody: `dev.beside` is for workers of Ray's."""

    def saved(self, progress: Progress, metrics: Mapping[str, float], checkpoint: Path) -> None:
        for callback in self._callbacks:
            callback.on_checkpoint(progress.step, checkpoint)

    def leaving(self) -> bool:
        return False


def ahead(function: Callable[[_In], _Out], values: Iterable[_In], count: int) -> Generator[_Out]:
    """`map(function, values)`, worked out by one thread up to `count` values before they are asked for.

    >>> list(ahead(lambda value: value * value, range(4), 2))
    [0, 1, 4, 9]
    """
    coming = iter(values)
    background = ThreadPoolExecutor(1, thread_name_prefix="xlret-ahead")
    try:
        waiting = deque(background.submit(function, value) for value in islice(coming, count))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(background.submit(function, value) for value in islice(coming, 1))
            yield result
    finally:
        background.shutdown(wait=True, cancel_futures=True)
