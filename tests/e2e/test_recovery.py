"""Runs over Ray that are killed end in bitwise the same weights as the run that nothing happened to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from xlret.training.checkpoint import kept_checkpoints

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
STEPS = 60


def recipe(storage: Path, corpora: Path, lexicon: Path) -> dict[str, object]:
    return {
        "name": "run",
        "storage": str(storage),
        "corpora": [str(corpora / "train")],
        "steps": STEPS,
        "log_every": 5,
        "checkpoint_every": 10,
        "accumulate": 2,
        "plan": {"batch_size": 16, "alpha": 0.5},
        "switch": {"policy": "ml", "lexicons": [str(lexicon)]},
        "encoder": {"fresh": {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
        "optimiser": {"learning_rate": 1e-3},
        "dev": {"corpora": [str(corpora / "dev")], "every": 20},
        "ray": {"steps_per_block": 8},
    }


def start(storage: Path, corpora: Path, lexicon: Path) -> "subprocess.Popen[str]":
    path = storage / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(recipe(storage, corpora, lexicon)), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.train", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", storage: Path) -> dict[str, object]:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    finished: dict[str, object] = json.loads((storage / "run" / "run.json").read_text())["finished"]
    return finished


def wait_for(condition: Callable[[], object], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def steps_done(storage: Path) -> int:
    path = storage / "run" / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def has_checkpoint(storage: Path) -> bool:
    """Whether there is a checkpoint that a new run would go on from."""
    return bool(kept_checkpoints(storage / "run"))


def train_workers(group: int) -> list[int]:
    """Processes of this session that Ray shows as training workers."""
    listing = subprocess.run(["ps", "-eo", "pid,sess,args"], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listing.splitlines()[1:]:
        pid, session, arguments = line.split(None, 2)
        if "RayTrainWorker" in arguments and int(session) == group:
            found.append(int(pid))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, corpora: Path, lexicon: Path) -> tuple[dict[str, object], list[str]]:
    storage = tmp_path_factory.mktemp("undisturbed")
    finished = finish(start(storage, corpora, lexicon), storage)
    return finished, lines_of(storage)


def lines_of(storage: Path) -> list[str]:
    """What the run reported, without what depends on the clock."""
    timed = ("pairs_per_second", "tokens_per_second", "data_wait_share", "peak_memory_mb", "seconds")
    lines = [json.loads(line) for line in (storage / "run" / "metrics.jsonl").read_text().splitlines()]
    return [json.dumps({key: value for key, value in line.items() if key not in timed}) for line in lines]


@pytest.mark.slow
def test_killed_workers_and_drivers_are_followed_by_others_and_the_weights_are_the_same(
    tmp_path: Path, corpora: Path, lexicon: Path, undisturbed: tuple[dict[str, object], list[str]]
) -> None:
    """A worker is killed, and replaced by the job itself; then the driver is, and the job is started again by hand."""
    process = start(tmp_path, corpora, lexicon)
    wait_for(lambda: process.poll() is not None or (steps_done(tmp_path) >= 15 and train_workers(process.pid)))
    assert process.poll() is None, "the run was over before it could be disturbed"
    assert has_checkpoint(tmp_path)
    killed = train_workers(process.pid)
    os.kill(killed[-1], signal.SIGKILL)
    wait_for(lambda: process.poll() is not None or not set(train_workers(process.pid)) & set(killed))
    wait_for(lambda: process.poll() is not None or (steps_done(tmp_path) >= 35 and train_workers(process.pid)))
    assert process.poll() is None, "the run was over before it could be disturbed again"
    os.kill(process.pid, signal.SIGKILL)  # the driver alone: its workers may still be at work when the next one starts
    process.wait(timeout=30)
    assert "finished" not in json.loads((tmp_path / "run" / "run.json").read_text())
    finished = finish(start(tmp_path, corpora, lexicon), tmp_path)
    assert (finished, lines_of(tmp_path)) == undisturbed
