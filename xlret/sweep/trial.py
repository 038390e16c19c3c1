"""One trial: a training with one seed, watched, evaluated, and written down whatever comes of it."""

import json
import math
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError, user_error_in
from xlret.evaluation.run import evaluate_encoder
from xlret.files import write_text
from xlret.sweep.configuration import Configuration, trial_directory, trial_run
from xlret.sweep.divergence import Divergence
from xlret.sweep.evaluations import (
    EVALUATIONS,
    as_json,
    evaluation_sets,
    evaluations_at,
    evaluations_of,
    numbers_of,
    read_evaluation,
)
from xlret.sweep.result import KEPT, Status, TrialResult, read_result, write_result
from xlret.sweep.same_training import deciding_corpora
from xlret.sweep.settings import SweepJob
from xlret.training.callbacks import RunCallback
from xlret.training.log import read_lines
from xlret.training.loop import DivergedError
from xlret.training.progress import Print
from xlret.training.run import train
from xlret.training.settings import TrainJob
from xlret.training.setup import write_start

if TYPE_CHECKING:
    from xlret.training.ray_run import Extend

Report = Callable[[Mapping[str, float]], bool | None]
"""Given `step` and the dev metrics, says whether the trial is to be given up."""


def run_trial(
    job: SweepJob,
    configuration: Configuration,
    seed: int,
    *,
    report: Report | None = None,
    until: int | None = None,
    show: Print | None = None,
    callbacks: Iterable[RunCallback] = (),
    run_config: "Extend | None" = None,
) -> TrialResult | None:
    """Trains and evaluates one configuration with one seed; what an earlier start left is not made again.

    A run that was killed goes on from its last checkpoint. Whatever ends the training but an interruption becomes the result's
    `status` and `error`, and is kept in `result.json`.

    Args:
        job: the sweep.
        configuration: which of its configurations.
        seed: of weights, dropout and batches.
        report: told of every dev evaluation, in order; those before a restart are not told again.
        until: pause at the first checkpoint of this step or a later one; a later call goes on from there. The last step ends
            the trial all the same.
        show: where the lines of the training go.
        callbacks: told, besides, of every report and checkpoint of the training.
        run_config: see `xlret.training.run.train`.

    Returns:
        What came of it; None: it is paused.

    Raises:
        KeyboardInterrupt: the trial was interrupted; it goes on at the next start.
    """
    directory = trial_directory(job, configuration, seed)
    known = read_result(directory)
    if known is not None and known.known:
        check_evaluations(job, known, directory)
        return known
    status: Status = "finished"
    error: str | None = None
    metrics: dict[str, float | None] = {}
    corpora: dict[str, str] = {}
    try:
        run = trial_run(job, configuration, seed)
        if not configuration.untrained:
            watch = _Watch(job, directory, report, run.steps if until is None else until, run.steps)
            train(run, show=show, callbacks=[watch, *callbacks], run_config=run_config)
        metrics = _evaluated(job, run, directory, configuration)
        corpora = deciding_corpora(job, configuration, seed)
    except _PausedError:
        return None
    except _CutError:
        status = "cut"
    except DivergedError as diverged:
        status, error = "diverged", str(diverged)
    except Exception as failure:  # whatever it is, the other trials can do without this one
        status = "failed"
        error = str(user_error_in(failure) or f"{type(failure).__name__}: {failure}")[:500]
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / "error.txt", traceback.format_exc())
    return _written(job, configuration, seed, status, error, metrics, corpora)


def cut_trial(job: SweepJob, configuration: Configuration, seed: int) -> TrialResult:
    """Writes down that a trial which is paused, or was never begun, is given up."""
    return _written(job, configuration, seed, "cut", None, {}, {})


def fail_trial(job: SweepJob, configuration: Configuration, seed: int, error: str) -> TrialResult:
    """Writes down that a trial could not be carried out."""
    return _written(job, configuration, seed, "failed", error, {}, {})


def _written(
    job: SweepJob,
    configuration: Configuration,
    seed: int,
    status: Status,
    error: str | None,
    metrics: Mapping[str, float | None],
    corpora: Mapping[str, str],
) -> TrialResult:
    directory = trial_directory(job, configuration, seed)
    result = TrialResult(
        configuration=configuration.name,
        label=configuration.label,
        point=configuration.point,
        seed=seed,
        settings=dict(configuration.settings),
        status=status,
        error=error,
        **_facts(directory, metrics, corpora),
        evaluations=as_json(evaluations_at(job, configuration.point)),
    )
    (directory / KEPT).unlink(missing_ok=True)
    write_result(directory, result)
    return result


def check_evaluations(job: SweepJob, result: TrialResult, directory: Path) -> None:
    """Whether a trial that is there was judged as the sweep says.

    Raises:
        UserError: it was not.
    """
    if result.status == "finished" and result.evaluations != as_json(evaluations_at(job, result.point)):
        raise UserError(f"{directory} was made with other settings of `evaluation`; remove it or choose another `out`")


def renew_metrics(job: SweepJob, result: TrialResult, directory: Path) -> None:
    """Reckons the numbers of a finished trial anew from its evaluations, since the sweep may ask for other groups of languages.

    Raises:
        UserError: an evaluation lacks a language of a group.
    """
    numbers = {**result.metrics, **_numbers(job, directory)}
    if result.status == "finished" and numbers != result.metrics:
        write_result(directory, result.model_copy(update={"metrics": numbers}))


def _numbers(job: SweepJob, directory: Path) -> dict[str, float | None]:
    """Metric -> value, of all evaluations that a trial's directory holds."""
    numbers: dict[str, float | None] = {}
    for name in evaluations_of(job):
        path = directory / EVALUATIONS / name / "evaluation.json"
        if path.exists():
            prefix, groups = ("", job.groups) if name == "evaluation" else (f"{name}.", {})
            values = numbers_of(json.loads(path.read_text(encoding="utf-8")), job.pivot, groups)
            numbers |= {f"{prefix}{metric}": value for metric, value in values.items()}
    return numbers


class _CutError(Exception):
    """A scheduler gives the trial up."""


class _PausedError(Exception):
    """The step is reached at which a trial waits for the others."""


class _Watch:
    """Hands dev metrics on and ends a run that is given up, paused or has diverged (a `RunCallback`)."""

    def __init__(self, job: SweepJob, directory: Path, report: Report | None, until: int, last: int) -> None:
        self._report, self._until, self._last = report, until, last
        self._divergence = Divergence(job.trial.diverged_window, job.trial.diverged_factor)
        for line in read_lines(directory / "metrics.jsonl"):
            if line["group"] == "train":
                self._divergence.told(line)

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        if metrics["group"] == "train":
            if (sentence := self._divergence.told(metrics)) is not None:
                raise DivergedError(f"step {step}: {sentence}")
        elif self._report is not None:
            numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
            if self._report({**numbers, "step": step}):
                raise _CutError

    def on_checkpoint(self, step: int, directory: Path) -> None:
        if self._until <= step < self._last:
            raise _PausedError


def _evaluated(job: SweepJob, run: TrainJob, directory: Path, configuration: Configuration) -> dict[str, float | None]:
    """The numbers of all evaluations of a trained model; those that are there already are read."""
    model = _untrained_model(run, directory) if configuration.untrained else str(directory / "model")
    for name, settings in evaluations_at(job, configuration.point).items():
        if run.model == "reranker":
            settings = settings.model_copy(update={"reranker": Path(model)})
        out = directory / EVALUATIONS / name
        if read_evaluation(out, settings) is None:
            encoder = model if run.model == "retriever" else str(job.retriever)
            sets = evaluation_sets(settings)
            evaluate_encoder(encoder, settings, out, replace=True, console=Console(quiet=True), sets=sets)
    return _numbers(job, directory)


def _untrained_model(run: TrainJob, directory: Path) -> str:
    """Where the model that training would begin with is; one that no directory or hub holds as it is gets made."""
    if run.encoder.start != "fresh" and run.encoder.layers is None:
        return run.encoder.start
    if not (directory / "start").exists():
        write_start(run, [ParallelCorpus.open(path) for path in run.corpora], directory / "start")
    return str(directory / "start")


def _facts(directory: Path, metrics: Mapping[str, float | None], corpora: Mapping[str, str]) -> dict[str, Any]:
    """What the run's own files say of it, and the corpora that it was trained on, watched on and evaluated on."""
    lines = read_lines(directory / "metrics.jsonl")
    dev = [line for line in lines if line["group"] == "dev"]
    numbers = {f"dev.{name}": value for name, value in dev[-1].items() if name not in ("step", "group", "best")} if dev else {}
    last = {name: value for name, value in numbers.items() if math.isfinite(value)}  # Cr of a single language is no number
    run = json.loads((directory / "run.json").read_text(encoding="utf-8")) if (directory / "run.json").exists() else {}
    outcome = run.get("finished") or {}
    fingerprints = {
        "plan": run.get("plan_fingerprint"),
        "start": run.get("start_weights_sha256"),
        "weights": outcome.get("weights_sha256"),
        **corpora,
        **{f"corpus {corpus['path']}": corpus["fingerprint"] for corpus in run.get("corpora", ())},
    }
    seconds = 0.0
    for path in directory.glob(f"{EVALUATIONS}/*/evaluation.json"):
        seconds += sum(json.loads(path.read_text(encoding="utf-8"))["seconds"].values())
    return {
        "metrics": {**last, **metrics},
        "step": outcome.get("steps") or max((line["step"] for line in lines), default=0),
        "best_step": outcome.get("best_step"),
        "training_seconds": sum(line["seconds"] for line in lines if line["group"] == "train"),
        "evaluation_seconds": seconds,
        "fingerprints": {name: value for name, value in fingerprints.items() if value is not None},
    }
