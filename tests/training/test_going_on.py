"""What a run over Ray does when workers end early, with Ray Train replaced by workers of this process. (With real machines:
tests/faults.)"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from ray.train import PreemptionError, TrainingFailedError

from xlret.errors import UserError
from xlret.training import ray_run, room
from xlret.training.in_process import InProcessWorker
from xlret.training.loop import WorkerTask, training_loop
from xlret.training.room import workers_with_room
from xlret.training.run import train
from xlret.training.settings import TrainJob

STEPS = 8


def job(storage: Path, corpora: Path, **ray: Any) -> TrainJob:
    fresh = {"vocabulary": 300, "layers": 1, "hidden": 16, "heads": 2, "feed_forward": 32}
    values = {
        "name": "run",
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": STEPS,
        "log_every": 1,
        "checkpoint_every": 3,
        "plan": {"batch_size": 8},
        "encoder": {"fresh": fresh},
        "ray": ray,
    }
    return TrainJob.model_validate(values)


class Worker(InProcessWorker):
    """Told at a step that its machine goes."""

    def __init__(self, leave_at: int | None) -> None:
        super().__init__(use_gpu=False)
        self._leave_at, self._step = leave_at, 0

    def observe(self, step: int, metrics: Any) -> None:
        self._step = step

    def leaving(self) -> bool:
        return self._step == self._leave_at


class Trainers:
    """Stands for `TorchTrainer`: what happens to each group of workers in turn, the number of workers and where they began."""

    def __init__(self, *happenings: Callable[[WorkerTask], None]) -> None:
        self._happenings = list(happenings)
        self.started: list[tuple[int, str | None]] = []

    def __call__(self, function: object, *, train_loop_config: Any, scaling_config: Any, run_config: Any) -> "Trainers":
        self._task: WorkerTask = train_loop_config["task"]
        assert run_config.failure_config.max_preemption_failures == 0
        self.started.append((scaling_config.num_workers, self._task.resume and self._task.resume.name))
        return self

    def fit(self) -> None:
        self._happenings.pop(0)(self._task)


def ends(task: WorkerTask) -> None:
    training_loop(task, Worker(None))


def leaves_at(step: int) -> Callable[[WorkerTask], None]:
    return lambda task: training_loop(task, Worker(step))


def fails(error: Exception) -> Callable[[WorkerTask], None]:
    def fail(task: WorkerTask) -> None:
        raise error

    return fail


@pytest.fixture
def over_ray(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainers]:
    """Replaces Ray Train and what the cluster has room for."""

    def replaced(*happenings: Callable[[WorkerTask], None], has_room: Callable[[int], bool] = lambda count: True) -> Trainers:
        trainers = Trainers(*happenings)
        monkeypatch.setattr(ray_run, "TorchTrainer", trainers)
        monkeypatch.setattr(ray_run, "ray_session", nullcontext)
        monkeypatch.setattr(room, "_has_room", lambda count, worker, wait_s: has_room(count))
        return trainers

    return replaced


def test_a_run_hands_over_and_goes_on_to_the_same_weights(
    tmp_path: Path, corpora: Path, over_ray: Callable[..., Trainers]
) -> None:
    through = train(job(tmp_path / "through", corpora, workers=0), show=None)
    trainers = over_ray(leaves_at(4), fails(TrainingFailedError("a worker died")), leaves_at(5), ends)
    shown: list[str] = []
    result = train(job(tmp_path / "over", corpora, workers=1, max_failures=1), show=shown.append)
    assert result.weights_sha256 == through.weights_sha256
    assert trainers.started == [(1, None), *((1, f"step-00000000{step}") for step in (4, 4, 5))]
    assert [line for line in shown if "going on" in line] == [
        "  a machine of the run goes; going on from step-000000004",
        "  the workers failed (a worker died); going on from step-000000004",
        "  a machine of the run goes; going on from step-000000005",
    ]


def test_machines_that_go_too_fast_cost_no_failure_and_workers_that_fail_again_end_the_run(
    tmp_path: Path, corpora: Path, over_ray: Callable[..., Trainers]
) -> None:
    gone = PreemptionError.__new__(PreemptionError)
    trainers = over_ray(fails(gone), fails(gone), fails(TrainingFailedError("a")), fails(TrainingFailedError("b")))
    with pytest.raises(TrainingFailedError, match="b"):
        train(job(tmp_path, corpora, workers=1, max_failures=1), show=None)
    assert len(trainers.started) == 4


def test_a_run_goes_on_with_as_many_workers_as_there_is_room_for(
    tmp_path: Path, corpora: Path, over_ray: Callable[..., Trainers]
) -> None:
    rooms = iter([4, 2, 4])
    free = 0

    def has_room(count: int) -> bool:
        nonlocal free
        if count == 4:  # asked first
            free = next(rooms)
        return count <= free

    trainers = over_ray(leaves_at(2), leaves_at(4), ends, has_room=has_room)
    shown: list[str] = []
    train(job(tmp_path, corpora, workers=4, least_workers=2), show=shown.append)
    assert [count for count, _ in trainers.started] == [4, 2, 4]
    assert sum("with 2 of 4 workers, on the same batches" in line for line in shown) == 1


def test_a_run_without_room_says_so_once_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False] * 4 + [False, True])
    monkeypatch.setattr(room, "_has_room", lambda count, worker, wait_s: next(answers))
    shown: list[str] = []
    assert workers_with_room([4, 2], {"CPU": 0.75, "GPU": 1.0}, 60, shown.append) == 2
    assert shown == ["  the cluster has no room for 2 workers (0.75 CPU, 1 GPU each); waiting until it has"]


def test_fewer_workers_than_the_least_are_refused(tmp_path: Path, corpora: Path) -> None:
    with pytest.raises(ValueError, match=r"ray\.least_workers is 4; allowed is 1 to ray\.workers, which is 2"):
        job(tmp_path, corpora, workers=2, least_workers=4)


def test_a_full_object_store_is_one_line(tmp_path: Path, corpora: Path, over_ray: Callable[..., Trainers]) -> None:
    over_ray(fails(TrainingFailedError("ray.exceptions.OutOfDiskError: Local disk is full\nmore")))
    with pytest.raises(UserError, match="the object store of a machine and the disk behind it are full"):
        train(job(tmp_path, corpora, workers=1), show=None)
