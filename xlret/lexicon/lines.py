"""Lines of a text file with their numbers, of which some may not be UTF-8."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from xlret.errors import DataError, UserError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP = b"\x1f\x8b"


def utf8_lines(path: Path, kind: str) -> Iterator[tuple[int, str | None]]:
    """Numbers from 1 and texts of the lines of a plain or gzipped file; None for a line that is not UTF-8.

    Only a line feed ends a line. What begins as gzip is read as gzip, whatever its name is.

    Args:
        path: any file.
        kind: what it is to the user, for messages: `lexicon`, `vectors`.

    Raises:
        UserError: it cannot be read, or is UTF-16.
        DataError: the gzipped file is damaged.
    """
    number = 0
    try:
        with open(path, "rb") as plain:
            start = plain.peek(2)[:2]
        if start in _UTF_16:
            raise UserError(f"{path} is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)")
        with gzip.open(path) if start == _GZIP or path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError:
                    yield number, None
                    continue
                yield number, text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}:{number + 1}: the gzipped file is damaged or ends too early; fetch it again") from error
    except OSError as error:
        raise UserError(f"cannot read {kind} {path}: {error.strerror or error}") from error
