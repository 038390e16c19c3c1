"""Jobs run unchanged through `ray job submit`: exit status and one-line errors come through, metrics reach the dashboard."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A head node of our own, with a dashboard; yields the environment in which its jobs are submitted."""
    port, dashboard, metrics = free_port(), free_port(), free_port()
    temporary = Path(f"/tmp/xlret-head-{os.getpid()}")  # Ray's socket paths must be short
    log = tmp_path_factory.mktemp("head") / "head.log"
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a-token-for-this-test-only-0123456789"}
    environment.pop("RAY_ADDRESS", None)
    command = [
        RAY,
        "start",
        "--head",
        "--block",
        f"--port={port}",
        f"--dashboard-port={dashboard}",
        "--dashboard-host=127.0.0.1",
    ]
    command += [
        f"--metrics-export-port={metrics}",
        "--num-cpus=2",
        "--object-store-memory=300000000",
        f"--temp-dir={temporary}",
    ]
    command += [f"--dashboard-agent-listen-port={free_port()}", f"--dashboard-agent-grpc-port={free_port()}"]
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, "--disable-usage-stats"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    submit = {**environment, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}", "METRICS_PORT": str(metrics)}
    try:
        end = time.monotonic() + 90
        probe = [RAY, "job", "submit", "--", sys.executable, "-c", "pass"]  # jobs are taken some time after the head is up
        while subprocess.run(probe, env=submit, capture_output=True, check=False, timeout=60).returncode:
            assert time.monotonic() < end, log.read_text()
            time.sleep(1)
        yield submit
    finally:
        process.terminate()  # the head ends its own in order, but waits half a minute for agents of jobs
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        shutil.rmtree(temporary, ignore_errors=True)


def submit(head: dict[str, str], home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    runtime = json.dumps({"env_vars": {"XLRET_HOME": str(home)}, "excludes": [".git", ".venv"]})
    return subprocess.run(
        [RAY, "job", "submit", f"--working-dir={ROOT}", f"--runtime-env-json={runtime}", "--", sys.executable, "-m", *command],
        env=head,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_training_and_evaluation_run_as_submitted_jobs(
    head: dict[str, str], tmp_path: Path, corpora: Path, lexicon: Path
) -> None:
    recipe = {
        "name": "submitted",
        "corpora": [str(corpora / "train")],
        "steps": 40,
        "log_every": 5,
        "plan": {"batch_size": 16},
        "switch": {"policy": "ml", "lexicons": [str(lexicon)]},
        "encoder": {"fresh": {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
        "dev": {"corpora": [str(corpora / "dev")], "every": 20},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    seen: dict[str, float] = {}
    trained = submit(head, tmp_path, "jobs.train", str(tmp_path / "recipe.yaml"))
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "step 40/40  loss" in trained.stdout
    model = tmp_path / "runs" / "submitted" / "model"
    assert (model / "model.safetensors").exists()
    seen = exported(int(head["METRICS_PORT"]))
    assert {"xlret_train_loss", "xlret_train_pairs_per_second", "xlret_train_data_wait_share"} <= seen.keys()
    assert 0 < seen["xlret_train_alpha"] < 1
    assert 0 < seen["xlret_train_switch_ratio"] < 1
    out = tmp_path / "evaluation"
    evaluated = submit(
        head, tmp_path, "jobs.evaluate", "--encoder", str(model), "--corpus", str(corpora / "dev"), "--out", str(out)
    )
    assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr
    assert (out / "evaluation.json").exists()


def test_an_error_of_the_user_is_one_line_and_a_status(head: dict[str, str], tmp_path: Path) -> None:
    failed = submit(head, tmp_path, "jobs.train", "--set", "name=x", "--set", "corpora=[nowhere]", "--set", "plan.alpha=2")
    assert failed.returncode != 0
    assert "error: plan.alpha" in failed.stdout
    assert "exit code 2" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout.split("error: plan.alpha")[1].split("Job entrypoint")[0]


def exported(port: int) -> dict[str, float]:
    """Our gauges as Prometheus reads them from the node."""
    end = time.monotonic() + 30
    found: dict[str, float] = {}
    while "xlret_train_switch_ratio" not in found and time.monotonic() < end:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = {name: float(value) for name, value in re.findall(r"^ray_(xlret_\w+)\{[^}]*\} (\S+)$", text, re.M)}
        time.sleep(1)
    return found
