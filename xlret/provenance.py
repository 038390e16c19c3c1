"""Where a result came from: commit, versions, hardware and data, as everything that xlret writes says it."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol


class Fingerprinted(Protocol):
    """A prepared data set that can be told from every other."""

    @property
    def path(self) -> Path: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def n_groups(self) -> int: ...


def commit() -> str | None:
    """The commit of the working tree that xlret runs from, with `-dirty` where files differ; None for an installed xlret."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip() or None


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The version of Python, as `python`, and of each of these installed packages.

    >>> sorted(versions(["numpy"]))
    ['numpy', 'python']
    """
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def hardware() -> dict[str, Any]:
    """The machine and its system, the number of CPUs, the GPU's name or None."""
    import torch  # a second to import: not for those who ask for versions alone

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"machine": platform.platform(), "cpus": os.cpu_count(), "gpu": gpu}


def process_started() -> float | None:
    """When this process was started, in seconds since 1970; None where the system does not tell (Linux does, proc(5))."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    ticks_after_boot = int(fields[19])  # the 22nd of all, the 20th after the name
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks_after_boot / os.sysconf("SC_CLK_TCK"))


def data_fingerprints(corpora: Iterable[Fingerprinted]) -> list[dict[str, Any]]:
    """Path, fingerprint and size of each corpus."""
    return [{"path": str(corpus.path), "fingerprint": corpus.fingerprint, "groups": corpus.n_groups} for corpus in corpora]
