"""Word vectors in the text form of word2vec, fastText and MUSE (`.vec`), read as a stream."""

import gzip
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from xlret.errors import DataError, UserError
from xlret.shapes import FloatMatrix
from xlret.text.case import fold

_READ_AT_ONCE = 8192


@dataclass(frozen=True)
class WordVectors:
    """Words, commonest first as in the file, and their vectors of length 1."""

    lang: str
    words: list[str]
    vectors_WD: FloatMatrix

    def __len__(self) -> int:
        return len(self.words)


def read_vectors(path: Path, lang: str, *, limit: int = 200_000, only: Collection[str] | None = None) -> WordVectors:
    """The first `limit` words of a file and their vectors, scaled to length 1.

    Lines are `word number number ...`; a first line `count dimension` is skipped where there is one. Words are folded
    (NFC, lower case); of equal ones the first counts. Vectors of zeros are left out. Holds `limit` x dimension float32.

    Args:
        path: `.vec` or `.vec.gz`.
        lang: BCP-47 code.
        limit: at most so many words.
        only: keep these folded words alone, such as a corpus's.

    Raises:
        UserError: `limit` is below 1, or the file cannot be read or has no vector.
        DataError: a row of another length than the first, or a value that is no finite number; names file and line.
    """
    if limit < 1:
        raise UserError(f"limit is {limit}; at least one word a file must be read")
    words: list[str] = []
    seen: set[str] = set()
    chunks: list[FloatMatrix] = []
    for number, fields in _rows(path):
        word = fold(fields[0], lang)
        if not word or word in seen or (only is not None and word not in only):
            continue
        vector = _vector(path, number, fields)
        length = float(np.linalg.norm(vector))
        if length == 0:
            continue
        if len(words) % _READ_AT_ONCE == 0:
            chunks.append(np.empty((min(_READ_AT_ONCE, limit - len(words)), len(vector)), np.float32))
        chunks[-1][len(words) % _READ_AT_ONCE] = vector / length
        seen.add(word)
        words.append(word)
        if len(words) == limit:
            break
    if not words:
        raise UserError(f"{path} holds no word vector{' of the words wanted' if only is not None else ''}")
    return WordVectors(lang, words, np.concatenate(chunks)[: len(words)])


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields (word, numbers ...), all rows of one length."""
    dimension = 0
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip(" \r\n").split(" ")
                if number == 1 and len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit():
                    continue
                if len(fields) < 3:
                    raise DataError(f"{path}:{number}: {line[:60]!r} must be a word and the numbers of its vector")
                dimension = dimension or len(fields) - 1
                if len(fields) - 1 != dimension:
                    raise DataError(f"{path}:{number}: {len(fields) - 1} numbers; the rows before have {dimension}")
                yield number, fields
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number + 1}: not UTF-8 ({error.reason}); convert the file to UTF-8") from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}:{number + 1}: the gzipped file is damaged or ends too early; fetch it again") from error
    except OSError as error:
        raise UserError(f"cannot read vectors {path}: {error.strerror or error}") from error


def _vector(path: Path, number: int, fields: list[str]) -> FloatMatrix:
    try:
        vector = np.array(fields[1:], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}:{number}: the vector of {fields[0][:40]!r} holds what is no number: {error}") from error
    if not np.isfinite(vector).all():
        raise DataError(f"{path}:{number}: the vector of {fields[0][:40]!r} holds NaN or infinity")
    return vector


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="\n")
    return open(path, encoding="utf-8", newline="\n")
