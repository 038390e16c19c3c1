"""Backends in this process: threads that hold the models and shards. Ray's replicas are thin shells around the same."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.release.record import ENCODER, INDEX, RERANKER, checked_name
from xlret.search.manifest import check_file, read_manifest
from xlret.search.merge import ShardHits, merge
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.backends import GroupHits
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.hits import Place
from xlret.serve.settings import ServeSettings
from xlret.text.sides import Side

if TYPE_CHECKING:  # a shard's process does without torch, the encoder's without FAISS
    from xlret.model.encoder import Encoder
    from xlret.model.reranker import Reranker
    from xlret.search.shard import Shard

T = TypeVar("T")
R = TypeVar("R")


class _Loaded(Generic[T]):
    """What is loaded, by release; several may ask for the same one at the same time."""

    def __init__(self, read: Callable[[Path], T], threads: int, name: str) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-load")  # loading must not hold up calls
        self._read = read
        self._found: dict[str, asyncio.Future[T]] = {}

    async def load(self, release: str, path: str) -> T:
        if release not in self._found:
            loop = asyncio.get_running_loop()
            self._found[release] = asyncio.ensure_future(loop.run_in_executor(self._reader, self._read, Path(path)))
        future = self._found[release]
        try:
            return await asyncio.shield(future)
        except Exception:
            if self._found.get(release) is future:
                del self._found[release]
            raise

    def drop(self, release: str) -> None:
        self._found.pop(release, None)

    def get(self, release: str) -> T:
        future = self._found.get(release)
        if future is None or not future.done():
            raise LookupError(f"release {release} is not loaded here")
        return future.result()

    async def run(self, call: Callable[[], R], pool: ThreadPoolExecutor | None = None) -> R:
        return await asyncio.get_running_loop().run_in_executor(pool or self.pool, call)


class LocalEncoder:
    """An `EncoderBackend`.

    Args:
        settings: precision, tokens per batch and threads.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._loaded: _Loaded[Encoder] = _Loaded(self._read, settings.batch.encoder_calls, "encoder")
        # Passages and highlights have their own threads: long texts, or ones whose caller has left, keep no question waiting.
        self._long = ThreadPoolExecutor(2, thread_name_prefix="encoder-long")

    def _read(self, path: Path) -> "Encoder":
        import torch

        from xlret.model.encoder import Encoder

        torch.set_num_threads(self._settings.encoder_threads)
        encoder = Encoder.load(path / ENCODER, _device())
        encoder.encode(["warm up: the first call is the slowest"], "query")
        return encoder

    async def load(self, release: str, path: str) -> None:
        """See `EncoderBackend.load`."""
        await self._loaded.load(release, path)

    async def drop(self, release: str) -> None:
        """See `EncoderBackend.drop`."""
        self._loaded.drop(release)

    async def encode(self, release: str, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        """See `EncoderBackend.encode`."""
        encoder, settings = self._loaded.get(release), self._settings
        return await self._loaded.run(
            lambda: encoder.encode(texts, side, tokens_per_batch=settings.tokens_per_batch, precision=settings.precision),
            None if side == "query" else self._long,
        )


class LocalShards:
    """A `ShardBackend`: every `groups`-th shard of an index, from number `group` on. It needs no torch.

    Args:
        settings: threads.
        group, groups: which of how many groups this is.
    """

    def __init__(self, settings: ServeSettings, group: int = 0, groups: int = 1) -> None:
        if not 0 <= group < groups:
            raise UserError(f"shard group {group} of {groups}; allowed is 0 to {groups - 1}")
        self._group, self._groups = group, groups
        self._loaded: _Loaded[dict[int, Shard]] = _Loaded(self._read, settings.shard_threads, "shard")

    def _read(self, path: Path) -> "dict[int, Shard]":
        from xlret.search.probing import ProbingPlan
        from xlret.search.shard import Shard

        index = path / INDEX
        manifest = read_manifest(index)
        for file in manifest.files.values():
            check_file(index, file)
        plan = ProbingPlan.open(index, manifest)
        mine = range(self._group, len(manifest.shards), self._groups)
        return {number: Shard.open(index, number, manifest, plan) for number in mine}

    async def load(self, release: str, path: str) -> Sequence[int]:
        """See `ShardBackend.load`."""
        return tuple(await self._loaded.load(release, path))

    async def drop(self, release: str) -> None:
        """See `ShardBackend.drop`."""
        self._loaded.drop(release)

    def numbers(self, release: str) -> Sequence[int]:
        """The shards of a loaded release that this group serves.

        Raises:
            LookupError: it is not loaded.
        """
        return tuple(self._loaded.get(release))

    async def search(
        self, release: str, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions], along: Sequence[int]
    ) -> GroupHits:
        """See `ShardBackend.search`. Each shard in a thread of its own, as far as there are threads."""
        shards = self._loaded.get(release)
        hits = await _all([self._loaded.run(_search(shard, vectors_QD, options)) for shard in shards.values()])
        return await self._loaded.run(lambda: _with_passages(shards, hits, along))

    async def passages(self, release: str, places: Sequence[Place]) -> list[Passage]:
        """See `ShardBackend.passages`."""
        shards = self._loaded.get(release)
        return await self._loaded.run(lambda: _read(shards, places))


class LocalReranker:
    """A `RerankerBackend`.

    Args:
        settings: precision, tokens per batch and threads.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._loaded: _Loaded[Reranker | None] = _Loaded(self._read, 1, "reranker")

    def _read(self, path: Path) -> "Reranker | None":
        if not (path / RERANKER).is_dir():
            return None
        import torch

        from xlret.model.reranker import Reranker

        torch.set_num_threads(self._settings.encoder_threads)
        return Reranker.load(path / RERANKER, _device())

    async def load(self, release: str, path: str) -> None:
        """See `RerankerBackend.load`."""
        await self._loaded.load(release, path)

    async def drop(self, release: str) -> None:
        """See `RerankerBackend.drop`."""
        self._loaded.drop(release)

    async def score(self, release: str, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """See `RerankerBackend.score`."""
        reranker, settings = self._loaded.get(release), self._settings
        if reranker is None:
            raise LookupError(f"release {release} has no reranker")
        return await self._loaded.run(
            lambda: reranker.score(pairs, tokens_per_batch=settings.tokens_per_batch, precision=settings.precision)
        )


class LocalControl:
    """A `Control` for a gateway of this process.

    Args:
        gateway: whose releases to swap.
        root: the directory of releases.
    """

    def __init__(self, gateway: Gateway, root: Path) -> None:
        self._gateway = gateway
        self._root = Path(root)

    async def swap(self, name: str) -> Mapping[str, Any]:
        """See `Control.swap`."""
        await self._gateway.swap(self._root / checked_name(name))
        return await self.status()

    async def status(self) -> Mapping[str, Any]:
        """See `Control.status`."""
        return self._gateway.status()


def local_gateway(settings: ServeSettings) -> Gateway:
    """A gateway whose backends are all in this process; `swap` it to a release before it serves."""
    groups = 1 if settings.shard_groups == "auto" else max(1, settings.shard_groups)
    shards = [LocalShards(settings, group, groups) for group in range(groups)]
    return Gateway(LocalEncoder(settings), shards, LocalReranker(settings), settings)


def _search(shard: "Shard", vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions]) -> Callable[[], ShardHits]:
    return lambda: shard.search(vectors_QD, options)


def _with_passages(shards: "Mapping[int, Shard]", hits: Sequence[ShardHits], along: Sequence[int]) -> GroupHits:
    places = _best(hits, along)
    passages = iter(_read(shards, [one for some in places for one in some]))
    found = dict(zip(shards, hits, strict=True))
    return GroupHits(found, [{place: next(passages) for place in some} for some in places])


def _best(hits: Sequence[ShardHits], along: Sequence[int]) -> list[list[Place]]:
    """Where the best `along[q]` of each query's hits in some shards are."""
    if not hits or not any(along):
        return [[] for _ in along]
    best = merge(hits, along)
    return [list(zip(shards.tolist(), rows.tolist(), strict=True)) for shards, rows in zip(best.shards, best.rows, strict=True)]


def _read(shards: "Mapping[int, Shard]", places: Sequence[Place]) -> list[Passage]:
    by_shard: dict[int, list[int]] = {}
    for number, row in places:
        by_shard.setdefault(number, []).append(row)
    found = {number: iter(shards[number].passages(rows)) for number, rows in by_shard.items()}
    return [next(found[number]) for number, _ in places]


async def _all(calls: Sequence[Awaitable[R]]) -> list[R]:
    return list(await asyncio.gather(*calls))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
