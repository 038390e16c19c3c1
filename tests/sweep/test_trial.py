"""One trial in this process: what it leaves, that it goes on and is not made again, and what ends it early."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sweeps import ML, sweep_job

from xlret.errors import UserError
from xlret.sweep.checks import check_sweep
from xlret.sweep.configuration import Configuration, configuration, trial_directory
from xlret.sweep.evaluations import evaluation_sets
from xlret.sweep.ranking import seen
from xlret.sweep.result import TrialResult
from xlret.sweep.settings import SweepJob
from xlret.sweep.trial import run_trial


@pytest.fixture
def job(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> SweepJob:
    return sweep_job(tmp_path, corpora, lexicon, encoder)


def finished(job: SweepJob, config: Configuration, seed: int, **how: Any) -> TrialResult:
    result = run_trial(job, config, seed, **how)
    assert result is not None
    return result


def test_a_trial_is_trained_evaluated_and_written_down_once(job: SweepJob) -> None:
    told: list[Mapping[str, float]] = []
    result = finished(job, ML, 0, report=told.append)
    directory = trial_directory(job, ML, 0)
    written = json.loads((directory / "evaluations" / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert (result.status, result.step, result.error) == ("finished", 6, None)
    assert {name: written[name] for name in ("mo", "cr", "mul", "peer", "ndcg@10")} == {
        name: result.metrics[name] for name in ("mo", "cr", "mul", "peer", "ndcg@10")
    }
    assert [line["step"] for line in told] == [0, 2, 4, 6]
    assert result.metrics["dev.mul"] == told[-1]["mul"]
    assert result.fingerprints["weights"] != result.fingerprints["start"]
    assert result.training_seconds > 0
    made = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    assert finished(job, ML, 0, report=told.append) == result
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == made
    assert len(told) == 4


def test_a_paused_trial_goes_on_to_the_same_result(job: SweepJob, tmp_path: Path) -> None:
    job = job.model_copy(update={"changes": {"precision": "auto"}})  # whatever that means here, it is the same later
    whole = finished(job, ML, 0)
    other = job.model_copy(update={"out": tmp_path / "paused"})
    told: list[Mapping[str, float]] = []
    assert run_trial(other, ML, 0, until=3, report=told.append) is None
    assert (trial_directory(other, ML, 0) / "checkpoints" / "step-000000004").is_dir()
    paused = finished(other, ML, 0, until=6, report=told.append)
    assert [line["step"] for line in told] == [0, 2, 4, 6]
    assert (paused.metrics, paused.fingerprints["weights"]) == (whole.metrics, whole.fingerprints["weights"])


def test_a_trial_that_is_given_up_is_a_row_without_evaluation(job: SweepJob) -> None:
    result = finished(job, ML, 0, report=lambda metrics: metrics["step"] == 2)
    assert (result.status, result.step) == ("cut", 2)
    assert {name.split(".")[0] for name in result.metrics} == {"dev"}
    assert seen(job, ML).status == "cut"
    assert finished(job, ML, 0) == result  # given up for good


def test_a_trial_that_diverges_is_stopped_and_says_so(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> None:
    job = sweep_job(tmp_path, corpora, lexicon, encoder, changes={"log_every": 1, "steps": 40})
    watched = job.trial.model_copy(update={"diverged_window": 1, "diverged_factor": 0.5})  # a loss that hardly falls
    result = finished(job.model_copy(update={"trial": watched}), ML, 0)
    assert result.status == "diverged"
    assert result.error is not None
    assert "the loss of mono batches" in result.error
    assert 0 < result.step < 40
    changes = {"optimiser.learning_rate": 1e30, "optimiser.clip": 1e30}
    job = sweep_job(tmp_path, corpora, lexicon, encoder, changes=changes)
    nan = finished(job, configuration("nan", {}), 0)
    assert nan.status == "diverged"
    assert "is nan" in (nan.error or "")


def test_a_trial_that_fails_is_a_row_with_its_error_and_is_tried_again(job: SweepJob, corpora: Path, tmp_path: Path) -> None:
    config = configuration("late", {"corpora": [str(tmp_path / "late")]})
    result = finished(job, config, 0)
    assert result.status == "failed"
    assert "late" in (result.error or "")
    assert "Traceback" in (trial_directory(job, config, 0) / "error.txt").read_text(encoding="utf-8")
    assert seen(job, config).goals(job) is None
    (tmp_path / "late").symlink_to(corpora / "train")
    assert finished(job, config, 0).status == "finished"


def test_evaluation_sets_are_read_once(job: SweepJob) -> None:
    assert evaluation_sets(job.evaluation) is evaluation_sets(job.evaluation.model_copy(update={"run_depth": 5}))


def test_what_cannot_be_used_shows_before_the_first_step(
    tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path, job: SweepJob
) -> None:
    with pytest.raises(UserError, match="goals names mull, which is not measured"):
        check_sweep(sweep_job(tmp_path, corpora, lexicon, encoder, goals=["mull"]), [])
    with pytest.raises(UserError, match=r"plan\.alfa"):
        check_sweep(job, [configuration(None, {"plan.alfa": 1})])
    without = sweep_job(tmp_path, corpora, lexicon, encoder, changes={"dev.corpora": []}, scheduler={"method": "asha"})
    with pytest.raises(UserError, match=r"scheduler asha goes by the dev metrics of a run; name dev\.corpora"):
        check_sweep(without, [ML])
    finished(job, ML, 0)
    with pytest.raises(UserError, match="exists with other settings: steps was 6 and is now 8"):
        check_sweep(job.model_copy(update={"changes": {"steps": 8}}), [ML])
    judged = job.evaluation.model_copy(update={"groups": 3})
    with pytest.raises(UserError, match="was made with other settings of `evaluation`"):
        check_sweep(job.model_copy(update={"evaluation": judged}), [ML])
