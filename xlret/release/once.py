"""Verifying a release once on each machine for all processes of a service, instead of in each of them (1 s per GB each time).

A file that was read and found right is noted with what the system says of it: device, inode, size, and the times of its last
change of content (which a program can set) and of anything at all (which only the system sets). Another process of the
same service that finds the same there need not read it again. Anything else, such as another machine's disk, is read.
"""

import os
import secrets
import shutil
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from xlret.artifacts import FileEntry, locked
from xlret.keys import key_of
from xlret.release.verify import check_bytes

_STALE_S = 7 * 86_400
"""Notes of a service that was killed go after so long."""


@dataclass(frozen=True)
class VerifiedOnce:
    """The `check` of `verify_release` and `verify_files` for all processes of one service; it pickles to a few bytes.

    A new service verifies anew, and so does each machine of it. Notes are in a directory of the user's own in the temporary
    directory; where that cannot be had, every process reads for itself.

    Example:
        once = VerifiedOnce()
        verify_release(path, once)  # reads every byte
        verify_release(path, once)  # here or in another process of this machine: reads names, sizes and times
        once.forget()
    """

    service: str = field(default_factory=lambda: secrets.token_hex(16))

    def __call__(self, path: Path, entry: FileEntry) -> None:
        """Reads and compares a file, unless a process of the service has done so on this machine.

        Raises:
            CorruptError: as `check_bytes`.
        """
        directory = self._directory()
        if directory is None:
            check_bytes(path, entry)
            return
        note = directory / f"{key_of(str(path.resolve())):032x}"
        with locked(note.with_suffix(".lock")):  # others of the service wait for this one instead of reading the file too
            known = _stamp(path, entry)
            if known is not None and note.exists() and note.read_text(encoding="utf-8") == known:
                return
            check_bytes(path, entry)
            if known is not None and _stamp(path, entry) == known:  # nobody wrote to it meanwhile
                with suppress(OSError):
                    note.write_text(known, encoding="utf-8")

    def forget(self) -> None:
        """Removes this machine's notes, when the service has ended."""
        directory = _notes()
        if directory is not None:
            shutil.rmtree(directory / self.service, ignore_errors=True)

    def _directory(self) -> Path | None:
        directory = _notes()
        if directory is None:
            return None
        own = directory / self.service
        try:
            if not own.is_dir():
                _remove_stale(directory)
                own.mkdir(mode=0o700, exist_ok=True)
        except OSError:  # full, for example: it is only notes
            return None
        return own


def _stamp(path: Path, entry: FileEntry) -> str | None:
    """What the system says of a file; None where it is no plain file."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if path.is_symlink() or not path.is_file():
        return None
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return " ".join(map(str, (_machine(), status.st_dev, status.st_ino, status.st_size, *times, entry.sha256)))


@lru_cache(maxsize=1)
def _machine() -> str:
    """Another one for every machine, and for every time that it was started."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def _notes() -> Path | None:
    """The user's directory of notes, which nobody else may write to; None where there is none to be had."""
    directory = Path(tempfile.gettempdir()) / f"xlret-verified-{os.geteuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
        if directory.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            return None
    except OSError:
        return None
    return directory


def _remove_stale(directory: Path) -> None:
    for service in directory.iterdir():
        if time.time() - service.stat().st_mtime > _STALE_S:
            shutil.rmtree(service, ignore_errors=True)
