"""Which texts of a long stream came before: 24 bytes of memory a text, whatever its length."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class _Run(NamedTuple):
    """Texts in the order of the first half of their 128-bit hashes."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    number: Numbers

    def take(self, rows: NDArray[np.bool_] | Numbers) -> "_Run":
        return _Run(self.high[rows], self.low[rows], self.number[rows])


class FirstSeen:
    """The number of each text of a stream where it stood first.

    Texts are told apart by 128-bit hashes (two of a billion texts agree by chance with a probability of about 1e-21),
    kept in sorted runs that are merged as they grow, so that a text costs a few microseconds.

    >>> seen = FirstSeen()
    >>> seen.add(["a", "b", "a"], [10, 11, 12]).tolist(), seen.add(["c", "b"], [13, 14]).tolist()
    ([10, 11, 10], [13, 11])
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def add(self, texts: Sequence[str], numbers: Sequence[int]) -> Numbers:
        """For each text the number of the first that was equal: its own, if it is new. Many at once are cheaper.

        Args:
            texts: N texts.
            numbers: N numbers that say where they stand.
        """
        return self.add_hashes(hashes_of(texts), numbers)

    def add_hashes(self, hashes_N2: NDArray[np.uint64], numbers: Sequence[int] | Numbers) -> Numbers:
        """`add` for texts of which there are only `hashes_of` them."""
        order = np.lexsort((hashes_N2[:, 1], hashes_N2[:, 0]))  # stable: of equal texts the first comes first
        batch = _Run(hashes_N2[order, 0], hashes_N2[order, 1], np.asarray(numbers, np.int64)[order])
        first = np.ones(len(order), np.bool_)
        first[1:] = (batch.high[1:] != batch.high[:-1]) | (batch.low[1:] != batch.low[:-1])
        number = batch.number[first][np.cumsum(first) - 1] if len(order) else batch.number
        fresh = first.copy()
        for run in self._runs:
            position = _find(run, batch)
            number = np.where(position >= 0, run.number[position], number)
            fresh &= position < 0
        self._add_run(batch.take(fresh))
        result = np.empty_like(number)
        result[order] = number
        return result

    def _add_run(self, run: _Run) -> None:
        """Adds a run, merged with those that are not much longer: there are never more than a few."""
        while self._runs and len(self._runs[-1].high) < 4 * len(run.high):
            old = self._runs.pop()
            high = np.concatenate([old.high, run.high])
            joined = _Run(high, np.concatenate([old.low, run.low]), np.concatenate([old.number, run.number]))
            run = joined.take(np.argsort(high, kind="stable"))
        if len(run.high):
            self._runs.append(run)


def hashes_of(texts: Sequence[str]) -> NDArray[np.uint64]:
    """128 bits of each text, [N, 2], the same on every machine."""
    digests = b"".join(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64)


def _find(run: _Run, wanted: _Run) -> Numbers:
    """Where in `run` each wanted hash stands; -1 where it does not."""
    last = len(run.high) - 1
    at = np.searchsorted(run.high, wanted.high)
    position = np.full(len(at), -1, np.int64)
    while True:  # again only where different texts agree in the first half
        inside = np.minimum(at, last)
        same = (at <= last) & (run.high[inside] == wanted.high)
        hit = same & (run.low[inside] == wanted.low)
        position[hit] = inside[hit]
        if not (same & ~hit).any():
            return position
        at = np.where(same & ~hit, at + 1, last + 1)
