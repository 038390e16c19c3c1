"""Experiment trackers: what a run reports, to MLflow or Weights & Biases as well (`track` in a recipe).

A tracker is told by the process that called `train`, of the same lines that `metrics.jsonl` gets; where to and with what
credentials is the tracker's own matter (MLFLOW_TRACKING_URI, WANDB_API_KEY, WANDB_MODE, ... in the environment of that process
alone). `track.json` in the run's directory has the name that the run has there, so that a resumed run goes on as the same one.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from xlret.errors import UserError
from xlret.files import write_json
from xlret.training.progress import Print
from xlret.training.settings import TrackerName, TrainJob

TRACKED = "track.json"
_PROJECT = "xlret"
_MLFLOW_LENGTH, _MLFLOW_BATCH = 500, 100
"""Of a parameter's value; of parameters or metrics in one call."""


class Tracker(Protocol):
    """One run in one tracker."""

    run_id: str
    """What the tracker calls it; a tracker made with it goes on."""

    def report(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """The numbers of a line of `metrics.jsonl`: `group` is `train` or `dev`."""

    def end(self, *, finished: bool) -> None:
        """The run is over, or was stopped and may go on."""


class MlflowTracker:
    """A run of MLflow, in the experiment that MLFLOW_EXPERIMENT_NAME names (by default `xlret`).

    Args:
        job: the run.
        config: all its settings, flat.
        directory: of the run.
        run_id: of a run to go on with.
    """

    def __init__(self, job: TrainJob, config: Mapping[str, Any], directory: Path, run_id: str | None) -> None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        if run_id is None:
            tags = {"xlret.directory": str(directory)}
            run_id = self._client.create_run(self._experiment(), run_name=job.name, tags=tags).info.run_id
            params = [Param(name, str(value)[:_MLFLOW_LENGTH]) for name, value in config.items()]
            for first in range(0, len(params), _MLFLOW_BATCH):
                self._client.log_batch(run_id, params=params[first : first + _MLFLOW_BATCH])
        else:
            self._client.update_run(run_id, status="RUNNING")
        self.run_id: str = run_id

    def report(self, step: int, group: str, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        self._client.log_batch(self.run_id, [Metric(f"{group}/{name}", value, now, step) for name, value in values.items()])

    def end(self, *, finished: bool) -> None:
        self._client.set_terminated(self.run_id, "FINISHED" if finished else "KILLED")

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        known = self._client.get_experiment_by_name(name)
        return str(known.experiment_id) if known is not None else str(self._client.create_experiment(name))


class WandbTracker:
    """A run of Weights & Biases, in the project that WANDB_PROJECT names (by default `xlret`); see `MlflowTracker`."""

    def __init__(self, job: TrainJob, config: Mapping[str, Any], directory: Path, run_id: str | None) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            id=run_id,
            name=job.name,
            resume="allow",
            dir=str(directory),
            config=dict(config),
            settings=wandb.Settings(console="off", silent=True, disable_git=True, disable_code=True, x_disable_stats=True),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")  # a resumed run reports again what came after its checkpoint
        self.run_id: str = self._run.id

    def report(self, step: int, group: str, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **{f"{group}/{name}": value for name, value in values.items()}})

    def end(self, *, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


_KINDS: Mapping[TrackerName, type[MlflowTracker] | type[WandbTracker]] = {"mlflow": MlflowTracker, "wandb": WandbTracker}


def check_trackers(names: Sequence[TrackerName]) -> None:
    """Whether the packages of these trackers are installed.

    Raises:
        UserError: one is not.
    """
    for name in names:
        if find_spec(name) is None:
            raise UserError(f"track: {name} is not installed: pip install 'xlret[{name}]', or leave it out")


class Tracking:
    """The trackers of a run as a `RunCallback`. One that fails is left alone from then on, which is said; the run goes on."""

    def __init__(self, trackers: Mapping[str, Tracker], say: Print) -> None:
        self._trackers, self._say = dict(trackers), say

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Sends the numbers of a report."""
        values = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float) and name != "step"}
        for name, tracker in list(self._trackers.items()):
            try:
                tracker.report(step, metrics["group"], values)
            except Exception as error:  # a training of days does not end because a server is away
                del self._trackers[name]
                self._say(f"{name} takes no more reports ({_short(error)}); the run goes on, and metrics.jsonl has them all")

    def on_checkpoint(self, step: int, directory: Path) -> None:
        """Nothing to send."""

    def end(self, *, finished: bool) -> None:
        """Tells those that are left."""
        for name, tracker in self._trackers.items():
            try:
                tracker.end(finished=finished)
            except Exception as error:
                self._say(f"{name} was not told that the run ended ({_short(error)})")


@contextmanager
def tracking(job: TrainJob, config: Mapping[str, Any], directory: Path, say: Print) -> Iterator[Tracking]:
    """The trackers of a run, begun or gone on with, until the block ends.

    Args:
        job: the run.
        config: all its settings, flat.
        directory: of the run; which runs they are in the trackers is kept there.
        say: told where they are.

    Raises:
        UserError: a tracker is not installed, or cannot be begun with.
    """
    check_trackers(job.track)
    path = directory / TRACKED
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    trackers: dict[str, Tracker] = {}
    for name in job.track:
        try:
            trackers[name] = _KINDS[name](job, config, directory, known.get(name))
        except Exception as error:
            raise UserError(f"track: {name} cannot be begun with ({_short(error)}); mend it, or leave it out") from error
        say(f"{name}: run {trackers[name].run_id}{', gone on with' if name in known else ''}")
    if trackers:
        write_json(path, {**known, **{name: tracker.run_id for name, tracker in trackers.items()}})
    shared = Tracking(trackers, say)
    finished = False
    try:
        yield shared
        finished = True
    finally:
        shared.end(finished=finished)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
