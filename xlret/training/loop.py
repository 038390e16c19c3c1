"""The training loop, the same in every Ray Train worker and in a process without Ray.

Everything random is a function of (seed, step, worker), the learning rate a function of the step: nothing but weights and
optimiser moments is carried from step to step, so a run that goes on from a checkpoint ends in the same weights.
"""

import contextlib
import errno
import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn

from xlret.batches.assemble import Batch, Inputs
from xlret.errors import UserError
from xlret.files import write_error
from xlret.keys import key_of
from xlret.model.adapters import trained_state
from xlret.model.sharded import whole_tensors
from xlret.training.beside import MOST_WAITING, Arrived, Evaluations, Evaluator, best_known
from xlret.training.checkpoint import Progress, checkpoint_path, keep_newest, load_checkpoint, save_checkpoint
from xlret.training.dev import DevSets
from xlret.training.exact import exact_arithmetic
from xlret.training.kinds import load_step
from xlret.training.log import MetricLog, read_lines
from xlret.training.optimiser import make_optimiser
from xlret.training.settings import OptimiserSettings, TrainJob
from xlret.training.shares import Shares
from xlret.training.window import Window

_ROUND_S = 10.0
"""How long the first worker waits for an evaluation while the others wait for it, before all of them meet again."""


class DivergedError(UserError):
    """The loss is no number, or has grown instead of falling."""


@dataclass(frozen=True)
class WorkerTask:
    """What the driver tells every worker."""

    job: TrainJob
    run_directory: Path
    inputs: Inputs
    fingerprint: str
    resume: Path | None = None
    """The checkpoint to go on from."""


class Worker(Protocol):
    """What the loop asks of the process that it runs in."""

    rank: int
    world: int
    device: torch.device

    def batches(self, task: WorkerTask, start: int, stop: int) -> Generator[Batch]:
        """This worker's shares of the plan's batches from `start` up to `stop`, in order."""

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        """A line was written to `metrics.jsonl`; called on the first worker."""

    def evaluated(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        """The dev sets were evaluated, with the weights of `progress.step`; called on all workers, `metrics` are empty on all
        but the first."""

    def evaluator(self) -> Evaluator | None:
        """Who evaluates beside training (`dev.beside`); None: nobody can. Called on the first worker."""

    def saved(self, progress: Progress, metrics: Mapping[str, float], checkpoint: Path) -> None:
        """A checkpoint is whole; called on all workers, with the newest dev metrics on the first."""

    def leaving(self) -> bool:
        """Whether a machine of the run is about to go; called on all workers at the same steps, and the same on all."""


def training_loop(task: WorkerTask, worker: Worker) -> None:
    """Trains until the last step, with a checkpoint every `checkpoint_every` steps and at the end.

    It ends before, with a checkpoint, where a machine of the run is about to go (asked every `log_every` steps).

    Raises:
        UserError: a batch cannot be made, a checkpoint cannot be used, the disk is full.
        DivergedError: the loss is no number.
    """
    try:
        with exact_arithmetic(worker.device, task.job.ray.threads_per_worker):
            _Training(task, worker).run()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise write_error(task.run_directory, error) from error


class _Training:
    """A run under way on one worker: its model, its optimiser, and how far it is."""

    def __init__(self, task: WorkerTask, worker: Worker) -> None:
        self.task, self.job, self.worker = task, task.job, worker
        self.sharded = self.job.ray.sharding == "fsdp"
        # What does not fit into one device is loaded beside it, and goes there in parts.
        self.step = load_step(self.job, task.run_directory / "start", torch.device("cpu") if self.sharded else worker.device)
        if self.sharded:
            self.step.shard(worker.device)
        self.optimiser = make_optimiser(self.step, self.job.optimiser)
        self.progress = Progress(step=0, fingerprint=task.fingerprint)
        if task.resume is not None:
            self.progress = load_checkpoint(task.resume, self.step, self.optimiser, task.fingerprint)
        first, end = self.progress.step * self.job.accumulate, self.job.steps * self.job.accumulate
        self.batches = worker.batches(task, first, end)
        if worker.world > 1 and not self.sharded:
            self.step.distribute()
        self.dev = DevSets.open(self.job.dev) if self.job.dev.corpora else None
        self.evaluations: Evaluations | None = None
        if worker.rank == 0 and self.dev is not None:
            evaluator = worker.evaluator() if self.job.dev.beside else None
            self.evaluations = Evaluations(self.job, task.run_directory, worker.world, evaluator)
        self.dev_metrics: dict[str, float] = {}
        self.log: MetricLog | None = None

    def run(self) -> None:
        job = self.job
        self.step.train()
        if self.worker.rank == 0:
            self.log = MetricLog(self.task.run_directory, self.progress.step, self.worker.observe)
        no_context = contextlib.nullcontext()
        with contextlib.closing(self.batches), self.log or no_context, self.evaluations or no_context:
            if self.dev is not None:
                self._take_up_evaluations()
                if self.progress.step == 0:
                    self._evaluate(self.dev)
            window = Window()
            while self.progress.step < job.steps:
                self._optimiser_step(window)
                step, last = self.progress.step, self.progress.step == job.steps
                leaving, reports = False, step % job.log_every == 0 or last
                if reports:
                    self._report(window)
                    window = Window()
                    leaving = self.worker.leaving()
                began = time.perf_counter()
                if self.dev is not None and (step % job.dev.every == 0 or last):
                    self._evaluate(self.dev)
                if job.dev.beside and reports:
                    self._take_evaluations(MOST_WAITING)
                if last and self.dev is None:
                    self._save_model()
                if step % job.checkpoint_every == 0 or last or leaving:
                    self._checkpoint()
                if leaving:
                    return
                window.paused += time.perf_counter() - began
            if job.dev.beside:
                self._take_evaluations(0)

    def _optimiser_step(self, window: Window) -> None:
        """One update from `accumulate` batches."""
        job, step = self.job, self.progress.step
        total, mono = 0.0, 0
        for part in range(job.accumulate):
            began = time.perf_counter()
            batch = next(self.batches)
            window.waited += time.perf_counter() - began
            assert batch.step == step * job.accumulate + part, f"batch {batch.step} at step {step}"  # as the report counts them
            torch.manual_seed(key_of(job.seed, "dropout", step, part, self.worker.rank) % 2**63)
            losses = self.step.run(batch, batches=job.accumulate, sync=part == job.accumulate - 1)
            window.add(batch, losses, self.step.padded_tokens(batch))
            total += losses["loss"] / job.accumulate
            mono += batch.kind == "mono"
        if not math.isfinite(total):
            raise DivergedError(f"the loss of step {step} is {total}; lower optimiser.learning_rate or use float32")
        nn.utils.clip_grad_norm_(self.step.parameters(), job.optimiser.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(job.optimiser, step, job.steps)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.progress = replace(self.progress, step=step + 1, mono_batches=self.progress.mono_batches + mono)

    def _report(self, window: Window) -> None:
        """Sums the window over all workers; the first worker writes it down. All workers must call it."""
        job, step = self.job, self.progress.step
        metrics = window.report(job.plan.batch_size, self.worker.world, self.worker.device)
        metrics["learning_rate"] = learning_rate(job.optimiser, step - 1, job.steps)
        metrics["alpha"] = self.progress.mono_batches / (step * job.accumulate)
        if self.log is not None:
            self.log.write(step, metrics)

    def _evaluate(self, dev: DevSets) -> None:
        """Evaluates the weights as they are now, or has it done beside training; all workers must call it."""
        if self.job.dev.beside:
            if self.evaluations is not None:
                self.evaluations.add(self.progress.step, self.step)
            return
        metrics = self.step.evaluate(dev, Shares(self.worker.world, self.worker.rank)) or {}
        if self._is_best(metrics, self.progress.step):
            self._save_model()
        self._write_down(metrics, self.progress.step)

    def _take_up_evaluations(self) -> None:
        """What an earlier process of this run had evaluated, or kept to be evaluated; all workers must call it."""
        progress, job = self.progress, self.job
        if self.evaluations is not None:
            lines = read_lines(self.task.run_directory / "metrics.jsonl")
            self.progress = best_known(progress, lines, job.dev.metric)
            self.evaluations.take_up(progress.step, [line["step"] for line in lines if line["group"] == "dev"])
        best_step = self._of_first_worker(-1 if self.progress.best_step is None else self.progress.best_step)
        best_metric = self._of_first_worker(self.progress.best_metric or 0.0)
        if best_step >= 0:
            self.progress = replace(progress, best_metric=best_metric, best_step=int(best_step))
        if not job.dev.beside:
            self._take_evaluations(0)

    def _take_evaluations(self, most: int) -> None:
        """Takes evaluations that came in, waiting until at most so many are to come; all workers must call it."""
        while True:
            arrived: Arrived | None = None
            if self.evaluations is not None:
                wait_s = _ROUND_S if self.evaluations.to_come > most else 0.0
                arrived = self.evaluations.next(self.progress.best_metric, wait_s)
            step = int(self._of_first_worker(-1 if arrived is None else arrived.kept.step))
            if step >= 0:
                metrics = {} if arrived is None else arrived.metrics
                is_best = self._is_best(metrics, step)
                if arrived is not None and is_best:
                    arrived.kept.publish_model()
                self._write_down(metrics, step)
                if arrived is not None and self.log is not None:
                    self.log.upload()
                    arrived.kept.drop()
            elif self._of_first_worker(0 if self.evaluations is None else self.evaluations.to_come) <= most:
                return

    def _is_best(self, metrics: Mapping[str, float], step: int) -> bool:
        """Whether the metrics of a step, empty on all workers but the first, are the best so far; all workers must call it."""
        value = self._of_first_worker(metrics.get(self.job.dev.metric, 0.0))
        if math.isnan(value):
            raise UserError(
                f"dev.metric {self.job.dev.metric} has no queries to stand on in dev.corpora; choose another metric"
            )
        better = self.progress.best_metric is None or value > self.progress.best_metric
        if better:
            self.progress = replace(self.progress, best_metric=value, best_step=step)
        return better

    def _write_down(self, metrics: dict[str, float], step: int) -> None:
        """Reports the metrics of a step whose model, where it is the best, is in `model/`; all workers must call it."""
        if self.log is not None:
            self.log.write(step, {**metrics, "best": self.progress.best_step == step}, group="dev")
        self.dev_metrics = metrics
        self.worker.evaluated(replace(self.progress, step=step), metrics)

    def _save_model(self) -> None:
        """The first worker writes it; all workers must call it."""
        directory, first = self.task.run_directory / "model", self.worker.rank == 0
        if not self.sharded:
            if first:
                self.step.save(directory)
            return
        state = whole_tensors(trained_state(self.step), keep=first)
        if first:
            whole = load_step(self.job, self.task.run_directory / "start", torch.device("cpu"))
            whole.load_state_dict(state, strict=False)  # frozen weights are the start's
            whole.save(directory)

    def _of_first_worker(self, value: float) -> float:
        """The first worker's value, on all of them."""
        if self.worker.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.worker.device)
        dist.broadcast(shared, 0)
        return float(shared.item())

    def _checkpoint(self) -> None:
        """The first worker writes it; all workers must call it."""
        directory = checkpoint_path(self.task.run_directory, self.progress.step)
        first = self.worker.rank == 0
        if first or self.sharded:
            save_checkpoint(directory, self.step, self.optimiser, self.progress, write=first)
        if first:
            keep_newest(self.task.run_directory, self.job.keep_checkpoints)
            if self.log is not None:
                self.log.upload()
        self.worker.saved(self.progress, self.dev_metrics, directory)


def learning_rate(settings: OptimiserSettings, step: int, steps: int) -> float:
    """The learning rate of the update that follows `step` updates: linear warm-up, then the schedule.

    >>> s = OptimiserSettings(learning_rate=1.0, warmup=0.5, schedule="linear")
    >>> [learning_rate(s, step, 8) for step in (0, 3, 4, 6)]
    [0.25, 1.0, 1.0, 0.5]
    """
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    if settings.schedule == "linear":
        return settings.learning_rate * (1 - share)
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
    return settings.learning_rate
