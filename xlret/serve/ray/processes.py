"""Processes of this machine as /proc shows them: whether one lives, which belong to a service, and ending those.

Everything that `xlret serve` starts inherits an environment variable with the service's own token, however it was started and
whoever its parent is by now: Ray's processes, replicas, HAProxy and what they start. That is how they are found again.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

TOKEN = "XLRET_SERVICE"
"""The environment variable."""
_KILL_S = 5.0
"""How long killed processes may take to be gone; the kernel may hold one that waits for a disk."""


def is_alive(process: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return _stat(process)[:1] not in ([], ["Z"], ["X"])


def started(process: int) -> str | None:
    """When a process started, in clock ticks since the machine did: with its id, which may be given again, it names the
    process. None if there is none."""
    fields = _stat(process)
    return fields[19] if len(fields) > 19 else None


def parent(process: int) -> int:
    """The parent's id; 0 if there is no such process."""
    fields = _stat(process)
    return int(fields[1]) if len(fields) > 1 else 0


def name_of(process: int) -> str:
    """The program's name, at most 15 characters; empty if there is no such process."""
    try:
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def command_of(process: int) -> list[str]:
    """The words that a process was started with; empty if it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def children(process: int) -> list[int]:
    """Processes whose parent it is."""
    return [other for other in processes() if parent(other) == process]


def members(token: str) -> list[int]:
    """The living processes of a service, except this one."""
    mark = f"{TOKEN}={token}".encode()
    return [
        process for process in processes() if process != os.getpid() and mark in _environment(process) and is_alive(process)
    ]


def end_members(token: str, grace_s: float) -> list[int]:
    """Ends a service's processes: waits for `grace_s` for them to end by themselves, then kills them.

    Returns:
        Those that it had to kill.
    """
    end = time.monotonic() + grace_s
    while members(token) and time.monotonic() < end:
        time.sleep(0.05)
    killed: list[int] = []
    end = time.monotonic() + _KILL_S
    while (remaining := members(token)) and time.monotonic() < end:  # again: one may have started another meanwhile
        for process in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                killed.append(process)
        time.sleep(0.02)
    return sorted(set(killed))


def processes() -> Iterator[int]:
    """The ids of all processes of this machine."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _environment(process: int) -> list[bytes]:
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or somebody else's
        return []


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (state, parent, ...); empty if there is no such process."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
