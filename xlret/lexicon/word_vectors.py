"""Word vectors in the text form of word2vec, fastText and MUSE (`.vec`), read as a stream."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from xlret.errors import DataError, UserError
from xlret.lexicon.lines import utf8_lines
from xlret.shapes import FloatMatrix
from xlret.text.case import fold

_READ_AT_ONCE = 8192
_FIRST_ROWS = 100


@dataclass(frozen=True)
class WordVectors:
    """Words, commonest first as in the file, and their vectors of length 1."""

    lang: str
    words: list[str]
    vectors_WD: FloatMatrix
    skipped: int = 0
    """Lines of the file that were left out since they are not UTF-8 (word2vec cuts some words within a character)."""

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
        DataError: a row with too few numbers, or a value that is no finite number; names file and line.
    """
    if limit < 1:
        raise UserError(f"limit is {limit}; at least one word a file must be read")
    words: list[str] = []
    seen: set[str] = set()
    chunks: list[FloatMatrix] = []
    rows = _Rows(path)
    for number, written, numbers in rows:
        word = fold(written, lang)
        if not word or word in seen or (only is not None and word not in only):
            continue
        vector = _vector(path, number, written, numbers)
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
        wanted = " of the words wanted" if only is not None else ""
        raise UserError(f"{path} holds no word vector{wanted}{f'; {rows.skipped} lines are not UTF-8' if rows.skipped else ''}")
    return WordVectors(lang, words, np.concatenate(chunks)[: len(words)], rows.skipped)


class _Rows:
    """Line number, word and numbers of each row, all of one length; counts the rows that are not UTF-8, which are left out.

    A word may hold spaces (GloVe's `. . .`): the numbers are counted from the right. How many there are, the first line
    `count dimension` says, or most of the first rows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped = 0

    def __iter__(self) -> Iterator[tuple[int, str, list[str]]]:
        lines = self._lines()
        first = list(islice(lines, _FIRST_ROWS))
        dimension = 0
        if first and len(header := first[0][1].split()) == 2 and all(field.isdigit() for field in header):
            dimension = int(header[1])
            del first[0]
        if not dimension and first:
            dimension = Counter(line.count(" ") for _, line in first).most_common(1)[0][0]
        for number, line in chain(first, lines):
            word, *numbers = line.rsplit(" ", dimension)
            if len(numbers) < max(dimension, 2) or not word:
                expected = f"a word and the {dimension} numbers" if dimension >= 2 else "a word and the numbers"
                raise DataError(f"{self._path}:{number}: {line[:60]!r} must be {expected} of its vector")
            if _is_number(word.rpartition(" ")[2]) and " " in word:
                raise DataError(f"{self._path}:{number}: {line.count(' ')} numbers; the rows have {dimension}")
            yield number, word, numbers

    def _lines(self) -> Iterator[tuple[int, str]]:
        for number, line in utf8_lines(self._path, "vectors"):
            if line is None:
                self.skipped += 1
            else:
                yield number, line.rstrip(" \t\r\n").removeprefix("\ufeff").replace("\t", " ")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _vector(path: Path, number: int, word: str, numbers: list[str]) -> FloatMatrix:
    try:
        vector = np.array(numbers, dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}:{number}: the vector of {word[:40]!r} holds what is no number: {error}") from error
    if not np.isfinite(vector).all():
        raise DataError(f"{path}:{number}: the vector of {word[:40]!r} holds NaN or infinity")
    return vector
