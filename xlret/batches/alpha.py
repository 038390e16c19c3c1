"""Which steps are monolingual: the alpha schedule, its running sum, and stratified draws from it."""

from fractions import Fraction
from itertools import accumulate, pairwise
from math import cos, pi

import numpy as np

from xlret.batches.permute import permute, subkeys
from xlret.batches.settings import AlphaSchedule
from xlret.batches.stratify import Recent

WINDOW = 64
"""Steps over which the number of monolingual ones is kept to its expectation, unless fewer are asked for."""

_UNIT = 1 << 40
_COSINE_PIECES = 256


class Alpha:
    """Alpha over the steps as straight pieces, with its sum in closed form and exact.

    A cosine is followed by 256 straight pieces, which miss it by less than 0.00001.

    >>> alpha = Alpha(AlphaSchedule(shape="linear", start=1, end=0, steps=100))
    >>> float(alpha.sum(50)), float(alpha.sum(100)), float(alpha.sum(10**12))
    (37.5, 50.0, 50.0)
    """

    def __init__(self, schedule: float | AlphaSchedule) -> None:
        if not isinstance(schedule, AlphaSchedule):
            self._steps, self._values = 0, [Fraction(str(float(schedule)))]
        else:
            start, end = Fraction(str(schedule.start)), Fraction(str(schedule.end))
            pieces = 1 if schedule.shape == "linear" else _COSINE_PIECES
            parts = [Fraction(k, pieces) if pieces == 1 else _cosine(k / pieces) for k in range(pieces + 1)]
            self._steps, self._values = schedule.steps, [start + (end - start) * part for part in parts]
        self.highest, self.lowest = float(max(self._values)), float(min(self._values))
        self._width = Fraction(self._steps, max(1, len(self._values) - 1))
        areas = [self._width * (left + right) / 2 for left, right in pairwise(self._values)]
        self._sums = list(accumulate(areas, initial=Fraction(0)))

    def sum(self, t: int) -> Fraction:
        """The sum of alpha over the steps before `t`: the monolingual steps to expect."""
        if t >= self._steps:
            return self._sums[-1] + (t - self._steps) * self._values[-1]
        piece = int(t / self._width)
        left, right = self._values[piece], self._values[piece + 1]
        into = t - piece * self._width
        return self._sums[piece] + into * (left + (right - left) * into / self._width / 2)


class Kinds:
    """Says of each step whether it is monolingual, and how many of its kind came before.

    Systematic sampling, in random order within each window: by default step t is monolingual with probability exactly alpha(t)
    over keys, and the number of monolingual steps before each multiple of 64 is its expectation rounded up or down.

    Args:
        alpha: the schedule.
        key: 64-bit key of the draws.
        window: steps that are drawn together.
        offset: what is added to the expected number before it is rounded down, 0 to 1. None: drawn by the key. One half: each
            window's number is the same for all keys, that of the rounded expectations before its end and before its start.

    >>> kinds = Kinds(Alpha(0.3), key=5, window=10, offset=0.5)
    >>> [sum(kinds.at(t)[0] for t in range(start, start + 10)) for start in range(0, 40, 10)]
    [3, 3, 3, 3]
    """

    def __init__(self, alpha: Alpha, key: int, window: int = WINDOW, offset: float | None = None) -> None:
        self._alpha, self._key, self._length = alpha, key, window
        self._offset = int(subkeys(key, 0)[0]) % _UNIT if offset is None else int(offset * _UNIT)
        self._windows = Recent(self._window, keep=2)

    def at(self, t: int) -> tuple[bool, int]:
        """Whether step `t` is monolingual, and the number of steps of the same kind before it."""
        number, turn = divmod(t, self._length)
        flags, before = self._windows(number)
        return flags[turn], before[turn] if flags[turn] else t - before[turn]

    def _window(self, number: int) -> tuple[list[bool], list[int]]:
        """For each step of a window: whether it is monolingual, and how many monolingual steps came before it."""
        start = number * self._length
        sums = [int(self._alpha.sum(t) * _UNIT) for t in range(start, start + self._length + 1)]
        order = permute(np.arange(self._length), self._length, subkeys(self._key, number + 1)).tolist()
        flags = [False] * self._length
        level = sums[0] + self._offset
        for turn in order:
            higher = level + sums[turn + 1] - sums[turn]
            flags[turn] = higher // _UNIT > level // _UNIT
            level = higher
        earlier = (sums[0] + self._offset) // _UNIT
        return flags, list(accumulate(flags[:-1], initial=earlier))


def _cosine(part: float) -> Fraction:
    """The risen share of a half cosine, from 0 at 0 to 1 at 1."""
    return Fraction(round((1 - cos(pi * part)) / 2 * _UNIT), _UNIT)
