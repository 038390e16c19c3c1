"""One process at a time writes a run, what killed ones left is cleared, and a full disk costs no step that was saved."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from disks import disk_of
from safetensors import SafetensorError
from safetensors.torch import save_file

from xlret.errors import UserError
from xlret.training.ownership import sole_driver, sole_writer
from xlret.training.run import train
from xlret.training.settings import TrainJob


def job(storage: Path, corpora: Path, **changes: Any) -> TrainJob:
    fresh = {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}
    values = {
        "name": "run",
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": 6,
        "log_every": 1,
        "checkpoint_every": 2,
        "plan": {"batch_size": 8},
        "encoder": {"fresh": fresh},
        "ray": {"workers": 0},
    }
    return TrainJob.model_validate(values | changes)


class AtStep:
    """Calls a function at a step."""

    def __init__(self, step: int, function: Any) -> None:
        self.step, self.function = step, function

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        if step == self.step:
            self.function()

    def on_checkpoint(self, step: int, directory: Path) -> None:
        """Of no interest here."""


def test_a_second_training_of_a_name_says_who_holds_it(tmp_path: Path, corpora: Path) -> None:
    refused: list[str] = []

    def second(*, fresh: bool) -> None:
        with pytest.raises(UserError) as error:
            train(job(tmp_path, corpora), fresh=fresh, show=None)
        refused.append(str(error.value))

    result = train(job(tmp_path, corpora), show=None, callbacks=[AtStep(3, lambda: (second(fresh=False), second(fresh=True)))])
    assert result.steps == 6
    holder = f"(it is process {os.getpid()} on {socket.gethostname()} since 20"
    assert all(f"{tmp_path}/run is being trained already" in line and holder in line for line in refused)
    assert len(refused) == 2
    assert train(job(tmp_path, corpora), show=None) == result


def test_what_a_killed_driver_left_running_is_waited_for(tmp_path: Path) -> None:
    script = """
import sys, time, pathlib
from xlret.training.ownership import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("writing", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "writing\n"
        with (
            pytest.raises(UserError, match=rf"a worker of an earlier training .* \(it is process {worker.pid} on "),
            sole_writer(tmp_path / "run", patience_s=0.3),
        ):
            pass
        killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(1); os.kill({worker.pid}, 9)"])
        with sole_driver(tmp_path / "run"), sole_writer(tmp_path / "run", patience_s=60):
            assert worker.wait(10) == -9
        killer.wait(10)


def test_what_killed_processes_left_half_written_is_cleared_and_nothing_else(tmp_path: Path, corpora: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / ".step-000000002.building.abcd1234").mkdir(parents=True)
    (run / ".model.building.abcd1234").mkdir()
    (run / ".run.json.abcd1234").write_text("{")
    (run / ".notes").write_text("mine")
    train(job(tmp_path, corpora), show=None)
    assert sorted(path.name for path in run.glob(".*")) == [".notes"]
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == ["step-000000004", "step-000000006"]


def test_a_full_disk_is_one_line_and_the_run_goes_on_to_the_same_weights(
    tmp_path: Path, corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = train(job(tmp_path / "through", corpora), show=None)

    def full(tensors: object, path: Path) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    def fill() -> None:
        monkeypatch.setattr("xlret.training.checkpoint.save_file", full)

    with pytest.raises(UserError, match=r"no space left on the disk while writing .*step-000000004; free some"):
        train(job(tmp_path / "full", corpora), show=None, callbacks=[AtStep(3, fill)])
    monkeypatch.setattr("xlret.training.checkpoint.save_file", save_file)
    shown: list[str] = []
    assert train(job(tmp_path / "full", corpora), show=shown.append).weights_sha256 == through.weights_sha256
    assert "going on from step-000000002" in shown


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(2, tmp_path / "disk") as disk:
        yield disk


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=[pytest.mark.ray, pytest.mark.slow])])
def test_a_real_disk_runs_full_under_training(small_disk: Path, tmp_path: Path, corpora: Path, workers: int) -> None:
    """One line, no try that must fail, the last checkpoint good; and on with space."""
    through = train(job(tmp_path / "through", corpora), show=None)
    start, checkpoint = (size(through.run_directory / name) for name in ("start", "checkpoints/step-000000006"))
    room = start + int(1.6 * checkpoint) + 100_000  # for one checkpoint and a half, and the small files
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - room))
    settings, shown = job(small_disk, corpora, ray={"workers": workers}), list[str]()
    with pytest.raises(UserError, match="no space left on the disk while writing"):
        train(settings, show=shown.append)
    assert not any("going on" in line for line in shown)
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    assert train(job(small_disk, corpora), show=shown.append).weights_sha256 == through.weights_sha256
    assert "going on from step-000000002" in shown


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
