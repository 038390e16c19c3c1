"""Vectors of recent texts: asking the same question again costs no encoder."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from xlret.text.sides import Side

Key = tuple[str, Side, str]
"""Release, side, text."""
_OVERHEAD = 300
"""Bytes of an entry beside its vector and text: the key's tuple, headers of the objects, the dictionary's own share."""


class VectorCache:
    """Keeps the vectors used last, up to a number of bytes.

    >>> cache = VectorCache(10_000)
    >>> cache.put(("r1", "query", "Wo ist Rom?"), np.zeros(4, np.float32))
    >>> cache.get(("r1", "query", "Wo ist Rom?")).shape, cache.get(("r2", "query", "Wo ist Rom?"))
    ((4,), None)
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Key, NDArray[np.float32]] = OrderedDict()
        self.bytes = 0
        """In use."""
        self.hits = 0
        self.misses = 0

    @property
    def vectors(self) -> int:
        """How many are here."""
        return len(self._kept)

    def get(self, key: Key) -> NDArray[np.float32] | None:
        """The vector [D], if it is here; not to be written to."""
        found = self._kept.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end(key)
        return found

    def put(self, key: Key, vector_D: NDArray[np.float32]) -> None:
        """Keeps a vector; those that were not asked for the longest make room."""
        size = _size(key, vector_D)
        if size > self._most:
            return
        old = self._kept.pop(key, None)
        if old is not None:
            self.bytes -= _size(key, old)
        own = np.array(vector_D, np.float32)  # a row of a batch would keep the whole batch alive
        own.flags.writeable = False
        self._kept[key] = own
        self.bytes += size
        while self.bytes > self._most:
            gone, vector = self._kept.popitem(last=False)
            self.bytes -= _size(gone, vector)

    def drop(self, release: str) -> None:
        """Forgets a release's vectors."""
        for key in [key for key in self._kept if key[0] == release]:
            self.bytes -= _size(key, self._kept.pop(key))


def _size(key: Key, vector_D: NDArray[np.float32]) -> int:
    return _OVERHEAD + vector_D.nbytes + 4 * len(key[2])
