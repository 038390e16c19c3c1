"""Nothing outlives a program that has a guard, and Ray's processes are watched: with real processes, without Ray."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xlret.serve.ray import guard, watch
from xlret.serve.ray.guard import Guard, clear_leftovers
from xlret.serve.ray.processes import is_alive, members
from xlret.serve.ray.watch import watching

PROGRAM = """
import subprocess, sys, time
from xlret.serve.ray.guard import Guard
guard = Guard()
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(guard.token, guard.directory, child.pid, guard._process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of the test's own, with a short path."""
    with tempfile.TemporaryDirectory(prefix="x", dir="/tmp") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


def comes_true(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def program() -> tuple[subprocess.Popen[str], str, Path, int, int]:
    """A program with a guard and a child in a session of its own: the program, token, directory, child, guard."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    token, directory, child, guarding = process.stdout.readline().split()
    assert is_alive(int(child))
    assert comes_true(lambda: int(child) in members(token))  # its environment shows when it has become another program
    return process, token, Path(directory), int(child), int(guarding)


def test_what_a_killed_program_started_ends_and_its_directory_goes() -> None:
    process, token, directory, child, guarding = program()
    process.kill()
    process.wait()
    assert comes_true(lambda: not is_alive(child) and not directory.exists() and not is_alive(guarding))
    assert members(token) == []


def test_when_the_guard_is_killed_too_the_next_start_clears_up() -> None:
    process, _, directory, child, guarding = program()
    living, _, other_directory, other_child, _ = program()
    os.kill(guarding, signal.SIGKILL)
    process.kill()
    process.wait()
    assert is_alive(child)
    assert clear_leftovers() == [directory]
    assert not is_alive(child)
    assert not directory.exists()
    assert other_directory.is_dir(), "the one of a program that lives stays"
    assert is_alive(other_child)
    living.kill()
    living.wait()
    assert comes_true(lambda: not is_alive(other_child) and not other_directory.exists())


def test_the_end_of_a_service_ends_what_does_not_end_by_itself(temporary: Path) -> None:
    protected = Guard()
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        assert protected.directory.parent == temporary
        assert protected.directory.stat().st_mode & 0o777 == 0o700
        assert protected.end(grace_s=0.1) == [child.pid]
        assert not protected.directory.exists()
    finally:
        child.kill()
        child.wait()


def test_foreign_directories_are_left_alone(temporary: Path) -> None:
    (temporary / f"{guard.PREFIX}foreign").mkdir()
    (temporary / f"{guard.PREFIX}file").write_text("no directory")
    (temporary / f"{guard.PREFIX}odd").mkdir()
    (temporary / f"{guard.PREFIX}odd" / "owner.json").write_text("[]")
    assert clear_leftovers() == []
    assert len(list(temporary.iterdir())) == 3


def test_a_needed_process_that_ends_is_noticed_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "NEEDED", frozenset({"sleep"}))
    lost: list[str] = []
    noticed = threading.Event()

    def note(why: str) -> None:
        lost.append(why)
        noticed.set()

    needed, other = subprocess.Popen(["sleep", "600"]), subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        with watching(note):
            other.kill()
            assert not noticed.wait(1.2)
            needed.kill()
            assert noticed.wait(20)
        assert lost == [f"Ray's sleep (process {needed.pid}) has ended, and with it the service"]
    finally:
        for process in (needed, other):
            process.kill()
            process.wait()
