"""A training run from start to end: checks what it was given, trains here or over Ray, leaves a trained model.

runs/<name>/
  config.yaml      every setting            run.json      versions, data, hardware, commit; the outcome at the end
  start/           the model it began with    model/      the best model (the last one without dev corpora)
  metrics.jsonl    every report             tensorboard/  the same as events
  checkpoints/     what a run goes on from   report.html   curves, shares of languages, sample texts, settings
  track.json       which runs they are in MLflow or Weights & Biases, where `track` names those
  evaluations/     while it runs, what `dev.beside` has yet to evaluate (`beside.py`)
  batches.json     planned and realised shares of kinds of batch, languages and language pairs
"""

import json
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlret.errors import UserError
from xlret.files import local, remove_tree, sha256_of, write_json
from xlret.model.processor import resolved, slow_bfloat16
from xlret.storage.url import is_url
from xlret.training.beside import EVALUATIONS, best_known
from xlret.training.callbacks import RunCallback
from xlret.training.card import write_training
from xlret.training.checkpoint import CHECKPOINTS, WEIGHTS, load_progress, newest_checkpoint
from xlret.training.in_process import run_in_process
from xlret.training.log import read_lines
from xlret.training.ownership import sole_driver, sole_writer
from xlret.training.progress import Print, ProgressLines
from xlret.training.report import write_report
from xlret.training.settings import TrainJob
from xlret.training.setup import check_settings, flat_settings, set_up
from xlret.training.trackers import check_trackers, tracking

if TYPE_CHECKING:
    from xlret.training.ray_run import Extend


@dataclass(frozen=True)
class TrainResult:
    """What a finished run left."""

    run_directory: Path
    steps: int
    best_metric: float | None
    best_step: int | None
    weights_sha256: str  # of the last checkpoint's weights: equal for equal runs

    @property
    def model(self) -> Path:
        """The best model (the last one without dev corpora), in the layout of sentence-transformers."""
        return self.run_directory / "model"

    @property
    def report(self) -> Path:
        """`report.html`: curves, sample texts, settings."""
        return self.run_directory / "report.html"

    def history(self, group: str = "train") -> list[dict[str, Any]]:
        """Every report in order: `train` (loss, rates) or `dev` (held-out metrics), each with its `step`."""
        return [line for line in read_lines(self.run_directory / "metrics.jsonl") if line["group"] == group]


def train(
    job: TrainJob,
    *,
    fresh: bool = False,
    show: Print | None = print,
    callbacks: Iterable[RunCallback] = (),
    run_config: "Extend | None" = None,
) -> TrainResult:
    """Trains as `job` says; a run of the same name and settings is continued from its last checkpoint.

    With `ray.workers` 0 it trains in this process and Ray is not imported; the weights are those of one Ray worker. Otherwise
    a local Ray is started where none is running, and a worker that dies is replaced up to `ray.max_failures` times.

    Args:
        fresh: throw away what an earlier run of this name left.
        show: where progress lines go; None for nowhere.
        callbacks: told of every report and checkpoint.
        run_config: given Ray Train's `RunConfig` of the run, returns it with what the caller adds, such as
            `callbacks=[TuneReportCallback()]`; dev metrics are then reported to Ray at every evaluation. Not without Ray.

    Raises:
        UserError: settings, corpora or checkpoints cannot be used; the run of this name has other settings, or is being
            trained by another process; the disk is full (the run goes on from its last checkpoint when there is space again).
    """
    if run_config is not None and not job.ray.workers:
        raise UserError("a RunConfig is Ray Train's, and ray.workers is 0; use callbacks or set ray.workers to 1 or more")
    directory = job.storage / job.name
    say = show or (lambda line: None)
    precision = resolved(job.precision, gpu=job.ray.gpu)
    job = job.model_copy(update={"precision": precision})
    check_trackers(job.track)
    if not fresh:
        check_settings(job)
        if (finished := _finished(directory)) is not None:
            say(f"{directory} is finished already; its model is {finished.model} (--fresh trains it again)")
            return finished
    if (warning := slow_bfloat16(precision, "precision", gpu=job.ray.gpu)) is not None:
        say(warning)
    with sole_driver(directory):
        return _train(job, directory, fresh, say, callbacks, run_config)


def _train(
    job: TrainJob, directory: Path, fresh: bool, say: Print, callbacks: Iterable[RunCallback], run_config: "Extend | None"
) -> TrainResult:
    with ExitStack() as trackers, ExitStack() as writing:
        writing.enter_context(sole_writer(directory))
        if fresh and directory.exists():
            remove_tree(directory)
        check_settings(job)  # again: another process may have begun the run meanwhile, or finished it
        if (finished := _finished(directory)) is not None:
            return finished
        _clear(directory)
        task, plan, samples = set_up(job, directory)
        for line in plan.explain(job.steps * job.accumulate, walk=False).planned_lines():
            say(line)
        write_report(directory, job, plan, samples, ended=False)
        if task.resume is not None:
            say(f"going on from {task.resume.name}")
        tracked = trackers.enter_context(tracking(job, flat_settings(job), directory, say))
        told: list[RunCallback] = [ProgressLines(job.steps, say), tracked, *callbacks]
        if job.ray.workers:
            from xlret.training.gauges import PlanGauges
            from xlret.training.ray_run import run_over_ray

            told.append(PlanGauges(job.name, plan, job.accumulate))
            writing.close()  # the first worker takes over
            run_over_ray(task, told, say, run_config)
        else:
            run_in_process(task, told)
    checkpoint = newest_checkpoint(directory)
    assert checkpoint is not None, "a run ends with a checkpoint"
    progress = best_known(load_progress(checkpoint), read_lines(directory / "metrics.jsonl"), job.dev.metric)
    weights = sha256_of(local(checkpoint) / WEIGHTS)
    result = TrainResult(directory, progress.step, progress.best_metric, progress.best_step, weights)
    outcome = {name: value for name, value in asdict(result).items() if name != "run_directory"}
    run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    write_json(directory / "run.json", {**run, "finished": outcome})
    if job.model == "retriever":
        write_training(directory)
    say(f"report: {write_report(directory, job, plan, samples, ended=True)}")
    return result


def _clear(directory: Path) -> None:
    """Removes what a killed process left half-written in a run's directory (nobody else writes to it now)."""
    if is_url(directory):  # a directory there is not seen before it is whole
        return
    files = ("config.yaml", "run.json", "batches.json", "metrics.jsonl", "report.html", "start", "model")
    ours = [path for name in files for path in directory.glob(f".{name}.*")]
    for unfinished in [*ours, *(directory / CHECKPOINTS).glob(".step-*"), *(directory / EVALUATIONS).glob(".*")]:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        else:
            unfinished.unlink()
    if (old := directory / "ray").exists() and not (directory / CHECKPOINTS).exists():
        old.rename(directory / CHECKPOINTS)  # as they were named once


def _finished(directory: Path) -> TrainResult | None:
    path = directory / "run.json"
    if not path.exists():
        return None
    outcome = json.loads(path.read_text(encoding="utf-8")).get("finished")
    return TrainResult(directory, **outcome) if outcome else None
