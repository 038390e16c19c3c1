"""The log of requests: a line of JSON for each, to a file that never grows without bound and to standard error."""

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import TextIO

from xlret.errors import UserError
from xlret.files import expand_path
from xlret.serve.record import RequestRecord, as_line
from xlret.serve.settings import LogSettings
from xlret.storage.url import is_url


class RequestLog:
    """An `Observer` that writes each request down.

    A line that cannot be written (a full disk) is lost, and standard error says so the first time: requests are answered all
    the same.

    Args:
        settings: where to.

    Raises:
        UserError: the file cannot be opened.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._file = None if settings.file is None else LineFile(settings.file, settings.file_bytes, settings.old_files)
        self._stderr = settings.stderr
        self._lost = 0

    def __call__(self, record: RequestRecord) -> None:
        """Writes one request down."""
        line = as_line(record)
        if self._stderr:
            _say(line)
        if self._file is not None:
            try:
                self._file.write(line)
            except OSError as error:
                self._lost += 1
                if self._lost == 1:
                    _say(f"the log of requests cannot be written: {error}; further lines that are lost are not mentioned")


class LineFile:
    """Lines at the end of a file that several processes write to. When it is full it is renamed, and a new one begun.

    Args:
        path: of the file; its directory is made.
        most_bytes: after which it is full.
        old_files: `path.1` (the youngest) to `path.N` are kept.

    Raises:
        UserError: it cannot be opened.
    """

    def __init__(self, path: Path, most_bytes: int, old_files: int) -> None:
        self._path = expand_path(path)
        if is_url(self._path):
            raise UserError(f"log.file is {self._path}; lines are appended to a file of this machine's, so give a local path")
        self._most_bytes, self._old_files = most_bytes, old_files
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._open()
        except OSError as error:
            raise UserError(f"cannot write the log of requests {self._path}: {error.strerror}; set log.file") from error

    def write(self, line: str) -> None:
        """Appends one line, in one call: lines of several processes do not mix.

        Raises:
            OSError: the disk is full, or the like.
        """
        if os.fstat(self._descriptor).st_size >= self._most_bytes or self._is_elsewhere():
            self._renew()
        os.write(self._descriptor, f"{line}\n".encode("ascii"))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _is_elsewhere(self) -> bool:
        """Whether another process (or logrotate) has renamed or removed the file."""
        try:
            return os.stat(self._path).st_ino != os.fstat(self._descriptor).st_ino
        except FileNotFoundError:
            return True

    def _renew(self) -> None:
        with open(self._path.with_name(self._path.name + ".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes one renames
            if not self._is_elsewhere():
                for number in range(self._old_files, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(self._old(number - 1), self._old(number))
                if not self._old_files:
                    os.unlink(self._path)
            fresh = self._open()
        os.close(self._descriptor)
        self._descriptor = fresh

    def _old(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")


def _say(line: str, stream: TextIO | None = None) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error was closed
        print(line, file=stream or sys.stderr, flush=True)
