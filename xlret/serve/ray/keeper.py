"""HAProxy on one machine: it is there within a moment when it dies, it outlives its manager, and it does not outlive Ray.

Ray Serve has an actor that manages HAProxy. It notices after three failed health checks that HAProxy or the actor is dead, and
starts both anew, which takes some 5 s. This process bridges the gap. `haproxy.main` starts one for each directory of
HAProxy's files; it looks ten times a second:

- HAProxy is dead: a stand-in with the last configuration answers at once, until HAProxy as Ray starts it takes its listening
  sockets over (`haproxy -sf -x`, as in a reload).
- The manager is dead: nothing; HAProxy answers on, and the next one takes over from it in the same way.
- A stand-in's manager is dead and no replica takes connections any more: Ray Serve has been shut down, and the port is free
  within some seconds. (A manager that died is replaced, and replicas outlive it.)
- Ray's raylet is dead, and with it all of Ray on this machine: HAProxy is ended, and its port is free.

The stand-in has an admin socket of its own: were it to answer Ray's health checks, its manager would not be replaced.
"""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from xlret.serve.ray.processes import command_of, is_alive, name_of, parent, processes, started

LOOK_S = 0.1
STAND_IN_S = 60.0
"""A stand-in from which nobody has taken over by then is ended, whatever else lives."""
CLOSED_S = 3.0
"""How long a stand-in must have been without manager and replicas to be ended: Ray starts a manager that died within it."""
_CONNECT_S = 0.5
"""How long a replica may take to accept a connection."""
STOPPING = "stopping"
"""A file of this name in the service's directory (above HAProxy's): what ends now is meant to end."""
TRIES = 3
"""Starts of a stand-in in a row that may fail, as where the port belongs to somebody else by now."""
_PID, _MANAGER, _LAST, _CONFIG = "haproxy.pid", "manager.pid", "last.cfg", "standin.cfg"
_SOCKET, _LOCK = "s.sock", "keeper.lock"


def note(directory: Path, process: int, manager: int | None = None) -> None:
    """Writes down which process HAProxy is, and which one manages it; a stand-in has the manager that there was."""
    for name, number in ((_PID, process), (_MANAGER, manager)):
        if number is not None:
            fresh = directory / f"{name}.{os.getpid()}"
            fresh.write_text(f"{number} {started(number)}", encoding="utf-8")
            os.replace(fresh, directory / name)


def noted(directory: Path, name: str = _PID) -> int | None:
    """The process that HAProxy is or was; None if none was noted, or the number belongs to another process by now."""
    try:
        process, began = (directory / name).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return None
    return int(process) if started(int(process)) in (None, began) else None


def remember(directory: Path, config: str) -> None:
    """Keeps a configuration that has servers, for stand-ins."""
    fresh = directory / f"{_LAST}.{os.getpid()}"
    fresh.write_text(config, encoding="utf-8")
    os.replace(fresh, directory / _LAST)


def takeover(directory: Path, socket: Path) -> tuple[list[str], str | None]:
    """What HAProxy that is not started to replace another one needs to take over from one that runs all the same.

    Args:
        directory: of HAProxy's files.
        socket: Ray's admin socket, on which HAProxy hands on its listening sockets if it is no stand-in.

    Returns:
        Arguments for HAProxy, and the configuration to begin with: Ray's first one has no servers yet. Nothing of both where
        none runs.
    """
    process = noted(directory)
    if process is None or not is_alive(process) or not _is_haproxy(process, directory):
        return [], None
    given = directory / _SOCKET if str(directory / _CONFIG) in command_of(process) else socket
    with contextlib.suppress(OSError):
        return ["-sf", str(process), *(["-x", str(given)] if given.is_socket() else [])], (directory / _LAST).read_text("utf-8")
    return ["-sf", str(process)], None


def start(directory: Path, program: str) -> None:
    """Starts the keeper of a directory in the background, unless one runs; it is nobody's child.

    Args:
        directory: of HAProxy's files.
        program: HAProxy.
    """
    with open(directory / _LOCK, "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    home = str(Path(__file__).resolve().parents[3])
    code = "import sys; sys.path.insert(0, sys.argv[1]); from xlret.serve.ray.keeper import main; main()"
    words = [sys.executable, "-c", code, home, str(directory), program, str(_raylet())]
    with open(directory / "keeper.log", "ab") as log:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
        )


def main() -> None:
    """The keeper's process."""
    directory, program, raylet = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    with open(directory / _LOCK, "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        Keeper(directory, program, raylet).look_after_haproxy()


class Keeper:
    """What the keeper's process does.

    Args:
        directory: of HAProxy's files.
        program: HAProxy.
        raylet: the process with which everything ends.
    """

    def __init__(self, directory: Path, program: str, raylet: int) -> None:
        self._directory, self._program, self._raylet = directory, program, raylet
        self._raylet_started = started(raylet)
        self._stand_ins: list[subprocess.Popen[bytes]] = []
        """The newest last. The earlier ones end when those have their answers whom they are connected to."""
        self._since = 0.0
        self._closed_since: float | None = None
        """Since when the stand-in has neither manager nor replicas; None while it has."""
        self._tries = 0
        """Stand-ins started since HAProxy itself ran."""

    def look_after_haproxy(self) -> None:
        """Looks after HAProxy for as long as the raylet lives."""
        while started(self._raylet) == self._raylet_started and is_alive(self._raylet) and self._directory.is_dir():
            self._look()
            time.sleep(LOOK_S)
        for process in processes():
            if _is_haproxy(process, self._directory):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def _look(self) -> None:
        newest = self._stand_ins[-1] if self._stand_ins else None
        self._stand_ins = [process for process in self._stand_ins if process.poll() is None]  # and none is left a zombie
        process = noted(self._directory)
        if process is None:
            return
        if newest is not None and process == newest.pid:
            if newest.returncode is None and (time.monotonic() - self._since > STAND_IN_S or self._is_shut_down()):
                print(f"nobody takes over from process {newest.pid}, which ends", flush=True)
                newest.terminate()
                self._tries = TRIES
        elif is_alive(process):
            self._tries = 0
        if not is_alive(process) and self._tries < TRIES and not (self._directory.parent / STOPPING).exists():
            self._stand_in()

    def _is_shut_down(self) -> bool:
        """Whether there has been neither a manager nor a replica for `CLOSED_S`."""
        manager = noted(self._directory, _MANAGER)
        if (manager is not None and is_alive(manager)) or any(map(_accepts, servers(self._directory / _CONFIG))):
            self._closed_since = None
            return False
        self._closed_since = self._closed_since or time.monotonic()
        return time.monotonic() - self._closed_since > CLOSED_S

    def _stand_in(self) -> None:
        self._tries += 1
        try:
            config = (self._directory / _LAST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return  # nothing was served yet
        (self._directory / _CONFIG).write_text(stand_in(config, self._directory), encoding="utf-8")
        process = subprocess.Popen([self._program, "-db", "-f", str(self._directory / _CONFIG)])
        self._since, self._closed_since = time.monotonic(), None
        self._stand_ins.append(process)
        note(self._directory, process.pid)
        print(f"HAProxy died; process {process.pid} stands in for it", flush=True)


def stand_in(config: str, directory: Path) -> str:
    """HAProxy's configuration for a stand-in: an admin socket of its own, and servers that count as up."""
    config = re.sub(r"^(\s+stats socket )\S+", rf"\g<1>{directory / _SOCKET}", config, flags=re.MULTILINE)
    return re.sub(r"^\s+(load-server-state-from-file|server-state-\w+) .*\n", "", config, flags=re.MULTILINE)


def servers(config: Path) -> list[tuple[str, int]]:
    """Host and port of each replica in a configuration of HAProxy's."""
    lines = re.findall(r"^\s+server \S+ (\S+):(\d+)", config.read_text(encoding="utf-8"), re.MULTILINE)
    return [(host.strip("[]"), int(port)) for host, port in lines]


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, _CONNECT_S).close()
    except OSError:
        return False
    return True


def _is_haproxy(process: int, directory: Path) -> bool:
    return name_of(process) == "haproxy" and any(word.startswith(f"{directory}/") for word in command_of(process))


def _raylet() -> int:
    """The raylet that this process descends from; where there is none, the parent (as in tests)."""
    process = os.getppid()
    while process > 1:
        if name_of(process) == "raylet":
            return process
        process = parent(process)
    return os.getppid()
