"""A user's file as a stream of UTF-8 bytes, whatever it is packed and encoded in; what cannot be read is named in one line."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from xlret.errors import DataError, UserError
from xlret.files import local

GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"PAR1": "a Parquet file; call it .parquet",
    b"PK\x03\x04": "a zip archive, such as an Excel workbook; unpack it, or save it as CSV",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it first",
    b"BZh": "packed with bzip2; unpack it first",
    b"\xfd7zXZ\x00": "packed with xz; unpack it first",
    b"ARROW1": "an Arrow IPC file; convert it to Parquet",
    b"\xff\xfe\x00\x00": "encoded in UTF-32; save it as UTF-8",
    b"\x00\x00\xfe\xff": "encoded in UTF-32; save it as UTF-8",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; fetch it with git lfs pull",
}
"""How files begin that are no text -> what they are, and what to do."""
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a text file: unpacked where they are gzip, whatever the file is called, and from UTF-16 (by its byte order
    mark) brought to UTF-8.

    Raises:
        DataError: the file is none that can be read as text (Parquet, zip, UTF-16 without a mark, ...).
        UserError: it cannot be opened.
    """
    with raw(path) as file:
        with reading(f"{path}:1"):
            packed = path.suffix.lower() == ".gz" or file.peek(2)[:2] == GZIP
        unpacked = io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file
        with reading(f"{path}:1"):
            head = unpacked.peek(64)[:64]
        for start, kind in _FOREIGN.items():
            if head.startswith(start):
                raise DataError(f"{path}: this is {kind}")
        encoding = next((name for mark, name in _UTF_16.items() if head.startswith(mark)), None)
        if encoding is None and 4 * head.count(0) > len(head):
            raise DataError(f"{path}: this looks like UTF-16 without a byte order mark; save it as UTF-8")
        text = cast(BinaryIO, unpacked)
        yield cast(BinaryIO, io.BufferedReader(_Recoded(text, encoding))) if encoding else text


def is_plain_utf_8(path: Path) -> bool:
    """Whether the bytes of a file are those of its text: not packed, and no other encoding by its first bytes.

    Raises:
        UserError: it cannot be opened.
    """
    with raw(path) as file, reading(f"{path}:1"):
        head = file.peek(64)[:64]
    return not head.startswith((GZIP, *_FOREIGN, *_UTF_16)) and 4 * head.count(0) <= len(head)


@contextmanager
def raw(path: Path) -> Iterator[io.BufferedReader]:
    """The bytes of a file as they are.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        file = open(local(path), "rb")  # noqa: SIM115  closed below
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    with file:
        yield file


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turns what the system and gzip say while a file is read into one line that says where.

    Raises:
        DataError: the file is damaged.
        UserError: it cannot be read on.
    """
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{where}: the gzip file is damaged or cut short ({error}); fetch it again") from error
    except UnicodeError as error:
        raise DataError(f"{where}: not UTF-16, as its first bytes say: {error}; save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"{where}: cannot read on: {error.strerror or error}") from error


class _Recoded(io.RawIOBase):
    """A stream of UTF-16 as UTF-8."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._decoder = file, codecs.getincrementaldecoder(encoding)()
        self._bytes = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills a buffer, as RawIOBase says; 0 at the end."""
        while not self._bytes:
            chunk = self._file.read(1 << 16)
            self._bytes = self._decoder.decode(chunk, final=not chunk).encode()
            if not chunk and not self._bytes:
                return 0
        count = min(len(buffer), len(self._bytes))
        buffer[:count], self._bytes = self._bytes[:count], self._bytes[count:]
        return count
