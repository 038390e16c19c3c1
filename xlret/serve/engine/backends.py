"""What the gateway calls: an encoder, groups of shards and a reranker, in this process or behind Ray."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xlret.search.merge import ShardHits
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.hits import Place
from xlret.text.sides import Side


class EncoderBackend(Protocol):
    """Texts to unit vectors, for every release that is loaded."""

    async def load(self, release: str, path: str) -> None:
        """Loads a release (its directory), beside the others. Does nothing if it is loaded; afterwards every replica serves it.

        Raises:
            UserError: the release cannot be used; names the file.
        """
        ...

    async def drop(self, release: str) -> None:
        """Frees a release; does nothing if it is not loaded."""
        ...

    async def encode(self, release: str, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        """Unit vectors of N texts, [N, D]."""
        ...


class GroupHits(NamedTuple):
    """What a group of shards found for Q queries."""

    shards: Mapping[int, ShardHits]
    """By shard number."""
    passages: Sequence[Mapping[Place, Passage]]
    """For each query passages of its hits, by their places."""


class ShardBackend(Protocol):
    """One group of shards of an index. The gateway holds several; together they hold every shard once."""

    async def load(self, release: str, path: str) -> Sequence[int]:
        """Loads this group's shards of a release; returns their numbers. As `EncoderBackend.load` otherwise."""
        ...

    async def drop(self, release: str) -> None:
        """Frees a release; does nothing if it is not loaded."""
        ...

    async def search(
        self, release: str, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions], along: Sequence[int]
    ) -> GroupHits:
        """The best hits of each of Q queries in each shard of the group.

        The passages of the best `along[q]` of query q's hits in the group come along, so that a short answer needs no
        second call; the gateway asks for any that do not.
        """
        ...

    async def passages(self, release: str, places: Sequence[tuple[int, int]]) -> list[Passage]:
        """The passages at (shard number, row), in the order of `places`."""
        ...


class RerankerBackend(Protocol):
    """Pairs of texts to one logit each."""

    async def load(self, release: str, path: str) -> None:
        """As `EncoderBackend.load`. A release without a reranker is fine: nothing is loaded of it."""
        ...

    async def drop(self, release: str) -> None:
        """Frees a release; does nothing if it is not loaded."""
        ...

    async def score(self, release: str, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """The logits of N (query, passage) pairs, [N]."""
        ...


class Control(Protocol):
    """What the admin endpoints call: who decides which release is served."""

    async def swap(self, name: str) -> Mapping[str, Any]:
        """Serves another release of the same root; returns once new requests go to it.

        Raises:
            UserError: no such release, or it cannot be used. The old one serves on.
        """
        ...

    async def status(self) -> Mapping[str, Any]:
        """Which releases are loaded, which one is served, and what each replica reports."""
        ...
