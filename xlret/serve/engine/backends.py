"""What the gateway calls: an encoder, groups of shards and a reranker, in this process or behind Ray."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from xlret.search.merge import ShardHits
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.hits import PassageRow
from xlret.text.sides import Side

Loaded_co = TypeVar("Loaded_co", covariant=True)


class Backend(Protocol[Loaded_co]):
    """What every backend does with releases. Several may be loaded; every call names the one that it is about."""

    async def load(self, release: str, path: str) -> Loaded_co:
        """Loads a release (its directory), beside the others. Does nothing if it is loaded; afterwards every replica serves it.

        Raises:
            UserError: the release cannot be used; names the file.
        """
        ...

    async def drop(self, release: str) -> None:
        """Frees a release; does nothing if it is not loaded."""
        ...


class EncoderBackend(Backend[object], Protocol):
    """Texts to unit vectors."""

    async def encode(self, release: str, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        """Unit vectors of N texts, [N, D]."""
        ...


class GroupHits(NamedTuple):
    """What a group of shards has for Q queries."""

    shards: Mapping[int, ShardHits]
    """By shard number."""
    passages: Sequence[Mapping[PassageRow, Passage]]
    """For each query passages of its hits, by where they are."""


class ShardBackend(Backend[Sequence[int]], Protocol):
    """One group of shards of an index; `load` returns their numbers.

    The gateway holds several groups; together they hold every shard once.
    """

    async def search(
        self, release: str, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions], along: Sequence[int]
    ) -> GroupHits:
        """The best hits of each of Q queries in each shard of the group.

        The passages of the best `along[q]` of query q's hits in the group come along, so that a short answer needs no
        second call; the gateway asks for any that do not.
        """
        ...

    async def passages(self, release: str, passage_rows: Sequence[PassageRow]) -> list[Passage]:
        """The passages of the rows, in their order."""
        ...

    async def damage(self, release: str) -> str | None:
        """What is wrong with the files of the group's shards, which are mapped: one was cut short, for example, and searches
        fail until it is whole again. None if all are as they were opened."""
        ...


class RerankerBackend(Backend[object], Protocol):
    """Pairs of texts to one logit each. A release without a reranker is fine: nothing is loaded of it."""

    async def score(self, release: str, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """The logits of N (query, passage) pairs, [N]."""
        ...


class Control(Protocol):
    """What the admin endpoints call: who decides which release is served."""

    async def swap(self, name: str) -> Mapping[str, Any]:
        """Serves another release of the same root, by its name or an alias; returns once new requests go to it.

        Raises:
            UserError: no such release, or it cannot be used. The old one serves on.
        """
        ...

    async def status(self) -> Mapping[str, Any]:
        """Which releases are loaded, which one is served, and what each replica reports."""
        ...
