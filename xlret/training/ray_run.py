"""A run over Ray: workers under Ray Train, their batches assembled by Ray Data, the driver watching and starting them anew."""

import contextlib
import dataclasses
import errno
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray.train
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    CheckpointUploadMode,
    FailureConfig,
    PreemptionError,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
)
from ray.train.torch import TorchTrainer, get_device

from xlret.batches.assemble import Batch
from xlret.batches.stream import StreamOptions, batches
from xlret.errors import UserError, user_error_in
from xlret.files import write_error
from xlret.session import ray_session
from xlret.storage.url import as_url, is_url
from xlret.training.callbacks import RunCallback
from xlret.training.checkpoint import CHECKPOINTS, Progress, load_progress, newest_checkpoint
from xlret.training.gauges import Gauges
from xlret.training.loop import WorkerTask, training_loop
from xlret.training.ownership import sole_writer
from xlret.training.progress import Print, followed
from xlret.training.ray_evaluator import RayEvaluator
from xlret.training.room import worker_counts, workers_with_room
from xlret.training.settings import TrainJob

Extend = Callable[[RunConfig], RunConfig]
"""Given the run's `RunConfig`, gives it back with more: callbacks, logging, an environment for the workers."""

_SNAPSHOT = "checkpoint_manager_snapshot.json"


class RayWorker:
    """One of Ray Train's workers (a `loop.Worker`)."""

    def __init__(self, job: TrainJob, report_evaluations: bool) -> None:
        context = ray.train.get_context()
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.device = get_device()
        self._report_evaluations = report_evaluations
        self._job = job
        self._gauges = Gauges(job.name) if self.rank == 0 else None

    def batches(self, task: WorkerTask, start: int, stop: int) -> Generator[Batch]:
        settings = task.job.ray
        options = StreamOptions(settings.steps_per_block, settings.blocks_ahead)
        yield from batches(task.inputs, self.rank, self.world, start, stop, options)

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        if self._gauges is not None:
            self._gauges(step, metrics)

    def evaluated(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        if self._report_evaluations:  # else not: Ray's controller takes up to two seconds over a report
            ray.train.report(_summary(progress, metrics))

    def evaluator(self) -> RayEvaluator:
        return RayEvaluator(self._job)

    def saved(self, progress: Progress, metrics: Mapping[str, float], checkpoint: Path) -> None:
        ours = None
        if self.rank == 0:
            storage_path, filesystem = _storage(checkpoint)
            ours = Checkpoint(storage_path, filesystem) if filesystem is not None else Checkpoint.from_directory(checkpoint)
        ray.train.report(
            _summary(progress, metrics),
            checkpoint=ours,
            checkpoint_dir_name=checkpoint.name,
            checkpoint_upload_mode=CheckpointUploadMode.NO_UPLOAD,  # it is where Ray Train would put it
        )

    def leaving(self) -> bool:
        return ray.train.get_preemption_info() is not None  # as the first worker knows it


def _summary(progress: Progress, metrics: Mapping[str, float]) -> dict[str, Any]:
    return {"step": progress.step, "best_metric": progress.best_metric, "best_step": progress.best_step, **metrics}


def run_over_ray(task: WorkerTask, callbacks: Iterable[RunCallback], show: Print, extend: Extend | None) -> None:
    """Trains until the last step; where a worker died, again from the last checkpoint, but never after an error of the user's.

    Ray Train would restart workers by itself, whatever the error, and take up what its own list of checkpoints says. Here each
    start is told the newest whole checkpoint, which needs no list that could be damaged or of another Ray.

    Raises:
        UserError: what the workers ended with, or `extend` moved the run.
    """
    job = task.job
    storage_path, filesystem = _storage(task.run_directory)
    ours = RunConfig(
        name=CHECKPOINTS,
        storage_path=storage_path,
        storage_filesystem=filesystem,
        checkpoint_config=CheckpointConfig(num_to_keep=None),  # the loop removes old ones
        failure_config=FailureConfig(max_preemption_failures=0),  # as for other failures: we start again, from the newest
    )
    run_config = ours if extend is None else extend(dataclasses.replace(ours))
    if (run_config.name, run_config.storage_path) != (ours.name, ours.storage_path):
        raise UserError("a run keeps its checkpoints in its own directory: leave name and storage_path of its RunConfig alone")
    worker = {
        "CPU": job.ray.cpus_per_worker + job.ray.cpus_per_task,  # the tasks that assemble its batches reserve none
        **({"GPU": 1.0} if job.ray.gpu else {}),
    }
    counts = worker_counts(job.plan.batch_size, job.ray.workers, job.ray.least_workers)
    report_evaluations = bool(run_config.callbacks)
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "120")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # a report waits for it: by default two seconds
    with ray_session(), followed(task.run_directory, callbacks):
        failures, workers = 0, job.ray.workers
        if len(counts) > 1:
            workers = _workers(counts, worker, job.ray.room_s, show)
        while True:
            (task.run_directory / CHECKPOINTS / _SNAPSHOT).unlink(missing_ok=True)
            task = dataclasses.replace(task, resume=newest_checkpoint(task.run_directory))
            trainer = TorchTrainer(
                _work,
                train_loop_config={"task": task, "report_evaluations": report_evaluations},
                scaling_config=ScalingConfig(num_workers=workers, use_gpu=job.ray.gpu, resources_per_worker=worker),
                run_config=run_config,
            )
            try:
                trainer.fit()
                newest = newest_checkpoint(task.run_directory)
                if newest is not None and load_progress(newest).step == job.steps:
                    return
                reason = "a machine of the run goes"
            except TrainingFailedError as error:
                if (users := user_error_in(error)) is not None:
                    raise users from error
                if "No space left on device" in str(error):  # in a process of Ray's own, such as its controller
                    raise write_error(task.run_directory, OSError(errno.ENOSPC, "")) from error
                if any(full in str(error) for full in ("OutOfDiskError", "ObjectStoreFullError")):
                    raise UserError(
                        "the object store of a machine and the disk behind it are full; free some of the disk that holds Ray's "
                        "temporary directory (ray start --temp-dir, RAY_TMPDIR) and start the run again: it goes on from its "
                        "last checkpoint"
                    ) from error
                if isinstance(error, PreemptionError):
                    reason = "a machine of the run went"
                else:
                    failures += 1
                    reason = f"the workers failed ({str(error).splitlines()[-1]:.120})"
                if failures > job.ray.max_failures:
                    raise
            newest = newest_checkpoint(task.run_directory)
            show(f"  {reason}; going on {'anew' if newest is None else f'from {newest.name}'}")
            workers = _workers(counts, worker, job.ray.room_s, show)


def _workers(counts: Sequence[int], worker: Mapping[str, float], wait_s: float, show: Print) -> int:
    """How many workers to start now. Fewer than all are said, since they round differently; each report has their number."""
    workers = workers_with_room(counts, worker, wait_s, show)
    if workers < counts[0]:
        show(f"  with {workers} of {counts[0]} workers, on the same batches: the cluster has no room for more")
    return workers


def _storage(path: Path) -> tuple[str, Any]:
    """A path as Ray Train is told it, and the file system that it is in; None is this machine's."""
    if not is_url(path):
        return str(path), None
    from xlret.storage.remote import filesystem_of

    filesystem, inside = filesystem_of(as_url(path))
    return inside, filesystem


def _work(config: dict[str, Any]) -> None:
    """What Ray Train runs in every worker."""
    task: WorkerTask = config["task"]
    worker = RayWorker(task.job, config["report_evaluations"])
    with sole_writer(task.run_directory) if worker.rank == 0 else contextlib.nullcontext():
        training_loop(task, worker)
