"""A Ray to run on: what people have in RAY_ADDRESS, RAY_TMPDIR and HOME leads to a Ray or to one line, soon."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xlret import session
from xlret.errors import UserError
from xlret.session import ray_session

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """The port of a server that answers each connection with `answer`; None: it never says a word."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                if answer is not None:
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://127.0.0.1:8265", r"is the address that `ray job submit` needs"),
        ("https://ray.example.org", r"is the address that `ray job submit` needs"),
        ("grpc://127.0.0.1:6379", r"is not of the form HOST:PORT"),
        ("garbage", r"is not of the form HOST:PORT"),
        ("127.0.0.1", r"is not of the form HOST:PORT"),
        (":6379", r"is not of the form HOST:PORT"),
        ("127.0.0.1:99999", r"is not of the form HOST:PORT"),
        ("127.0.0.1:port", r"is not of the form HOST:PORT"),
        ("127.0.0.1:1", r"no Ray answers at RAY_ADDRESS=127\.0\.0\.1:1: Connection refused; start one"),
        ("ray://127.0.0.1:1", r"no Ray answers at .*Connection refused"),
        ("no-such-host.invalid:6379", r"no Ray answers at RAY_ADDRESS=no-such-host\.invalid:6379: "),
        ("[::1]:1", r"no Ray answers at"),
    ],
)
def test_an_address_that_is_none_or_dead_is_one_line_at_once(
    monkeypatch: pytest.MonkeyPatch, address: str, sentence: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(UserError, match=sentence), ray_session():
        pass
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, r"nothing came back within 0 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"what listens there is not Ray"),
        (b"", r"nothing came back within 0 s"),
    ],
)
def test_a_port_where_something_else_listens_is_one_line(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, problem: str
) -> None:
    monkeypatch.setattr(session, "_PATIENCE_S", 0.2)
    with listening(answer) as port:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        with pytest.raises(UserError, match=problem), ray_session():
            pass


def test_what_speaks_the_protocol_is_taken_for_ray() -> None:
    with listening(SETTINGS) as port:
        assert session._unanswered("127.0.0.1", port) is None


def test_a_cluster_that_goes_away_is_said_once_and_one_that_stays_is_not() -> None:
    said: list[str] = []
    with listening(SETTINGS) as port, session._watched(f"127.0.0.1:{port}", said.append, gone_s=0.3, look_s=0.05):
        time.sleep(0.6)
        assert said == []
    with listening(SETTINGS) as port:
        pass
    with session._watched(f"127.0.0.1:{port}", said.append, gone_s=0.3, look_s=0.05):
        end = time.monotonic() + 20
        while not said and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.3)
    assert said == [f"the Ray cluster at 127.0.0.1:{port} has not answered for 0 s (Connection refused)"]


def test_a_program_whose_cluster_went_away_ends_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses: list[int] = []
    monkeypatch.setattr("os._exit", statuses.append)
    session._give_up("the cluster is gone")
    assert statuses == [1]
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the cluster is gone; give the same command again when it is there")


def test_an_unreachable_network_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(address: tuple[str, int], timeout: float) -> socket.socket:
        raise TimeoutError("timed out")

    monkeypatch.setattr("socket.create_connection", never)
    monkeypatch.setenv("RAY_ADDRESS", "10.255.255.1:6379")
    with pytest.raises(UserError, match="nothing came back within 10 s"), ray_session():
        pass


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
def test_a_long_or_unwritable_temporary_directory_gives_way_to_a_short_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(name, str(tmp_path / ("long" * 15)))
    assert session._temporary_directory() == Path("/tmp/ray")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(name, str(tmp_path / "file"))
    assert session._temporary_directory() == Path("/tmp/ray")
    short = Path(f"/tmp/xlret-{os.getpid()}")
    monkeypatch.setenv(name, str(short))
    assert session._temporary_directory() == short / "ray"
    (short / "ray").rmdir()
    short.rmdir()


def test_no_directory_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_is_writable", lambda directory: False)
    with pytest.raises(UserError, match="set RAY_TMPDIR"):
        session._temporary_directory()


@pytest.mark.ray
def test_a_ray_starts_with_a_long_temporary_directory_and_a_home_that_takes_no_file(tmp_path: Path) -> None:
    long = tmp_path / "a-long-name-for-a-temporary-directory" / "and-another-one-below-it"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_TMPDIR": str(long), "TMPDIR": str(long), "HOME": "/proc"}
    script = """
import ray
from xlret.session import ray_session
with ray_session(cpus=2, object_store_gb=0.1):
    assert ray.get(ray.remote(lambda: 7).remote()) == 7
print("ran")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ran\n")
