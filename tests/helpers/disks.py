"""A file system of a few megabytes, which runs full as a real disk does."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def disk_of(megabytes: int, directory: Path) -> Iterator[Path]:
    """Mounts one at a new directory; the test is skipped where this user may not."""
    directory.mkdir(parents=True)
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield directory
    for _ in range(50):
        if not subprocess.run(["umount", str(directory)], capture_output=True, check=False).returncode:
            return
        time.sleep(0.2)
