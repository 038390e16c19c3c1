"""Watching files that are mapped into memory: reading beyond the end of one that was cut short kills the process (SIGBUS)."""

import hashlib
import os
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path

from xlret.artifacts import FileEntry

_BLOCK = 1 << 20


class MappedFileError(RuntimeError):
    """A file that a search reads was written to since it was opened. It may be whole again later."""


class MappedFiles:
    """Files that are mapped and must stay as they were when they were opened.

    `check` compares size and time of change, which takes about a microsecond a file, so that it can be called before every
    search. A file that was written to is refused; when it has its size again, it is read whole in a thread, once for each
    change, and is accepted if its checksum is right. (Files are watched by their descriptors: a file of the same name that was
    put in the place of one is another file, and the mapped one is still what it was.)

    Args:
        directory: where the files are.
        files: name and entry of each, which were compared before.
    """

    def __init__(self, directory: Path, files: Iterable[tuple[str, FileEntry]]) -> None:
        self._files = [_Watched(Path(directory) / name, entry) for name, entry in files]

    def check(self) -> None:
        """Checks that nobody wrote to the files.

        Raises:
            MappedFileError: somebody did; the message names the file.
        """
        for file in self._files:
            file.check()


class _Watched:
    def __init__(self, path: Path, entry: FileEntry) -> None:
        self._path, self._entry = path, entry
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._known = self._state()
        self._wrong: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._reading = False

    def check(self) -> None:
        state = self._state()
        if state == self._known:
            return
        size, wanted = state[0], self._entry.size
        if size != wanted:
            raise MappedFileError(f"{self._path} was cut short or grew while in use: {size:,} bytes, not {wanted:,}")
        if state != self._wrong:
            self._read_again()
        raise MappedFileError(f"{self._path} was written to while in use, and its content was not found right again")

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def _read_again(self) -> None:
        with self._lock:
            if self._reading:
                return
            self._reading = True
        threading.Thread(target=self._compare, name=f"verify {self._path.name}", daemon=True).start()

    def _compare(self) -> None:
        try:
            before = self._state()
            if self._digest() == self._entry.sha256:
                self._known = before  # written to since then, it is another state and refused
            else:
                self._wrong = before
        finally:
            self._reading = False

    def _digest(self) -> str:
        digest, position = hashlib.sha256(), 0
        while block := os.pread(self._descriptor, _BLOCK, position):
            digest.update(block)
            position += len(block)
        return digest.hexdigest()
