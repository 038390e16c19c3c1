"""A sweep over Ray whose trial, driver or cluster is killed ends as an undisturbed one does; nothing finished is made again."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from machines import Cluster, Program, cluster
from rich.console import Console
from sweeps import sweep_job

from xlret.config import as_yaml
from xlret.sweep.in_process import sweep_in_process
from xlret.sweep.ranking import Ranked, seen
from xlret.sweep.search import search_of
from xlret.sweep.seeds import run_configuration
from xlret.sweep.settings import SweepJob
from xlret.training.checkpoint import newest_checkpoint

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
STEPS = [160, 320]
Contents = dict[Path, tuple[int, str]]
"""Result of a finished trial -> when it was written, and what it says."""


@pytest.fixture
def job(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> SweepJob:
    """Two configurations that fit at once, each of which trains for some seconds, the second for twice as long."""
    changes = {"checkpoint_every": 20, "log_every": 20, "dev.every": 160}
    return sweep_job(tmp_path, corpora, lexicon, encoder, points={}, space={"steps": STEPS}, changes=changes, seeds=[0])


def start(machines: Cluster, job: SweepJob, tmp_path: Path) -> Program:
    """The sweep as a user starts it."""
    recipe = tmp_path / "sweep.yaml"
    recipe.write_text(as_yaml(job), encoding="utf-8")
    return machines.start("-m", "jobs.sweep", str(recipe), XLRET_HOME=os.getcwd())


def finished(job: SweepJob) -> Contents:
    """The trials that have ended."""
    results = (job.out / "trials").glob("*/result.json")
    return {path: (path.stat().st_mtime_ns, path.read_text(encoding="utf-8")) for path in results}


def half_done(job: SweepJob) -> list[Path]:
    """Directories of trials that have a checkpoint and no result."""
    directories = [path for path in (job.out / "trials").glob("[!.]*") if not (path / "result.json").exists()]
    return [path for path in directories if step_of(path)]


def process_of(trial: Path) -> int:
    """The process that trains it, as the lock of its run says."""
    note = (trial.parent / f".{trial.name}.lock").read_text(encoding="utf-8")
    return int(re.findall(r"process (\d+)", note)[0])


def step_of(trial: Path) -> int:
    """Of the newest checkpoint."""
    checkpoint = newest_checkpoint(trial)
    return 0 if checkpoint is None else int(checkpoint.name.removeprefix("step-"))


def lines_of(trial: Path) -> list[str]:
    """A trial's reports up to its newest checkpoint; they tell of seconds, so they would not come again."""
    step = step_of(trial)
    lines = (trial / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if json.loads(line)["step"] <= step]


def check_as_undisturbed(job: SweepJob, made: Contents, trained: dict[Path, list[str]]) -> None:
    """All has finished, nothing was made twice, and the table is that of a sweep that nobody disturbed.

    Args:
        job: the sweep.
        made: what was finished before.
        trained: trial -> the reports that it had made before.
    """
    assert {path: contents for path, contents in finished(job).items() if path in made} == made
    for trial, lines in trained.items():
        assert lines
        assert (trial / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[: len(lines)] == lines
    search = search_of(job)
    assert search.ask() is None, "nothing is left to do"
    assert len(search.proposed) == len(STEPS)
    alone = job.model_copy(update={"out": job.out / "alone"})
    for configuration in search.proposed.values():
        run_configuration(alone, configuration)
        ours, theirs = (facts_of(seen(sweep, configuration)) for sweep in (job, alone))
        assert ours == theirs


def facts_of(row: Ranked) -> tuple[object, ...]:
    """What a table tells of a configuration, without times."""
    assert row.status == "finished", row.results
    [result] = row.results
    return result.step, result.best_step, result.metrics, result.fingerprints


def test_a_trial_whose_process_is_killed_goes_on_from_its_last_checkpoint(job: SweepJob, tmp_path: Path) -> None:
    with cluster(2) as machines:
        sweep = start(machines, job, tmp_path)
        [trial, *_] = sweep.until(lambda: half_done(job))
        killed = process_of(trial)
        os.kill(killed, signal.SIGKILL)
        lines = lines_of(trial)
        assert sweep.wait() == 0, sweep.said
    assert f"{trial.name.rpartition('-')[0].rpartition('-')[0]}: its process died; another one goes on" in sweep.said
    assert "Traceback" not in sweep.said
    assert process_of(trial) != killed
    check_as_undisturbed(job, {}, {trial: lines})


def test_a_sweep_that_is_interrupted_and_one_whose_driver_is_killed_go_on(job: SweepJob, tmp_path: Path) -> None:
    with cluster(2) as machines:
        first = start(machines, job, tmp_path)
        first.until(lambda: half_done(job))
        first.process.send_signal(signal.SIGINT)
        assert first.wait() == 130, first.said
        assert "| unfinished |" in first.said, "what is there is tabled"
        made = finished(job)
        trained = {trial: lines_of(trial) for trial in half_done(job)}
        steps = {trial: step_of(trial) for trial in trained}

        second = start(machines, job, tmp_path)
        second.until(lambda: any(step_of(trial) > step for trial, step in steps.items()))
        second.process.kill()
        assert second.wait() == -signal.SIGKILL
        made |= finished(job)

        last = start(machines, job, tmp_path)
        assert last.wait() == 0, last.said
    check_as_undisturbed(job, made, trained)


def test_a_sweep_whose_cluster_is_killed_ends_in_one_line_and_goes_on(job: SweepJob, tmp_path: Path) -> None:
    with cluster(2) as machines:
        first = start(machines, job, tmp_path)
        first.until(lambda: finished(job) and half_done(job))
        machines.head.kill()
        made = finished(job)
        trained = {trial: lines_of(trial) for trial in half_done(job)}
        assert len(made) == len(trained) == 1
        assert first.wait() == 1, first.said
        assert "has not answered for" in first.said
    sweep_in_process(job, search_of(job), Console(quiet=True))  # its files are what another cluster would begin with
    check_as_undisturbed(job, made, trained)
