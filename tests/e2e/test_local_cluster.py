"""From raw files to an answer over HTTP as submitted jobs, on the cluster of cluster/local/up.sh; nothing outlives down.sh."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from processes import Client

from xlret.ports import free_port

# a dozen jobs, each of which starts processes for seconds
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "cluster" / "local"
LONG_S = 300.0


class LocalCluster:
    """The scripts, called from a directory that is not the repository's."""

    def __init__(self, state: Path, directory: Path) -> None:
        self.state = state
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "XLRET_"))}
        self._environment = {**kept, "XLRET_CLUSTER": str(state), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}

    def call(self, script: str, *arguments: str, seconds: float = LONG_S) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(SCRIPTS / f"{script}.sh"), *arguments],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def submit(self, *arguments: str) -> str:
        """Runs a command to its end and returns what it printed."""
        ended = self.call("submit", *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def start(self, name: str, *arguments: str) -> None:
        """Starts a command without waiting for its end."""
        self.submit(f"--submission-id={name}", "--no-wait", *arguments)

    def until(self, name: str, pattern: str) -> str:
        """Waits until a job's log says it; returns the log."""
        end = time.monotonic() + LONG_S
        while not re.search(pattern, log := self.call("submit", "logs", name).stdout):
            assert time.monotonic() < end, log
            time.sleep(0.5)
        return log

    def until_there(self, name: str, is_there: Callable[[], bool]) -> None:
        """Waits until a file of a job is there."""
        end = time.monotonic() + LONG_S
        while not is_there():
            assert time.monotonic() < end, name
            time.sleep(0.2)

    def processes(self) -> list[int]:
        mark = f"XLRET_CLUSTER_MARK={self.mark}".encode()
        return [
            int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in environment_of(path).split(b"\0")
        ]

    mark = ""


def environment_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # gone, or another user's
        return b""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with tempfile.TemporaryDirectory(prefix="xlc-", dir="/tmp") as temporary:
        local = LocalCluster(Path(temporary) / "c", tmp_path_factory.mktemp("away from the repository"))
        write_inputs(local.directory)
        up = local.call("up", "--num-cpus=4", "--object-store-memory=300000000")
        assert up.returncode == 0, up.stdout + up.stderr
        local.mark = (local.state / "mark").read_text(encoding="utf-8").strip()
        try:
            yield local
        finally:
            down = local.call("down")
        assert down.returncode == 0, down.stdout + down.stderr
        assert local.processes() == []
        assert not local.state.exists()


def test_from_raw_files_to_an_answer_as_submitted_jobs(cluster: LocalCluster) -> None:
    cluster.submit("prepare", "prepare.yaml")
    assert "step 20/20" in cluster.submit("train", "train.yaml")
    cluster.submit("evaluate", "--encoder", "runs/few/model", "--corpus", "corpora/mine/dev", "--out", "runs/few/dev")
    cluster.submit("index", "build", "runs/few/index", "--encoder", "runs/few/model", "--corpus", "corpora/mine/dev")
    parts = ("--encoder", "runs/few/model", "--index", "runs/few/index", "--evaluation", "runs/few/dev")
    cluster.submit("release", "make", "first", *parts)
    cluster.submit("release", "promote", "first")

    port = free_port()
    cluster.start("service", "serve", "--release", "runs/releases", "--port", str(port))
    cluster.until("service", "serving on http://127.0.0.1")
    answer = Client(f"http://127.0.0.1:{port}").search("w1en w2en")
    assert answer.whole, answer
    assert answer.body["release"] == "first"
    assert len(answer.hits()) > 0
    cluster.submit("stop", "service")
    assert "stopped" in cluster.call("submit", "logs", "service").stdout
    assert Client(f"http://127.0.0.1:{port}").ask("GET", "/healthz").status == "ConnectionRefusedError"


def test_statuses_and_stops_come_through(cluster: LocalCluster) -> None:
    cluster.submit("prepare", "prepare.yaml", "--set", "output=other")
    failed = cluster.call("submit", "train", "train.yaml", "--set", "name=x", "--set", "plan.alpha=2")
    assert failed.returncode == 2, "the command's own status"
    assert "error: plan.alpha" in failed.stdout

    long = ("train", "train.yaml", *(f"--set={value}" for value in ("name=long", "steps=100000", "corpora=[other/mine/train]")))
    cluster.start("long", *long)
    cluster.until("long", r"step +30/")
    cluster.submit("stop", "long")
    said = re.search(r"goes on from (step-\d+)", cluster.until("long", "terminated"))
    assert said is not None, "a stopped run says where it goes on"
    cluster.start("longer", *long)
    cluster.until("longer", f"going on from {said[1]}")
    cluster.submit("stop", "longer")


def test_a_stopped_sweep_has_its_table_and_goes_on(cluster: LocalCluster) -> None:
    cluster.submit("prepare", "prepare.yaml", "--set", "output=swept")
    recipe = {
        "name": "few",
        "base": "train.yaml",
        "changes": {"corpora": ["swept/mine/train"], "ray.workers": 0},
        "space": {"steps": [20, 100_000]},
        "seeds": [0],
        "evaluation": {"corpus": "swept/mine/dev", "run_depth": 0},
    }
    (cluster.directory / "sweep.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    cluster.start("sweep", "sweep", "sweep.yaml")
    cluster.until("sweep", "steps-20: finished")
    out = cluster.directory / "runs" / "sweeps" / "few"
    [long] = out.glob("trials/steps-100000-*")
    cluster.until_there("a checkpoint", lambda: any(long.glob("checkpoints/step-*")))
    cluster.submit("stop", "sweep")
    log = cluster.until("sweep", "terminated")
    assert re.search(r"\| steps-20 \| 1 \|.* finished \|\n\| steps-100000 \| 0 of 1 \|.* unfinished \|\n", log), log
    assert "Traceback" not in log
    assert log.count("Trial ") == 0, "Tune prints nothing of its own"
    [result] = out.glob("trials/*/result.json")
    made, steps = result.stat().st_mtime_ns, (long / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    newest = max(path.name for path in long.glob("checkpoints/step-*"))

    cluster.start("again", "sweep", "sweep.yaml")
    cluster.until_there("a later checkpoint", lambda: any(path.name > newest for path in long.glob("checkpoints/step-*")))
    cluster.submit("stop", "again")
    assert "steps-20: begun" not in cluster.until("again", "terminated")
    assert result.stat().st_mtime_ns == made, "what has finished is not made again"
    kept = [line for line in steps if f"step-{json.loads(line)['step']:09}" <= newest]
    assert len(kept) > 0
    assert (long / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[: len(kept)] == kept, "nor what was trained"
    assert (out / "report.html").exists()


def test_a_cluster_is_closed_to_others(cluster: LocalCluster) -> None:
    """Nobody gets in without the token, from another machine, or by reading the state."""
    environment = (cluster.state / "environment").read_text(encoding="utf-8")
    address = re.search(r"RAY_API_SERVER_ADDRESS=(\S+)", environment)
    assert address is not None
    assert Client(address[1]).ask("GET", "/api/jobs/").status in (401, 403)
    assert (cluster.state.stat().st_mode & 0o077, (cluster.state / "environment").stat().st_mode & 0o077) == (0, 0)
    listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = set(cluster.processes())
    addresses = {line.split()[3] for line in listening if ours & {int(process) for process in re.findall(r"pid=(\d+)", line)}}
    assert len(addresses) > 5
    assert {name.rpartition(":")[0] for name in addresses} <= {"127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"}


def write_inputs(directory: Path) -> None:
    with open(directory / "rows.jsonl", "w", encoding="utf-8") as file:
        for group in range(200):
            words = [f"w{number}" for number in np.random.default_rng(group).choice(300, 5, replace=False)]
            for lang in ("en", "de"):
                passage = " ".join(f"{word}{lang}" for word in words)
                row = {"group_id": f"g{group}", "lang": lang, "query": passage[: passage.index(" ", 8)], "text": passage}
                file.write(json.dumps(row) + "\n")
    mine = {"read": {"format": "rows", "files": ["rows.jsonl"], "source": "made up", "licence": "none"}, "dev": 40}
    (directory / "prepare.yaml").write_text(yaml.safe_dump({"output": "corpora", "corpora": {"mine": mine}}), encoding="utf-8")
    recipe = {
        "name": "few",
        "corpora": ["corpora/mine/train"],
        "steps": 20,
        "log_every": 10,
        "checkpoint_every": 10,
        "plan": {"batch_size": 16},
        "switch": {"policy": "none"},
        "encoder": {"fresh": {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
    }
    (directory / "train.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
