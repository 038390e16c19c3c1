"""A training in this process takes the processors that it was given, not all of the machine."""

import os
from pathlib import Path

import pytest

from xlret.processors import usable_threads
from xlret.sweep.in_process import in_process
from xlret.sweep.settings import SweepJob


@pytest.mark.parametrize(("wanted", "threads"), [("3", 3), ("2,1", 2), (" 5 ", 5)])
def test_the_users_word_counts(wanted: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert usable_threads() == threads


@pytest.mark.parametrize("wanted", ["", "0", "-1", "many"])
def test_what_openmp_does_not_understand_does_not(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert usable_threads() == len(os.sched_getaffinity(0))


def test_without_it_the_processors_of_the_process_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {5})
    assert usable_threads() == 1


def test_a_sweep_in_process_takes_as_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    how = {"benchmark": "tatoeba", "data": tmp_path}
    job = SweepJob.model_validate({"name": "n", "base": "quickstart", "points": {"a": {}}, "evaluation": how, "out": tmp_path})
    assert in_process(job).changes["ray.threads_per_worker"] == 7
    said = job.model_copy(update={"changes": {"ray.threads_per_worker": 2}})
    assert in_process(said).changes["ray.threads_per_worker"] == 2
