"""The gateway's backends as Ray Serve deployments: each call goes to one of the deployment's replicas."""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from xlret.errors import user_error_in
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.backends import GroupHits
from xlret.serve.ray.control import ReplicaReport, ServingPlan
from xlret.text.sides import Side

_FIRST_CALL_S = 20.0

T = TypeVar("T")


class RemoteBackend:
    """What the remote backends share. The control has had every replica load a release before the gateway asks for it.

    Args:
        handle: of the deployment (`ray.serve.handle.DeploymentHandle`).
        used: releases that this ingress may send requests to; `load` adds one, `drop` takes it away.
    """

    def __init__(self, handle: Any, used: set[str]) -> None:
        self._handle = handle
        self._used = used

    async def drop(self, release: str) -> None:
        """See `EncoderBackend.drop`."""
        self._used.discard(release)


class RemoteEncoder(RemoteBackend):
    """An `EncoderBackend`."""

    async def load(self, release: str, path: str) -> None:
        """See `EncoderBackend.load`."""
        self._used.add(release)
        # The first call opens the connection to a replica, which may take longer than a search is given. An encoder that does
        # not answer is no reason to refuse a release: searches will say so themselves.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_FIRST_CALL_S):
                await self.encode(release, ["warm up"], "query")

    async def encode(self, release: str, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        """See `EncoderBackend.encode`."""
        return await answer(self._handle.encode.remote(release, list(texts), side))


class RemoteShards(RemoteBackend):
    """A `ShardBackend`: one group of shards."""

    async def load(self, release: str, path: str) -> Sequence[int]:
        """See `ShardBackend.load`."""
        self._used.add(release)
        return await answer(self._handle.numbers.remote(release))

    async def search(
        self, release: str, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions], along: Sequence[int]
    ) -> GroupHits:
        """See `ShardBackend.search`."""
        return await answer(self._handle.search.remote(release, vectors_QD, list(options), list(along)))

    async def passages(self, release: str, passage_rows: Sequence[tuple[int, int]]) -> list[Passage]:
        """See `ShardBackend.passages`."""
        return await answer(self._handle.passages.remote(release, list(passage_rows)))

    async def damage(self, release: str) -> str | None:
        """See `ShardBackend.damage`."""
        return await answer(self._handle.damage.remote(release))


class RemoteReranker(RemoteBackend):
    """A `RerankerBackend`."""

    async def load(self, release: str, path: str) -> None:
        """See `RerankerBackend.load`."""
        self._used.add(release)

    async def score(self, release: str, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """See `RerankerBackend.score`."""
        return await answer(self._handle.score.remote(release, list(pairs)))


class RemoteControl:
    """The control's deployment: a `backends.Control` for the admin endpoints, a `follow.Link` for replicas.

    Args:
        handle: of the deployment.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def swap(self, name: str) -> Mapping[str, Any]:
        """See `Control.swap`."""
        return await answer(self._handle.swap.remote(name))

    async def status(self) -> Mapping[str, Any]:
        """See `Control.status`."""
        return await answer(self._handle.status.remote())

    async def first(self) -> ServingPlan:
        """See `Releases.first`."""
        return await answer(self._handle.first.remote())

    async def tell(self, report: ReplicaReport) -> ServingPlan:
        """See `Releases.tell`."""
        return await answer(self._handle.tell.remote(report))

    async def follow(self, report: ReplicaReport, wait_s: float) -> ServingPlan:
        """See `Releases.follow`."""
        return await answer(self._handle.follow.remote(report, wait_s))

    async def drain(self, wait_s: float) -> int:
        """See `Releases.drain`."""
        return await answer(self._handle.drain.remote(wait_s))


async def answer(response: Awaitable[T]) -> T:
    """What a replica answered. A `UserError` comes out as itself, without Ray's wrapping and the replica's traceback."""
    try:
        return await response
    except Exception as error:
        known = user_error_in(error)
        if known is not None:
            raise type(known)(str(known).rsplit("UserError: ")[-1]) from None
        raise
