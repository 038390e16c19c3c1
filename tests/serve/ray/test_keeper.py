"""HAProxy as Ray would start it, with its keeper: killed, taken over from, and without its Ray."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xlret.ports import free_port
from xlret.serve.ray.haproxy import install
from xlret.serve.ray.keeper import CLOSED_S, STAND_IN_S, STOPPING, noted, servers, stand_in
from xlret.serve.ray.processes import is_alive, name_of

SOON_S = 20.0
"""What takes a moment may take so long on a busy machine."""
RAYLET = """
import subprocess, sys, time
with open("/proc/self/comm", "w") as name:
    name.write("raylet")
subprocess.run([sys.executable, "-c", sys.argv[1]])
time.sleep(600)
"""
MANAGER = """
import os, subprocess, sys
print(os.getpid(), flush=True)
for line in sys.stdin:
    process = subprocess.Popen(line.split())
    print(process.pid, flush=True)
"""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Door:
    """HAProxy on a port of its own, started by processes that stand for Ray's raylet and, below it, the manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "node"
        self.directory.mkdir()
        self.port = free_port()
        self.config = self.directory / "haproxy.cfg"
        self.program = install(directory)
        words = [sys.executable, "-c", RAYLET, MANAGER]
        self.raylet = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.raylet.stdout is not None
        self.manager = int(self.raylet.stdout.readline())

    def start(self, answer: str | None, replica: int | None = None) -> int:
        """Starts HAProxy; it answers with `answer`, or as long as there is nothing behind it with 503.

        Args:
            answer: None for nothing behind it.
            replica: a port that a replica is to be on; nobody is sent there.
        """
        servers = f'backend app\n    http-request return status 200 content-type text/plain string "{answer}"\n'
        servers += f"    server replica 127.0.0.1:{replica}\n" if replica else ""
        self.config.write_text(
            f"global\n    stats socket {self.directory}/admin.sock mode 666 level admin expose-fd listeners\n    maxconn 100\n"
            "defaults\n    mode http\n    timeout client 5s\n    timeout server 5s\n    timeout connect 5s\n"
            f"frontend http_frontend\n    bind 127.0.0.1:{self.port}\n"
            + ("    use_backend app\n" + servers if answer else "    default_backend default_backend\n")
            + "backend default_backend\n    http-request return status 404\n"
        )
        assert self.raylet.stdin is not None
        assert self.raylet.stdout is not None
        self.raylet.stdin.write(f"{self.program} -db -f {self.config} -dR\n")
        self.raylet.stdin.flush()
        process = int(self.raylet.stdout.readline())
        until(lambda: name_of(process) == "haproxy")
        return process

    def says(self) -> str | None:
        """What HAProxy answers; None if nobody does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.read().decode() if response.status == 200 else str(response.status)
        except OSError:
            return None
        finally:
            connection.close()


@pytest.fixture
def door() -> Iterator[Door]:
    with tempfile.TemporaryDirectory(prefix="x", dir="/tmp") as directory:
        opened = Door(Path(directory))
        try:
            yield opened
        finally:
            opened.raylet.kill()
            opened.raylet.wait()
            if is_alive(opened.manager):
                os.kill(opened.manager, signal.SIGKILL)
            until(lambda: opened.says() is None)


def test_a_killed_haproxy_is_stood_in_for_and_takes_over_again_and_ends_with_ray(door: Door) -> None:
    process = door.start("first")
    until(lambda: door.says() == "first")
    os.kill(process, signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: door.says() == "first")
    assert time.monotonic() - killed < 2.0
    substitute = noted(door.directory)
    assert substitute not in (None, process)
    again = door.start(None)  # as Ray does: at first without servers
    until(lambda: not is_alive(substitute or 0))
    assert noted(door.directory) == again
    assert door.says() == "first", "it begins with the servers that there were"
    door.raylet.kill()
    door.raylet.wait()
    until(lambda: door.says() is None)
    until(lambda: not is_alive(again))
    socket.create_server(("127.0.0.1", door.port)).close()


def test_a_stand_in_outlives_the_manager_and_lets_go_when_the_service_was_shut_down(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as replica:
        process = door.start("first", replica.getsockname()[1])
        until(lambda: door.says() == "first")
        os.kill(process, signal.SIGKILL)
        os.kill(door.manager, signal.SIGKILL)
        until(lambda: noted(door.directory) != process)
        time.sleep(CLOSED_S + 1.0)
        assert door.says() == "first", "the manager merely died"
    closed = time.monotonic()
    until(lambda: door.says() is None)
    assert CLOSED_S - 1.0 < time.monotonic() - closed < STAND_IN_S / 3
    socket.create_server(("127.0.0.1", door.port)).close()
    time.sleep(0.5)
    assert door.says() is None, "nobody stands in again"


def test_a_haproxy_that_is_meant_to_end_is_not_stood_in_for(door: Door) -> None:
    process = door.start("first")
    until(lambda: door.says() == "first")
    (door.directory.parent / STOPPING).touch()
    os.kill(process, signal.SIGKILL)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        assert door.says() in (None, "first")
        time.sleep(0.05)
    assert door.says() is None


def test_a_stand_in_has_an_admin_socket_of_its_own(tmp_path: Path) -> None:
    config = "global\n    stats socket /a/admin.sock mode 600 level admin\n    server-state-file /a/state\n    maxconn 9\n"
    assert stand_in(config + "defaults\n    load-server-state-from-file global\n", tmp_path) == (
        f"global\n    stats socket {tmp_path}/s.sock mode 600 level admin\n    maxconn 9\ndefaults\n"
    )


def test_the_replicas_of_a_configuration(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text("backend app\n    server a-1 10.0.0.7:30001 check\n    server b [::1]:30002\n    # server c d:1\n")
    assert servers(config) == [("10.0.0.7", 30001), ("::1", 30002)]
