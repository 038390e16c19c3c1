"""Trials over Ray Tune whose trainings have workers of their own end, and in what the same trainings do without Tune."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from sweeps import ML, sweep_job

from xlret.sweep.ranking import ranking, seen
from xlret.sweep.search import search_of
from xlret.sweep.seeds import run_configuration
from xlret.sweep.tune import sweep_on_ray

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_trial_of_two_workers_ends_in_what_it_does_without_tune(
    tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path
) -> None:
    changes = {"ray.workers": 2, "ray.cpus_per_worker": 0.5}
    job = sweep_job(tmp_path, corpora, lexicon, encoder, points={"ml": dict(ML.settings)}, changes=changes, seeds=[0])
    search, console = search_of(job), Console(file=io.StringIO(), width=160)
    sweep_on_ray(job, search, console)
    (row,) = ranking(job, search.proposed.values())
    assert row.status == "finished", row.results
    alone = job.model_copy(update={"out": tmp_path / "alone"})
    run_configuration(alone, row.configuration)
    (ours,), (theirs,) = row.results, seen(alone, row.configuration).results
    assert ours.fingerprints == theirs.fingerprints, "the same weights"
    assert ours.metrics == theirs.metrics
