"""Stratified draws with closed-form counts: which item is draw n, and how often was it drawn before?

Draws come in cycles in which every item has exactly its share, in random order; so shares are met far more closely than by
independent draws, and the count of an item before any draw needs no walk through the draws.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from xlret.batches.permute import permute, subkeys
from xlret.shapes import IntArray

_BLOCK = 4096
_LONGEST = 1 << 17

V = TypeVar("V")


class Recent(Generic[V]):
    """The last few values of a function of one integer: what neighbouring steps share is computed once.

    Safe with threads (a race costs a second computation) and when the owner is copied to another process.
    """

    def __init__(self, compute: Callable[[int], V], keep: int) -> None:
        self._compute, self._keep = compute, keep
        self._values: dict[int, V] = {}

    def __call__(self, key: int) -> V:
        values = self._values
        if key not in values:
            newest = list(values.items())[-(self._keep - 1) :] if self._keep > 1 else []
            self._values = values = dict([*newest, (key, self._compute(key))])
        return values[key]

    def __reduce__(self) -> tuple[type, tuple[Callable[[int], V], int]]:
        return type(self), (self._compute, self._keep)


class _Block(NamedTuple):
    """Consecutive draws: the item of each, and how often it was drawn before."""

    items: IntArray
    serials: IntArray


class Cycle:
    """An endless sequence of items in which each stretch of `length` draws holds every item exactly `counts[item]` times.

    Equal weights give cycles of one draw an item. Others are rounded (largest remainder, at least 1 an item) to cycles of at
    least 64 draws an item, long enough for 8 draws of the rarest item but at most 131,072 (or 64 an item).

    Args:
        weights: one positive number an item.
        key: 64-bit key of the order of draws.

    >>> cycle = Cycle([1, 1, 1], key=5)
    >>> sorted(cycle.draw(n)[0] for n in range(300, 303)), cycle.draw(300)[1]
    ([0, 1, 2], 100)
    """

    def __init__(self, weights: Sequence[float], key: int) -> None:
        assert len(weights) > 0
        assert min(weights) > 0, weights
        self.shares = np.asarray(weights, dtype=np.float64) / float(sum(weights))
        self.counts = _counts(self.shares)
        self.length = int(self.counts.sum())
        self._key = key
        self._ends = np.cumsum(self.counts)
        self._cycles = -(-_BLOCK // self.length)  # in a block
        self._blocks = Recent(self._block, keep=3)

    def draw(self, n: int) -> tuple[int, int]:
        """The item of draw `n`, and how often it was drawn before draw `n`."""
        number, slot = divmod(n, self._cycles * self.length)
        block = self._blocks(number)
        return int(block.items[slot]), int(block.serials[slot])

    def draws(self, start: int, count: int) -> tuple[IntArray, IntArray]:
        """`draw` of `count` consecutive draws, as two arrays [count]."""
        size = self._cycles * self.length
        first, last = start // size, (start + count - 1) // size
        blocks = [self._blocks(number) for number in range(first, last + 1)]
        inside = slice(start - first * size, start - first * size + count)
        items, serials = (np.concatenate(arrays)[inside] for arrays in zip(*blocks, strict=True))
        return items, serials

    def _block(self, number: int) -> _Block:
        first = number * self._cycles
        keys = np.repeat(subkeys(self._key, np.arange(first, first + self._cycles)), self.length)
        slots = permute(np.tile(np.arange(self.length), self._cycles), self.length, keys)
        items = np.searchsorted(self._ends, slots, side="right")
        return _Block(items, first * self.counts[items] + occurrence(items))


def occurrence(values: IntArray) -> IntArray:
    """How often each value stands before its place in the array.

    >>> occurrence(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    before = np.arange(len(values)) - np.repeat(begins, np.diff(np.r_[begins, len(values)]))
    result = np.empty(len(values), dtype=np.int64)
    result[order] = before
    return result


def _counts(shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> IntArray:
    """Shares as whole numbers of one cycle's draws."""
    items = len(shares)
    if np.allclose(shares, shares[0], rtol=1e-9, atol=0):
        return np.ones(items, dtype=np.int64)
    length = max(64 * items, min(_LONGEST, int(np.ceil(8 / shares.min()))))
    counts = np.maximum(1, np.floor(shares * length)).astype(np.int64)
    missing = max(0, length - int(counts.sum()))
    counts[np.argsort(-(shares * length - counts), kind="stable")[:missing]] += 1
    return counts
