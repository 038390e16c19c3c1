"""Dev evaluation beside training: the weights of a step are kept, and another process evaluates them while the steps go on.

runs/<name>/evaluations/, until the last is in:
  step-N/module.safetensors   the weights to be evaluated   step-N/evaluation.json   over how many workers texts are shared out
  model-N/                    the model, where it is the best so far

One evaluation at a time, in the order of the steps, so that each knows the best before it, as in the loop. What a run that was
killed has kept and not evaluated is evaluated when it goes on.
"""

import json
import logging
import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors.torch import save_file
from torch import nn

from xlret.artifacts import link_or_copy
from xlret.files import directory_beside, local, remove_tree
from xlret.model.adapters import trained_state
from xlret.training.checkpoint import WEIGHTS, Progress, directories_of_steps, load_weights
from xlret.training.dev import DevSets
from xlret.training.exact import exact_arithmetic
from xlret.training.kinds import load_step
from xlret.training.settings import TrainJob
from xlret.training.shares import Shares

EVALUATIONS = "evaluations"
"""Directory of what a run has kept to be evaluated."""
MOST_WAITING = 8
"""Evaluations behind training; it waits rather than to keep the weights of more."""
_SHARED_OUT = "evaluation.json"
_LOG = logging.getLogger(__name__)

Metrics = dict[str, float]


class EvaluationLostError(Exception):
    """The process that evaluated has died or failed."""


@dataclass(frozen=True)
class KeptWeights:
    """The weights of a step of a run, kept to be evaluated."""

    job: TrainJob
    run_directory: Path
    step: int

    @property
    def directory(self) -> Path:
        """Of the weights."""
        return self.run_directory / EVALUATIONS / f"step-{self.step:09d}"

    @property
    def model(self) -> Path:
        """Where `evaluate` leaves the model that is the best so far."""
        return self.run_directory / EVALUATIONS / f"model-{self.step:09d}"

    def write(self, module: nn.Module, world: int) -> None:
        """Keeps a module's weights, as they are now in a run of so many workers; costs the writing of a model."""
        with directory_beside(self.directory, replace=True) as fresh:
            weights = {name: tensor.detach().contiguous() for name, tensor in trained_state(module).items()}
            save_file(weights, fresh / WEIGHTS)
            (fresh / _SHARED_OUT).write_text(json.dumps({"workers": world}), encoding="utf-8")

    def evaluate(self, best: float | None) -> Metrics:
        """The dev metrics of the weights, bit for bit those of the loop; writes the model where they are above `best`.

        Raises:
            UserError: the weights, the run's start or its dev corpora cannot be read, or the disk is full.
        """
        device = torch.device("cuda" if self.job.ray.gpu else "cpu")
        with exact_arithmetic(device, self.job.ray.threads_per_worker):
            step = load_step(self.job, self.run_directory / "start", device)
            load_weights(self.directory, step)
            world = json.loads((local(self.directory) / _SHARED_OUT).read_text(encoding="utf-8"))["workers"]
            metrics = step.evaluate(DevSets.open(self.job.dev), Shares(world))
            assert metrics is not None, "this process scores"
            if best is None or metrics[self.job.dev.metric] > best:
                step.save(self.model)
        return metrics

    def publish_model(self) -> None:
        """Puts the model that `evaluate` left in the place of the run's."""
        with directory_beside(self.run_directory / "model", replace=True) as fresh:
            shutil.copytree(local(self.model), fresh, dirs_exist_ok=True, copy_function=_link)

    def drop(self) -> None:
        """Removes what was kept, the weights last: without them nothing says that there is a model."""
        for directory in (self.model, self.directory):
            if directory.exists():
                remove_tree(directory)


class Evaluator(Protocol):
    """Another process that evaluates, one after the other."""

    def begin(self, kept: KeptWeights, best: float | None) -> None:
        """Has `kept.evaluate(best)` called there, as soon as there is room for the process."""

    def has_begun(self) -> bool:
        """Whether there was room for it yet."""

    def result(self, wait_s: float) -> Metrics | None:
        """What came of it; None where nothing did within `wait_s` seconds.

        Raises:
            EvaluationLostError: nothing will.
        """

    def stop(self) -> None:
        """Ends the process."""


class Arrived(NamedTuple):
    """An evaluation that came in."""

    kept: KeptWeights
    metrics: Metrics


class Evaluations:
    """The evaluations of a run that are still to come, on its first worker.

    Args:
        job: the run.
        run_directory: its directory.
        world: its workers now.
        evaluator: who evaluates; None: this process, when it is asked for the next one. So it does where the evaluator lost
            one, and from then on where there was no room for it in `ray.room_s` seconds of waiting.
    """

    def __init__(self, job: TrainJob, run_directory: Path, world: int, evaluator: Evaluator | None) -> None:
        self._job, self._run_directory, self._world, self._evaluator = job, run_directory, world, evaluator
        self._waiting: deque[KeptWeights] = deque()
        self._under_way = False
        self._without_room_s = 0.0

    @property
    def to_come(self) -> int:
        """How many were kept and not taken."""
        return len(self._waiting)

    def take_up(self, step: int, evaluated: Sequence[int]) -> None:
        """Goes on with what an earlier process of this run kept.

        Args:
            step: where the run goes on; what was kept later, or for another run of the name (0), is removed.
            evaluated: steps whose metrics are in the log.
        """
        for kept in kept_weights(self._job, self._run_directory):
            if kept.step > step or not step or kept.step in evaluated:
                kept.drop()
            else:
                self._waiting.append(kept)

    def add(self, step: int, module: nn.Module) -> None:
        """Keeps a module's weights, of a step later than all before."""
        kept = KeptWeights(self._job, self._run_directory, step)
        kept.write(module, self._world)
        self._waiting.append(kept)

    def next(self, best: float | None, wait_s: float) -> Arrived | None:
        """The next evaluation in the order of the steps, where it comes in within `wait_s` seconds; whoever takes it drops it.

        Args:
            best: the best metric of all before it.
            wait_s: 0 only looks.
        """
        if not self._waiting:
            return None
        kept = self._waiting[0]
        metrics = self._elsewhere(self._evaluator, kept, best, wait_s) if self._evaluator else kept.evaluate(best)
        if metrics is None:
            return None
        self._waiting.popleft()
        self._under_way = False
        return Arrived(kept, metrics)

    def __enter__(self) -> "Evaluations":
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the process that evaluates; where nothing is to come any more, removes the directory."""
        if self._evaluator is not None:
            self._evaluator.stop()
        directory = self._run_directory / EVALUATIONS
        if not self._waiting and directory.exists():
            remove_tree(directory)

    def _elsewhere(self, evaluator: Evaluator, kept: KeptWeights, best: float | None, wait_s: float) -> Metrics | None:
        if not self._under_way:
            evaluator.begin(kept, best)
            self._under_way = True
        try:
            metrics = evaluator.result(wait_s)
        except EvaluationLostError as lost:
            _LOG.warning("step %d is evaluated by the training itself, beside it failed: %.200s", kept.step, lost)
            return kept.evaluate(best)
        if metrics is None and wait_s and not evaluator.has_begun():
            self._without_room_s += wait_s
            if self._without_room_s >= self._job.ray.room_s:
                _LOG.warning("the training evaluates by itself from step %d on: no process beside it has begun", kept.step)
                evaluator.stop()
                self._evaluator = None
        return metrics


def kept_weights(job: TrainJob, run_directory: Path) -> list[KeptWeights]:
    """All that is kept of a run to be evaluated, the first step first."""
    kept = directories_of_steps(run_directory / EVALUATIONS)
    return [KeptWeights(job, run_directory, int(directory.name.removeprefix("step-"))) for directory in kept]


def best_known(progress: Progress, lines: Sequence[Mapping[str, Any]], metric: str) -> Progress:
    """The progress of a checkpoint with the best of evaluations that came in after it was written, which the log has.

    Args:
        progress: of the checkpoint.
        lines: of the run's `metrics.jsonl`, none of them of a later step.
        metric: by which the best is chosen.
    """
    for line in lines:
        if line["group"] == "dev" and (progress.best_metric is None or line[metric] > progress.best_metric):
            progress = replace(progress, best_metric=line[metric], best_step=line["step"])
    return progress


def _link(source: str, target: str) -> None:
    link_or_copy(Path(source), Path(target))
