"""A small sweep over Ray Tune: the results of one in this process, a failing configuration, and nothing made twice."""

import io
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from tests.helpers.sweeps import sweep_job
from xlret.errors import UserError
from xlret.sweep.ranking import ranking, seen
from xlret.sweep.search import search_of
from xlret.sweep.seeds import run_configuration
from xlret.sweep.tune import sweep_on_ray

pytestmark = pytest.mark.ray


def test_a_sweep_over_ray_has_the_results_of_one_in_process(
    tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path
) -> None:
    points = {"base": {}, "odd": {"plan.languages": ["sv"]}, "fast": {"optimiser.learning_rate": 1e-2}}
    job = sweep_job(tmp_path, corpora, lexicon, encoder, points=points, seeds=[0], scheduler={"method": "asha", "first": 4})
    search, console = search_of(job), Console(file=io.StringIO(), width=160)
    sweep_on_ray(job, search, console)
    rows = {row.configuration.label: row for row in ranking(job, search.proposed.values())}
    assert rows["odd"].status == "failed"
    assert "no corpus has sv" in str(rows["odd"].results[0].error)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "odd: failed" in shown
    assert "3 of 3 configurations, best" in shown

    alone = job.model_copy(update={"out": tmp_path / "alone"})
    # Which of the two comes to step 4 first is the machine's to say; that one is never given up, the other if it is worse.
    whole = next(rows[label] for label in ("base", "fast") if rows[label].status == "finished")
    run_configuration(alone, whole.configuration)
    (ours,), (theirs,) = whole.results, seen(alone, whole.configuration).results
    assert ours.fingerprints == theirs.fingerprints, "the same weights"
    assert ours.metrics == theirs.metrics

    files = {path: path.stat().st_mtime_ns for path in job.out.rglob("*") if "odd" not in str(path) and path.is_file()}
    again = job.model_copy(update={"points": {name: points[name] for name in ("base", "fast")}})
    sweep_on_ray(again, search_of(again), console)  # nothing is left to do, so no Ray is started
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_trial_without_room_is_refused_before_anything_is_trained(
    tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sweep_job(tmp_path, corpora, lexicon, encoder, changes={"ray.threads_per_worker": 99})
    monkeypatch.setattr("xlret.sweep.tune.ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr("xlret.sweep.tune.ray_session", lambda **how: nullcontext())
    with pytest.raises(UserError, match="a trial needs 99 CPUs, which the cluster never has: its nodes have 2 CPUs"):
        sweep_on_ray(job, search_of(job), Console(quiet=True))
