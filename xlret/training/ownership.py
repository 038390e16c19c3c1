"""Who may write to a run's directory: one driver at a time, and of its workers the first, once no other is left."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xlret.artifacts import locked
from xlret.errors import UserError
from xlret.files import write_error

PATIENCE_S = 120.0
"""How long workers may take to end after their driver was killed. Ray ends them within seconds, but a file server keeps the
lock of a machine that is gone for as long as its lease: 90 s with NFS version 4."""


@contextmanager
def sole_driver(run_directory: Path) -> Iterator[None]:
    """Holds a run from its first file to its last. The lock lies beside the directory, which may be removed meanwhile.

    Raises:
        UserError: another process trains it: which, on what host, since when; or its directory cannot be written to.
    """
    busy = f"{run_directory} is being trained already; wait for that or choose another name"
    try:
        run_directory.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(run_directory, error) from error
    with locked(run_directory.with_name(f".{run_directory.name}.lock"), busy):
        yield


@contextmanager
def sole_writer(run_directory: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Held by the one process that writes a run's files; waits for workers that a killed driver left.

    Raises:
        UserError: they did not end in time.
    """
    busy = f"a worker of an earlier training of {run_directory} did not end within {patience_s:.0f} s; end it and start again"
    end = time.monotonic() + patience_s
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(run_directory.with_name(f".{run_directory.name}.writer.lock"), busy))
                break
            except UserError:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.1)
        yield
