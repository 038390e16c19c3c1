"""Which corpus and which pools the k-th batch of a kind takes, so that language pairs come as often as they should.

Over several corpora the pair is drawn first and then the corpus among those that have it: a language is as frequent in training
as `language_tau` says, whether one corpus has it or ten (Elmahdy, Lin and Ahmad, arXiv 2408.10536, draw languages uniformly).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from xlret.batches.stratify import Cycle
from xlret.batches.usable import UsablePools
from xlret.batches.walk import Batch, ExampleWalk, Pair, Pools, PoolWalk
from xlret.keys import key_of

_KEY_BITS = (1 << 64) - 1
Key = tuple[int | str, ...]


class Drawn(NamedTuple):
    """The batch of one step: which entry of `usable` it comes from, and its rows."""

    position: int
    batch: Batch


class Draws(Protocol):
    """All batches of one kind: batch `k` is a pure function of `k`."""

    usable: Sequence[UsablePools]

    def batch(self, k: int) -> Drawn: ...


class PoolDraws:
    """Batches that come from one pool as a whole: the pair is drawn, then the corpus among those that have it, then groups.

    Pairs come in cycles in which each has exactly its share; so do the corpora of each pair.

    Args:
        usable: what to draw from.
        size: rows of a batch.
        key: anything that names these draws; other keys give other orders.
    """

    def __init__(self, usable: Sequence[UsablePools], size: int, key: Key) -> None:
        self.usable = usable
        self._walks = [PoolWalk(_pools(corpus_pools, key), size) for corpus_pools in usable]
        homes: dict[Pair, list[tuple[int, int]]] = {}
        for position, corpus_pools in enumerate(usable):
            for number, pair in enumerate(corpus_pools.pairs):
                homes.setdefault(pair, []).append((position, number))
        self._homes = [homes[pair] for pair in sorted(homes)]
        weights = [[float(usable[position].shares[number]) for position, number in home] for home in self._homes]
        self._pairs = Cycle([sum(shares) for shares in weights], _key(key, "pairs"))
        self._corpora = [
            Cycle(shares, _key(key, "corpora", *pair)) for pair, shares in zip(sorted(homes), weights, strict=True)
        ]

    def batch(self, k: int) -> Drawn:
        """The k-th batch of this kind."""
        pair, turn = self._pairs.draw(k)
        home, use = self._corpora[pair].draw(turn)
        position, number = self._homes[pair][home]
        return Drawn(position, self._walks[position].batch(number, use))


class RowDraws:
    """Batches in which each row draws its own pair, all rows from one corpus.

    The corpus of a batch is drawn with the share that it has of all rows, and each row's pair with the share that the pair has
    within the corpus: over all batches the same frequencies as drawing each row's pair first and then its corpus.
    """

    def __init__(self, usable: Sequence[UsablePools], size: int, key: Key) -> None:
        self.usable = usable
        self._walks = [
            ExampleWalk(_pools(corpus_pools, key), corpus_pools.shares.tolist(), size, (*key, corpus_pools.corpus))
            for corpus_pools in usable
        ]
        self._corpora = Cycle([float(np.sum(corpus_pools.shares)) for corpus_pools in usable], _key(key, "corpora"))

    def batch(self, k: int) -> Drawn:
        """The k-th batch of this kind."""
        position, turn = self._corpora.draw(k)
        return Drawn(position, self._walks[position].batch(turn))


def _pools(corpus_pools: UsablePools, key: Key) -> Pools:
    return Pools(corpus_pools.pairs, corpus_pools.pools, (*key, corpus_pools.corpus))


def _key(key: Key, *parts: str) -> int:
    return key_of(*key, *parts) & _KEY_BITS
