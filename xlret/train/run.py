"""A training run from start to end: checks what it was given, runs the workers under Ray Train, leaves a trained model.

runs/<name>/
  config.yaml      every setting            run.json      versions, data, hardware, commit; the outcome at the end
  start/           the model it began with    model/      the best model (the last one without dev corpora)
  metrics.jsonl    every report             tensorboard/  the same as events
  ray/             checkpoints, kept by Ray Train  report.html   curves, sample texts, settings
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ray.train import CheckpointConfig, Result, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from xlret.batches.assemble import Assembler, Inputs
from xlret.batches.plan import BatchPlan
from xlret.batches.usable import plan_languages
from xlret.config import as_yaml, settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError, user_error_in
from xlret.files import sha256_of, write_json, write_text
from xlret.keys import generator, key_of
from xlret.provenance import commit, data_fingerprints, hardware, versions
from xlret.session import ray_session
from xlret.switch.show import Sample
from xlret.train.dev import DevSets
from xlret.train.kinds import start_model
from xlret.train.loop import WorkerTask, worker_loop
from xlret.train.progress import Print, followed
from xlret.train.report import write_report
from xlret.train.settings import TrainJob

# Settings that say how a run is carried out, not what it computes: they may differ when it is continued.
_HOW = ("ray", "storage", "log_every", "keep_checkpoints")

_SAMPLED_STEPS, _SAMPLED_ROWS = 4, 3
"""Of the texts that a run's report shows."""


@dataclass(frozen=True)
class TrainResult:
    """Where a finished run left what it made."""

    run_directory: Path
    model: Path
    steps: int
    best_metric: float | None
    best_step: int | None
    weights_sha256: str  # of the last checkpoint's weights: equal for equal runs


def train(job: TrainJob, *, fresh: bool = False, show: Print = print) -> TrainResult:
    """Trains as `job` says; a run of the same name and settings is continued from its last checkpoint.

    Starts a local Ray where none is running. A worker that dies is replaced up to `ray.max_failures` times.

    Args:
        fresh: throw away what an earlier run of this name left.
        show: where progress lines go.

    Raises:
        UserError: settings, corpora or checkpoints cannot be used; the run of this name has other settings.
    """
    directory = job.storage / job.name
    if fresh and directory.exists():
        shutil.rmtree(directory)
    check_settings(job)
    finished = _finished(directory)
    if finished is not None:
        show(f"{directory} is finished already; its model is {finished.model} (--fresh trains it again)")
        return finished
    corpora = [ParallelCorpus.open(path) for path in job.corpora]
    plan = BatchPlan(corpora, job.plan)
    task, samples = _prepare(job, directory, corpora, plan)
    write_report(directory, job, samples)
    trainer = TorchTrainer(
        worker_loop,
        train_loop_config=task,
        scaling_config=ScalingConfig(
            num_workers=job.ray.workers,
            use_gpu=job.ray.gpu,
            resources_per_worker={"CPU": job.ray.cpus_per_worker, **({"GPU": 1} if job.ray.gpu else {})},
        ),
        run_config=RunConfig(
            name="ray",
            storage_path=str(directory),
            checkpoint_config=CheckpointConfig(num_to_keep=job.keep_checkpoints),
        ),
    )
    with ray_session(), followed(directory / "metrics.jsonl", job.steps, show):
        result = _fit(trainer, job.ray.max_failures, show)
    assert result.checkpoint is not None, "a run ends with a checkpoint"
    with result.checkpoint.as_directory() as checkpoint:
        weights = sha256_of(Path(checkpoint) / "module.safetensors")
    done = TrainResult(
        run_directory=directory,
        model=directory / "model",
        steps=job.steps,
        best_metric=result.metrics["best_metric"],
        best_step=result.metrics["best_step"],
        weights_sha256=weights,
    )
    run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    outcome = {"steps": done.steps, "best_metric": done.best_metric, "best_step": done.best_step, "weights_sha256": weights}
    write_json(directory / "run.json", {**run, "finished": outcome})
    show(f"report: {write_report(directory, job, samples)}")
    return done


def fingerprint(job: TrainJob, plan: BatchPlan, start_weights: str) -> str:
    """A hash of all that decides the weights a run ends in."""
    # Without defaults, so that a setting that xlret did not have when a run began does not end the run.
    settings = job.model_dump(mode="json", exclude_defaults=True)
    deciding = {name: value for name, value in settings.items() if name not in (*_HOW, "name")}
    text = json.dumps([deciding, plan.fingerprint, start_weights, job.ray.workers], sort_keys=True)
    return f"{key_of(text):032x}"


def _fit(trainer: TorchTrainer, max_failures: int, show: Print) -> Result:
    """Runs the trainer; where a worker died, again from the last checkpoint, but never after an error that is the user's.

    Ray Train would restart workers by itself, whatever the error; a run started anew finds the same checkpoint.
    """
    for failures in range(max_failures + 1):
        try:
            return trainer.fit()
        except TrainingFailedError as error:
            if (users := user_error_in(error)) is not None:
                raise users from error
            if failures == max_failures:
                raise
            show(f"  the workers failed ({str(error).splitlines()[-1]:.120}); going on from the last checkpoint")
    raise AssertionError("unreachable")


def _prepare(
    job: TrainJob, directory: Path, corpora: Sequence[ParallelCorpus], plan: BatchPlan
) -> tuple[WorkerTask, list[Sample]]:
    """Writes the start encoder, `config.yaml` and `run.json`, and makes one batch so that bad input shows before Ray starts.

    Returns the workers' task, and a few texts as they will be trained on.
    """
    if job.dev.corpora:
        DevSets.open(job.dev)
    start = directory / "start"
    if not (start.exists() and (directory / "config.yaml").exists()):  # else it may be of other settings that did not run
        languages = sorted(job.encoder.fresh.languages or plan_languages(corpora, job.plan))
        start_model(job, lambda: tokeniser_texts(corpora, languages)).save(start, replace=True)
    negatives = job.reranker.negatives if job.model == "reranker" else None
    inputs = Inputs(job.corpora, job.plan, job.switch, start, job.hard_negatives, negatives)
    assemble = Assembler(inputs)
    assemble(0, 0, job.ray.workers)
    start_weights = sha256_of(start / "model.safetensors")
    write_text(directory / "config.yaml", as_yaml(job))
    write_json(directory / "run.json", _facts(job, corpora, plan, start_weights))
    task = WorkerTask(job, directory, inputs, fingerprint(job, plan, start_weights))
    return task, assemble.samples(range(min(_SAMPLED_STEPS, job.steps)), _SAMPLED_ROWS)


def check_settings(job: TrainJob) -> None:
    """Whether a run of this name that is there already was begun with settings that give the same result.

    Raises:
        UserError: it was not; names the first setting that differs.
    """
    directory = job.storage / job.name
    path = directory / "config.yaml"
    if not path.exists():
        return
    try:
        old = _compared(settings_from(TrainJob, yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (yaml.YAMLError, UnicodeDecodeError, UserError) as error:
        raise UserError(f"{path} is damaged, or of another xlret; remove {directory} or say --fresh") from error
    new = _compared(job)
    odd = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if odd:
        raise UserError(
            f"run {job.name} exists with other settings: {odd[0]} was {old.get(odd[0])!r} and is now {new.get(odd[0])!r}"
            f"{f' (and {len(odd) - 1} more)' if len(odd) > 1 else ''}; choose another name or say --fresh"
        )


def _compared(job: TrainJob) -> dict[str, Any]:
    """What must be equal for a run to go on. The number of workers decides how sums are rounded."""
    values = {key: value for key, value in job.model_dump(mode="json").items() if key not in _HOW}
    return _flat(values) | {"ray.workers": job.ray.workers}


def _finished(directory: Path) -> TrainResult | None:
    path = directory / "run.json"
    if not path.exists():
        return None
    outcome = json.loads(path.read_text(encoding="utf-8")).get("finished")
    return TrainResult(directory, directory / "model", **outcome) if outcome else None


def tokeniser_texts(corpora: Sequence[ParallelCorpus], languages: Sequence[str], most: int = 4000) -> Iterator[str]:
    """Up to `most` queries and as many passages of each language and corpus, so that a vocabulary serves all languages."""
    for corpus in corpora:
        for lang in languages:
            for side, fetch in (("query", corpus.queries), ("passage", corpus.passages)):
                pool = corpus.side(side, lang)  # type: ignore[arg-type]
                if len(pool):
                    ranks = np.sort(generator("tokeniser", lang, side).permutation(len(pool))[:most])
                    yield from fetch(lang, pool.take(ranks))


def _facts(job: TrainJob, corpora: Sequence[ParallelCorpus], plan: BatchPlan, start_weights: str) -> dict[str, Any]:
    """What a reader of the result needs in order to trust it or to make it again."""
    return {
        "name": job.name,
        "commit": commit(),
        "versions": versions(("xlret", "torch", "ray", "transformers", "numpy", "pyarrow")),
        "hardware": hardware(),
        "seeds": {"run": job.seed, "plan": job.plan.seed},
        "corpora": data_fingerprints(corpora),
        "plan_fingerprint": plan.fingerprint,
        "start_weights_sha256": start_weights,
    }


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level: `{"a": {"b": 1}}` -> `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
