"""Tasks that assemble batches, run by a real Ray: one hangs, and the object store and the disk behind it are full."""

import logging
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from disks import disk_of
from machines import Cluster, cluster
from ray.exceptions import ObjectStoreFullError, OutOfDiskError

from xlret.batches.assemble import Assembler, Batch, Inputs
from xlret.batches.settings import PlanSettings
from xlret.batches.stream import StreamOptions, batches
from xlret.session import ray_session
from xlret.switch.settings import SwitchSettings

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
TASK = "MapBatches"
STEPS_PER_BLOCK = 100
STEPS = 5 * STEPS_PER_BLOCK
OPTIONS = StreamOptions(STEPS_PER_BLOCK, blocks_ahead=1, straggle_s=30)


@pytest.fixture(scope="module")
def inputs(corpora: Path, lexicon: Path, encoder: Path) -> Inputs:
    return Inputs((corpora / "train",), PlanSettings(batch_size=16), SwitchSettings(policy="ml", lexicons=(lexicon,)), encoder)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One machine, whose object store holds 80 MB and whose disk behind it 10 MB; this process is connected to it."""
    directory = tmp_path_factory.mktemp("spilling") / "disk"
    with disk_of(10, directory) as disk, cluster(2, 80, disk) as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", made.address)
        with ray_session():
            yield made


def check(made: Batch, expected: Batch) -> None:
    assert made.step == expected.step
    assert np.array_equal(made.queries.ids, expected.queries.ids)
    assert np.array_equal(made.passages.ids, expected.passages.ids)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "xlret.batches.stream"]


def test_a_task_that_hangs_costs_its_wait(machine: Cluster, inputs: Inputs, caplog: pytest.LogCaptureFixture) -> None:
    """The process of a task is stopped while it works: the worker assembles the steps; later tasks run in other processes."""
    caplog.set_level(logging.WARNING)
    assemble = Assembler(inputs)
    made = batches(inputs, 0, 1, 0, STEPS, OPTIONS)
    check(next(made), assemble(0, 0, 1))
    [working] = wait_for(lambda: machine.head.workers(TASK))
    os.kill(working, signal.SIGSTOP)
    try:
        steps = 1
        for batch in made:
            check(batch, assemble(steps, 0, 1))
            steps += 1
    finally:
        os.kill(working, signal.SIGCONT)
        wait_for(lambda: not machine.head.workers(TASK))  # a data set that outlives its Ray ends the process
    assert steps == STEPS
    [said] = warnings_in(caplog)
    assert re.fullmatch(r"worker 0 assembles steps \d00 to \d00 itself, its task did not: TimeoutError", said)


def wait_for(condition: Callable[[], Any]) -> Any:
    """What it gives as soon as that is something true."""
    end = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.01)
    return value


@contextmanager
def full_store() -> Iterator[None]:
    """No object finds room in the machine's store or on its disk while the block runs."""
    held = []
    for size in (4 * 2**20, 2**19, 2**17):
        with suppress(OutOfDiskError, ObjectStoreFullError):
            while True:
                held.append(ray.put(np.zeros(size, np.uint8)))
                assert len(held) < 1000, "nothing is full"
    yield
    held.clear()


def test_what_finds_no_room_in_a_full_object_store_is_assembled_by_the_worker(
    machine: Cluster, inputs: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    """Tasks fail where their blocks find no room; when there is room they assemble again."""
    caplog.set_level(logging.WARNING)
    assemble = Assembler(inputs)
    with full_store():
        for step, batch in enumerate(batches(inputs, 0, 1, 0, 2 * STEPS_PER_BLOCK, OPTIONS)):
            check(batch, assemble(step, 0, 1))
    assert step == 2 * STEPS_PER_BLOCK - 1
    said = warnings_in(caplog)
    assert len(said) == 2
    assert all("OutOfDiskError" in line or "ObjectStoreFullError" in line for line in said)
    caplog.clear()
    for step, batch in enumerate(batches(inputs, 0, 1, 0, 2 * STEPS_PER_BLOCK, OPTIONS)):
        check(batch, assemble(step, 0, 1))
    assert warnings_in(caplog) == []
