"""A set of group ordinals as a handful of ranges: what a batch plan draws from."""

from collections.abc import Iterable

import numpy as np

from xlret.shapes import IntArray


class GroupPool:
    """A sorted set of group ordinals kept as half-open ranges: random access and membership without an array of its members.

    Args:
        starts: first ordinal of each range, shape [R], at least 0.
        stops: one past the last ordinal of each range, shape [R]; range r ends where or before range r + 1 starts.
            Ranges that touch are joined and empty ones dropped, so equal sets have equal ranges.

    Raises:
        ValueError: the ranges are not increasing or not disjoint.

    >>> pool = GroupPool(np.array([0, 10]), np.array([3, 12]))
    >>> len(pool), pool.take(np.array([0, 2, 3])).tolist(), pool.rank_of(np.array([11, 5])).tolist()
    (5, [0, 2, 10], [4, -1])
    """

    __slots__ = ("_before", "starts", "stops")

    def __init__(self, starts: IntArray, stops: IntArray) -> None:
        starts, stops = np.asarray(starts, dtype=np.int64), np.asarray(stops, dtype=np.int64)
        if starts.ndim != 1 or starts.shape != stops.shape:
            raise ValueError(f"starts {starts.shape} and stops {stops.shape} must be two vectors of equal length")
        if (stops < starts).any() or (starts[1:] < stops[:-1]).any() or (starts.size and starts[0] < 0):
            raise ValueError("ranges must be increasing, disjoint and not negative")
        full = stops > starts
        starts, stops = starts[full], stops[full]
        joined = starts[1:] == stops[:-1]
        self.starts: IntArray = starts[np.concatenate([[True], ~joined])] if starts.size else starts
        self.stops: IntArray = stops[np.concatenate([~joined, [True]])] if starts.size else stops
        self._before: IntArray = np.concatenate([[0], np.cumsum(self.stops - self.starts)]).astype(np.int64)
        for array in (self.starts, self.stops, self._before):
            array.flags.writeable = False

    @classmethod
    def from_members(cls, groups: Iterable[int]) -> "GroupPool":
        """The pool of exactly these ordinals, given in any order; duplicates count once."""
        members = np.unique(np.fromiter(groups, dtype=np.int64))
        if not members.size:
            return cls.empty()
        breaks = np.flatnonzero(np.diff(members) > 1)
        return cls(members[np.concatenate([[0], breaks + 1])], members[np.concatenate([breaks, [-1]])] + 1)

    @classmethod
    def empty(cls) -> "GroupPool":
        """The pool without members."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return int(self._before[-1])

    def take(self, ranks: IntArray) -> IntArray:
        """The ordinals at these ranks (0 to len - 1, any order, any shape); O(log R) each.

        Raises:
            IndexError: a rank is negative or not below the length.
        """
        ranks = np.asarray(ranks, dtype=np.int64)
        if ranks.size and (ranks.min() < 0 or ranks.max() >= len(self)):
            raise IndexError(f"ranks {ranks.min()} to {ranks.max()} in a pool of {len(self)}")
        span = np.searchsorted(self._before, ranks, side="right") - 1
        return self.starts[span] + (ranks - self._before[span])

    def rank_of(self, groups: IntArray) -> IntArray:
        """The rank of each ordinal, -1 where it is not a member; the inverse of `take`, O(log R) each."""
        groups = np.asarray(groups, dtype=np.int64)
        if not len(self):
            return np.full(groups.shape, -1, dtype=np.int64)
        span = np.searchsorted(self.starts, groups, side="right") - 1
        inside = (span >= 0) & (groups < self.stops[span])
        return np.where(inside, self._before[span] + groups - self.starts[span], np.int64(-1))

    def __and__(self, other: "GroupPool") -> "GroupPool":
        """The members of both; O((R + R') log(R + R'))."""
        points = np.concatenate([self.stops, other.stops, self.starts, other.starts])
        change = np.repeat([-1, 1], [len(self.stops) + len(other.stops), len(self.starts) + len(other.starts)])
        order = np.argsort(points, kind="stable")  # stops come before starts at the same point
        points, in_both = points[order], np.flatnonzero(np.cumsum(change[order]) == 2)
        return GroupPool(points[in_both], points[in_both + 1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupPool):
            return NotImplemented
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.stops, other.stops)

    def __hash__(self) -> int:
        return hash((self.starts.tobytes(), self.stops.tobytes()))

    def __repr__(self) -> str:
        return f"GroupPool({len(self)} groups in {len(self.starts)} ranges)"
