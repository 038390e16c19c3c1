"""Vectors of recent texts: asking the same question again costs no encoder."""

from typing import NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from xlret.text.sides import Side

Key = tuple[str, Side, str]
"""Release, side, text."""
_OVERHEAD = 300
"""Bytes of an entry beside its vector and text: the key's tuple, headers of the objects, the dictionaries' own share."""


class _Entry(NamedTuple):
    vector_D: NDArray[np.float32]
    size: int
    """Bytes, the key's included."""


class VectorCache:
    """Keeps the vectors used last, up to a number of bytes.

    >>> cache = VectorCache(10_000)
    >>> cache.put(("r1", "query", "Wo ist Rom?"), np.zeros(4, np.float32))
    >>> cache.get(("r1", "query", "Wo ist Rom?")).shape, cache.get(("r2", "query", "Wo ist Rom?"))
    ((4,), None)
    """

    def __init__(self, most_bytes: int) -> None:
        self._entries: LRUCache[Key, _Entry] = LRUCache(most_bytes, getsizeof=lambda entry: entry.size)
        self.hits = 0
        self.misses = 0

    @property
    def bytes(self) -> int:
        """In use."""
        return int(self._entries.currsize)

    @property
    def vectors(self) -> int:
        """How many are here."""
        return len(self._entries)

    def get(self, key: Key) -> NDArray[np.float32] | None:
        """The vector [D], if it is here; not to be written to."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        return entry.vector_D

    def put(self, key: Key, vector_D: NDArray[np.float32]) -> None:
        """Keeps a vector; those that were not asked for the longest make room."""
        own_D = np.array(vector_D, np.float32)  # a row of a batch would keep the whole batch alive
        own_D.flags.writeable = False
        entry = _Entry(own_D, _OVERHEAD + own_D.nbytes + 4 * len(key[2]))
        if entry.size <= self._entries.maxsize:
            self._entries[key] = entry

    def drop(self, release: str) -> None:
        """Forgets a release's vectors."""
        for key in [key for key in self._entries if key[0] == release]:
            del self._entries[key]
