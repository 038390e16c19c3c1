"""Evaluation beside training has the numbers and the best model of evaluation in the loop, whatever happens to it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from xlret.config import as_yaml
from xlret.session import ray_session
from xlret.training.beside import (
    EVALUATIONS,
    EvaluationLostError,
    Evaluations,
    KeptWeights,
    Metrics,
    best_known,
    kept_weights,
)
from xlret.training.checkpoint import WEIGHTS, Progress, newest_checkpoint
from xlret.training.in_process import InProcessWorker
from xlret.training.kinds import load_step
from xlret.training.log import read_lines
from xlret.training.loop import training_loop
from xlret.training.ray_evaluator import RayEvaluator
from xlret.training.run import TrainResult, train
from xlret.training.settings import TrainJob
from xlret.training.setup import check_settings, set_up

STEPS = 8
EVALUATED = [0, 2, 4, 6, 8]


def job(storage: Path, corpora: Path, encoder: Path, **changes: Any) -> TrainJob:
    values = {
        "name": "run",
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": STEPS,
        "log_every": 1,
        "checkpoint_every": 3,
        "keep_checkpoints": 1,
        "plan": {"batch_size": 16},
        "encoder": {"start": str(encoder)},
        "optimiser": {"learning_rate": 3e-2},
        "dev": {"corpora": [corpora / "dev"], "every": 2, "groups": 10, "languages": ["en", "de"], "beside": True},
        "ray": {"workers": 1},
    }
    return TrainJob.model_validate(values | changes)


class Evaluator:
    """Stands for another process: slow, without room, or losing what it has (a `beside.Evaluator`)."""

    def __init__(self, *, late: int = 0, lost: bool = False, room: bool = True) -> None:
        self._late, self._lost, self._room = late, lost, room
        self._asked = 0
        self.began: list[tuple[int, float | None]] = []
        self.stopped = False

    def begin(self, kept: KeptWeights, best: float | None) -> None:
        self._kept, self._best, self._asked = kept, best, 0
        self.began.append((kept.step, best))

    def has_begun(self) -> bool:
        return self._room

    def result(self, wait_s: float) -> Metrics | None:
        self._asked += 1
        if self._lost:
            raise EvaluationLostError("killed")
        return self._kept.evaluate(self._best) if self._room and self._asked > self._late else None

    def stop(self) -> None:
        self.stopped = True


class Worker(InProcessWorker):
    """Evaluates beside training; is killed at a step where it has one."""

    def __init__(self, evaluator: Evaluator, killed_at: int | None = None) -> None:
        super().__init__(use_gpu=False)
        self._evaluator, self._killed_at = evaluator, killed_at
        self.evaluations: list[tuple[int, int | None]] = []

    def evaluator(self) -> Evaluator:  # type: ignore[override]
        return self._evaluator

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        if step == self._killed_at and metrics["group"] == "train":
            raise KeyboardInterrupt

    def evaluated(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        self.evaluations.append((progress.step, progress.best_step))


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, corpora: Path, encoder: Path) -> TrainResult:
    """A run that evaluates in the loop."""
    return train(in_the_loop(job(tmp_path_factory.mktemp("loop"), corpora, encoder)), show=None)


def in_the_loop(trained: TrainJob) -> TrainJob:
    dev = trained.dev.model_copy(update={"beside": False})
    return trained.model_copy(update={"dev": dev, "ray": trained.ray.model_copy(update={"workers": 0})})


def dev_lines(run_directory: Path) -> list[dict[str, Any]]:
    return [line for line in read_lines(run_directory / "metrics.jsonl") if line["group"] == "dev"]


def assert_same(run_directory: Path, loop: TrainResult) -> None:
    lines = dev_lines(run_directory)
    assert [line["step"] for line in lines] == EVALUATED
    assert lines == dev_lines(loop.run_directory)
    model, expected = (load_file(path / "model" / "model.safetensors") for path in (run_directory, loop.run_directory))
    assert all(model[name].equal(expected[name]) for name in expected)
    assert not (run_directory / EVALUATIONS).exists()


def start(trained: TrainJob, worker: Worker) -> Path:
    directory = trained.storage / trained.name
    directory.mkdir(exist_ok=True)
    training_loop(set_up(trained, directory).task, worker)
    return directory


def test_late_evaluations_are_those_of_the_loop(
    tmp_path: Path, corpora: Path, encoder: Path, loop: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xlret.training.loop.MOST_WAITING", 1)
    evaluator = Evaluator(late=50)
    worker = Worker(evaluator)
    trained = job(tmp_path, corpora, encoder)
    directory = start(trained, worker)
    assert_same(directory, loop)
    metrics = {line["step"]: line["mul"] for line in dev_lines(directory)}
    assert len(set(metrics.values())) > 1, "else nothing is chosen"
    assert evaluator.began == [
        (step, max((metrics[earlier] for earlier in EVALUATED if earlier < step), default=None)) for step in EVALUATED
    ]
    order = [(line["group"], line["step"]) for line in read_lines(directory / "metrics.jsonl")]
    assert order.index(("train", 4)) < order.index(("dev", 2)) < order.index(("train", 5)), "it waits for all but one"
    assert worker.evaluations[-1] == (STEPS, loop.best_step)
    assert evaluator.stopped


def test_a_run_that_was_killed_loses_no_evaluation(tmp_path: Path, corpora: Path, encoder: Path, loop: TrainResult) -> None:
    trained = job(tmp_path, corpora, encoder)
    with pytest.raises(KeyboardInterrupt):
        start(trained, Worker(Evaluator(late=4), killed_at=7))
    directory = trained.storage / trained.name
    assert newest_checkpoint(directory) == directory / "checkpoints" / "step-000000006"
    assert [line["step"] for line in dev_lines(directory)] == [0], "the others are still to come"
    result = train(in_the_loop(trained), show=None)  # where it is evaluated may be another when it goes on
    assert_same(directory, loop)
    assert (result.best_metric, result.best_step) == (loop.best_metric, loop.best_step)
    assert result.weights_sha256 == loop.weights_sha256


@pytest.fixture
def run_of_a_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainJob:
    """A run that keeps one number a step, which is its metric as well."""
    monkeypatch.setattr(
        KeptWeights, "evaluate", lambda kept, best: {"mul": load_file(kept.directory / WEIGHTS)["weight"].item()}
    )
    return job(tmp_path, tmp_path, tmp_path, ray={"workers": 1, "room_s": 15})


def vector(value: float) -> nn.Module:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


@pytest.mark.parametrize("evaluator", [Evaluator(lost=True), Evaluator(room=False), None])
def test_where_nobody_evaluates_the_loop_does(run_of_a_vector: TrainJob, tmp_path: Path, evaluator: Evaluator | None) -> None:
    evaluations = Evaluations(run_of_a_vector, tmp_path, 1, evaluator)
    for step in (2, 4):
        evaluations.add(step, vector(step / 8))
    if evaluator is not None and not evaluator.has_begun():
        assert [evaluations.next(None, wait_s) for wait_s in (0.0, 10.0, 10.0)] == [None] * 3, "it waits for room_s"
        assert evaluator.stopped
    arrived = [evaluations.next(None, 0.0), evaluations.next(0.25, 0.0)]
    assert [(later.kept.step, later.metrics["mul"]) for later in arrived if later] == [(2, 0.25), (4, 0.5)]
    assert evaluations.next(0.5, 0.0) is None


def test_what_is_taken_up_was_kept_until_the_checkpoint_and_not_evaluated(run_of_a_vector: TrainJob, tmp_path: Path) -> None:
    for step in (0, 2, 4, 6):
        KeptWeights(run_of_a_vector, tmp_path, step).write(vector(step), 1)
    evaluations = Evaluations(run_of_a_vector, tmp_path, 1, Evaluator())
    evaluations.take_up(4, [0])
    assert [kept.step for kept in kept_weights(run_of_a_vector, tmp_path)] == [2, 4]
    assert [later.kept.step for _ in range(2) if (later := evaluations.next(None, 0.0))] == [2, 4]
    Evaluations(run_of_a_vector, tmp_path, 1, None).take_up(0, [])
    assert kept_weights(run_of_a_vector, tmp_path) == [], "of another run of this name"


def test_the_best_is_of_the_log_and_the_checkpoint() -> None:
    dev = [{"group": "dev", "step": step, "mul": value} for step, value in ((0, 0.2), (2, 0.5), (4, 0.5))]
    lines = [*dev, {"group": "train", "step": 3, "loss": 1.0}]
    later = best_known(Progress(5, "f", best_metric=0.2, best_step=0), lines, "mul")
    assert later == Progress(5, "f", best_metric=0.5, best_step=2)
    assert best_known(later, dev[:1], "mul") == later, "the log of a run at a URL may be behind"


def test_what_cannot_be_evaluated_beside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"dev\.beside takes a process of Ray's, and ray.workers is 0"):
        job(tmp_path, tmp_path, tmp_path, ray={"workers": 0})
    with pytest.raises(ValidationError, match=r"dev\.beside holds a whole model on one device"):
        job(tmp_path, tmp_path, tmp_path, ray={"workers": 2, "sharding": "fsdp"})


@pytest.mark.slow  # it starts Ray
def test_two_workers_over_ray_have_the_numbers_of_the_loop(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    ray_settings = {"workers": 2, "cpus_per_worker": 0.25, "steps_per_block": 8}
    trained = job(tmp_path, corpora, encoder, name="beside", ray=ray_settings)
    inside = job(tmp_path, corpora, encoder, name="loop", ray=ray_settings, dev={**trained.dev.model_dump(), "beside": False})
    shown: list[str] = []
    with ray_session():
        loop = train(inside, show=None)
        result = train(trained, show=shown.append)
        assert_same(result.run_directory, loop)
        assert (result.best_metric, result.best_step) == (loop.best_metric, loop.best_step)
        assert result.weights_sha256 == loop.weights_sha256
        assert sum("dev mAP" in line for line in shown) == len(EVALUATED)


@pytest.mark.slow  # it starts Ray
def test_a_process_that_is_killed_is_followed_by_another(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    trained = job(tmp_path, corpora, encoder)
    directory = tmp_path / "run"
    directory.mkdir()
    set_up(trained, directory)
    kept = KeptWeights(trained, directory, 2)
    kept.write(load_step(trained, directory / "start", torch.device("cpu")), 2)
    with ray_session():
        evaluator = RayEvaluator(trained)
        evaluator.begin(kept, None)
        while not evaluator.has_begun():
            time.sleep(0.01)
        ray.kill(evaluator._process)
        with pytest.raises(EvaluationLostError):
            evaluator.result(120)
        evaluator.begin(kept, None)
        assert evaluator.result(120) == kept.evaluate(None)
        assert evaluator.has_begun()
        evaluator.stop()
        roomy = trained.ray.model_copy(update={"cpus_per_worker": 99.0})
        nowhere = RayEvaluator(trained.model_copy(update={"ray": roomy}))
        nowhere.begin(kept, None)
        assert nowhere.result(1.0) is None
        assert not nowhere.has_begun()
        nowhere.stop()


def test_where_a_run_evaluates_may_change_when_it_goes_on(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    trained = job(tmp_path, corpora, encoder)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(as_yaml(trained), encoding="utf-8")
    check_settings(in_the_loop(trained))
