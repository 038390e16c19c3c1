"""A service whose Ray is gone, or whose parts hang: it ends, says so, and leaves nothing; a killed one is followed at once."""

import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from made_releases import make_releases
from processes import Service, service

from xlret.serve.ray.processes import TOKEN, members

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    return make_releases(tmp_path_factory.mktemp("served"), corpora / "train")


def token_of(running: Service) -> str:
    pairs = Path(f"/proc/{running.find('gcs_server')}/environ").read_bytes().decode().split("\0")
    return next(pair.partition("=")[2] for pair in pairs if pair.startswith(f"{TOKEN}="))


def await_nobody(token: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while members(token):
        assert time.monotonic() < end, members(token)
        time.sleep(0.05)


@pytest.mark.parametrize("command", ["raylet/raylet ", "gcs_server", "dashboard/agent.py"])
def test_when_ray_is_gone_the_job_ends_with_a_line_and_leaves_nothing(releases: Path, command: str) -> None:
    with service(releases, "health_s=1") as running:
        running.whole()
        token = token_of(running)
        os.kill(running.find(command), signal.SIGKILL)
        assert running.process.wait(15) == 1
        await_nobody(token, 15)
        running.reader.join(10)
        said = [line for line in running.lines if line.startswith("error:")]
        assert len(said) == 1, running.lines[-10:]
        assert "has ended, and with it the service; start it again" in said[0]


@pytest.mark.parametrize("command", ["ServeController", "raylet/raylet ", "gcs_server"])
def test_a_stop_is_bounded_whatever_hangs(releases: Path, command: str) -> None:
    with service(releases, "health_s=1", "deadline.drain_s=10") as running:
        running.whole()
        token, hanging = token_of(running), running.find(command)
        os.kill(hanging, signal.SIGSTOP)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(25) in (0, 1)
        await_nobody(token, 10)


def test_a_service_killed_with_sigkill_is_followed_at_once_by_another_on_its_port(releases: Path) -> None:
    with service(releases, "health_s=1") as killed:
        killed.whole()
        token, port = token_of(killed), urlsplit(killed.address).port
        assert port is not None
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        with service(releases, "health_s=1", port=port) as following:  # as systemd does
            await_nobody(token, 15)
            assert following.address == killed.address
            following.whole()
