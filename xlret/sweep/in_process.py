"""A sweep in this process, without Ray: one training after the other, with the search and the results of a sweep over Ray."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console

from xlret.errors import TerminatedError, UserError
from xlret.processors import usable_threads
from xlret.sweep.live import LiveTable
from xlret.sweep.search import Search
from xlret.sweep.seeds import run_configuration
from xlret.sweep.settings import SweepJob
from xlret.training.ownership import sole_driver


def in_process(job: SweepJob) -> SweepJob:
    """The sweep with all trainings in this process, on `usable_threads` unless it says on how many.

    Raises:
        UserError: it sweeps the number of workers.
    """
    if any("ray.workers" in settings for settings in (job.space, *job.points.values())):
        raise UserError("trainings in this process have ray.workers 0; take it out of space and points, or sweep over Ray")
    here: Mapping[str, Any] = {"ray.threads_per_worker": usable_threads(), **job.changes, "ray.workers": 0}
    return job.model_copy(update={"changes": here})


def sweep_in_process(job: SweepJob, search: Search, console: Console) -> None:
    """Trains and evaluates the configurations of a search; what an earlier start left is gone on with.

    Args:
        job: the sweep, as `in_process` gives it.
        search: hands out its configurations.
        console: where the progress is shown.

    Raises:
        UserError: another process runs the sweep.
        KeyboardInterrupt: SIGINT (Ctrl-C) or SIGTERM (a `TerminatedError`) was sent; the training under way goes on at the
            next start.
    """
    with sole_driver(job.out / "trials"), termination_interrupts(), LiveTable(job, search, console, 1) as table:
        while (configuration := search.ask()) is not None:

            def told(seed: int, step: int, metrics: Mapping[str, float], trained: Any = configuration) -> None:
                table.told(trained, {**metrics, "seed": seed, "step": step})

            table.begun(configuration)
            try:
                run_configuration(job, configuration, told)
            finally:
                table.ended(configuration)
            search.tell(configuration)


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Within the block SIGTERM is a `TerminatedError`, so that what is done is kept and told."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
