"""Training on several machines: one dies, and another comes or none does; one is told to go. Nothing is lost."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from machine_training import CHECKPOINT_EVERY, Training
from machines import PATIENCE_S, ROOT, Cluster, cluster
from safetensors.numpy import load_file

from xlret.files import sha256_of

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
TIMED = ("pairs_per_second", "tokens_per_second", "data_wait_share", "peak_memory_mb", "seconds")


def weights_of(directory: Path) -> Path:
    """The weights that a run ended in."""
    return sorted((directory / "checkpoints").glob("step-*"))[-1] / "module.safetensors"


def outcome(directory: Path) -> tuple[str, list[dict[str, Any]]]:
    """What a finished run left: the checksum of its weights, and its reports without what depends on the clock."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return sha256_of(weights_of(directory)), [
        {name: value for name, value in line.items() if name not in TIMED} for line in lines
    ]


@pytest.fixture(scope="module")
def machines(undisturbed: object) -> Iterator[Cluster]:
    """The head, which has room for one worker and stays, and `right`, which has room for the other."""
    with cluster(1, RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S="0.2") as made:
        made.add("right", 1)
        yield made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, recipe: dict[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """A run that nothing happens to, by two processes without Ray, beside the machines and giving way to them."""
    storage = tmp_path_factory.mktemp("undisturbed")
    path = storage / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, "storage": str(storage)}), encoding="utf-8")
    command = ["nice", sys.executable, str(ROOT / "tests" / "helpers" / "without_ray.py"), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, cwd=ROOT, text=True) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def expected(undisturbed: "subprocess.Popen[str]") -> Callable[[], Path]:
    """Gives the directory of the undisturbed run, when it has ended."""

    def wait() -> Path:
        assert undisturbed.wait(PATIENCE_S) == 0
        return Path(undisturbed.args[-1]).parent / "run"

    return wait


@pytest.fixture
def training(tmp_path: Path, machines: Cluster, recipe: dict[str, Any]) -> Training:
    return Training(machines, tmp_path, recipe)


def test_a_machine_dies_and_another_is_told_to_go(training: Training, expected: Callable[[], Path]) -> None:
    """Of the first the steps since the last checkpoint are done again, of the second none; new machines come. The run ends in
    bitwise the same weights and reports."""
    program = training.start()
    program.until(lambda: training.steps() >= CHECKPOINT_EVERY + 4 and training.on("right"))
    training.machines.machines["right"].kill()
    training.machines.add("right", 1)
    failed = program.until(lambda: re.search(r"the workers failed \(.*\); going on from step-(\d+)\n", program.said))
    assert int(failed[1]) % CHECKPOINT_EVERY == 0

    program.until(lambda: training.steps() >= int(failed[1]) + CHECKPOINT_EVERY + 4 and training.on("right"))
    reported = training.steps()
    training.machines.drain("right", seconds=200)
    handed = program.until(lambda: re.search(r"a machine of the run goes; going on from step-(\d+)\n", program.said))
    assert int(handed[1]) >= reported, "its checkpoint is of the step that it had come to"
    assert not training.on("right")
    training.machines.machines["right"].kill()
    training.machines.add("right", 1)
    assert program.wait() == 0, program.said
    assert program.said.count("going on from") == 2
    assert outcome(training.directory) == outcome(expected())
    assert "Traceback" not in program.said


def test_a_run_goes_on_with_fewer_workers_on_the_same_batches(training: Training, expected: Callable[[], Path]) -> None:
    """Weights and losses are those of two workers to rounding; the batches, counted in words and tokens, are the same."""
    program = training.start(**{"ray.least_workers": 1, "ray.room_s": 5})
    program.until(lambda: training.steps() >= CHECKPOINT_EVERY + 4 and training.on("right"))
    training.machines.machines["right"].kill()
    assert program.wait() == 0, program.said
    assert "with 1 of 2 workers, on the same batches: the cluster has no room for more" in program.said
    (_, reports), (_, undisturbed) = outcome(training.directory), outcome(expected())
    assert {report["workers"] for report in reports} == {1, 2}
    for report, wanted in zip(reports, undisturbed, strict=True):
        for name in ("step", "alpha", "switch_ratio", "learning_rate"):
            assert report[name] == pytest.approx(wanted[name], rel=1e-9), name
        assert report["loss"] == pytest.approx(wanted["loss"], rel=1e-3)
    weights, expected_weights = (load_file(weights_of(run)) for run in (training.directory, expected()))
    for name, weight in weights.items():
        np.testing.assert_allclose(weight, expected_weights[name], atol=2e-4, err_msg=name)
