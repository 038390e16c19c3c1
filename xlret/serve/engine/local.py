"""Backends in this process: threads that hold the models and shards. Ray's replicas are thin shells around the same.

What each method promises is said once, at the protocols in `backends`.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.files import local
from xlret.release.alias import release_named
from xlret.release.once import VerifiedOnce
from xlret.release.record import ENCODER, INDEX, RERANKER, ReleaseRecord
from xlret.release.verify import CheckBytes, check_bytes, verify_files
from xlret.search.manifest import MANIFEST, read_manifest
from xlret.search.mapped import MappedFileError, MappedFiles
from xlret.search.merge import ShardHits, merge
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.backends import GroupHits
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.hits import PassageRow
from xlret.serve.engine.info import read_info
from xlret.serve.settings import ServeSettings
from xlret.storage.url import path_of
from xlret.text.sides import Side

if TYPE_CHECKING:  # a shard's process does without torch, the encoder's without FAISS
    from xlret.model.encoder import Encoder
    from xlret.model.reranker import Reranker
    from xlret.search.shard import Shard

T = TypeVar("T")
R = TypeVar("R")


class LocalBackend(Generic[T]):
    """Releases in memory, read and used in threads. What `load` and `drop` promise stands at `backends.Backend`.

    Args:
        read: what is kept of a release, from its directory.
        threads: of calls.
        name: of the threads.
    """

    def __init__(self, read: Callable[[Path], T], threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-load")  # loading must not hold up calls
        self._read = read
        self._by_release: dict[str, asyncio.Future[T]] = {}

    async def load(self, release: str, path: str) -> Any:
        if release not in self._by_release:  # several may ask for the same one at the same time
            loop = asyncio.get_running_loop()
            self._by_release[release] = asyncio.ensure_future(loop.run_in_executor(self._reader, self._read_local, path))
        future = self._by_release[release]
        try:
            return await asyncio.shield(future)
        except Exception:
            if self._by_release.get(release) is future:
                del self._by_release[release]
            raise

    def _read_local(self, path: str) -> T:
        """What is kept of a release, of a URL from a copy on this machine."""
        return self._read(local(Path(path)))

    async def drop(self, release: str) -> None:
        self._by_release.pop(release, None)

    def _loaded(self, release: str) -> T:
        future = self._by_release.get(release)
        if future is None or not future.done():
            raise LookupError(f"release {release} is not loaded here")
        return future.result()

    async def _run(self, call: Callable[[], R], pool: ThreadPoolExecutor | None = None) -> R:
        return await asyncio.get_running_loop().run_in_executor(pool or self._pool, call)


class LocalEncoder(LocalBackend["Encoder"]):
    """An `EncoderBackend`.

    Args:
        settings: precision, tokens per batch and threads.
        read: the encoder of a release, by default from its directory.
        check: how files are verified, as in `verify_release`.
    """

    def __init__(
        self,
        settings: ServeSettings,
        read: "Callable[[Path], Encoder] | None" = None,
        check: CheckBytes = check_bytes,
    ) -> None:
        super().__init__(read or self._load_encoder, settings.batch.encoder_calls, "encoder")
        self._settings, self._check = settings, check
        self._weights: weakref.WeakKeyDictionary[Encoder, MappedFiles] = weakref.WeakKeyDictionary()
        # Passages and highlights have their own threads: long texts, or ones whose caller has left, keep no question waiting.
        self._long = ThreadPoolExecutor(2, thread_name_prefix="encoder-long")

    def _load_encoder(self, path: Path) -> "Encoder":
        import torch

        from xlret.model.encoder import Encoder

        torch.set_num_threads(self._settings.encoder_threads)
        record = verify_files(path, [f"{ENCODER}/"], self._check)
        encoder = Encoder.load(path / ENCODER, device=_device())
        self._weights[encoder] = _weights(path, record, ENCODER)
        encoder.encode(["warm up: the first call is the slowest"], "query")
        return encoder

    async def encode(self, release: str, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        encoder, settings = self._loaded(release), self._settings
        if encoder in self._weights:
            self._weights[encoder].check()
        return await self._run(
            lambda: encoder.encode(texts, side, tokens_per_batch=settings.tokens_per_batch, precision=settings.precision),
            None if side == "query" else self._long,
        )


class LocalShards(LocalBackend["dict[int, Shard]"]):
    """A `ShardBackend`: every `groups`-th shard of an index, from number `group` on. It needs no torch.

    Args:
        settings: threads.
        group, groups: which of how many groups this is.
        read: the shards of a release by number, by default this group's from its directory.
        check: how files are verified, as in `verify_release`.
    """

    def __init__(
        self,
        settings: ServeSettings,
        group: int = 0,
        groups: int = 1,
        read: "Callable[[Path], dict[int, Shard]] | None" = None,
        check: CheckBytes = check_bytes,
    ) -> None:
        if not 0 <= group < groups:
            raise UserError(f"shard group {group} of {groups}; allowed is 0 to {groups - 1}")
        super().__init__(read or self._open_shards, settings.shard_threads, "shard")
        self._group, self._groups, self._check = group, groups, check

    def _open_shards(self, path: Path) -> "dict[int, Shard]":
        from xlret.search.probing import ProbingPlan
        from xlret.search.shard import Shard
        from xlret.search.trial_reading import try_reading

        index = path / INDEX
        verify_files(path, [f"{INDEX}/{MANIFEST}"], self._check)
        manifest = read_manifest(index)
        mine = range(self._group, len(manifest.shards), self._groups)
        files = chain(manifest.files.values(), *(manifest.shards[number].files() for number in mine))
        verify_files(path, [f"{INDEX}/{file.file}" for file in files], self._check)
        try_reading(index, manifest, mine)
        plan = ProbingPlan.open(index, manifest)
        return {number: Shard.open(index, number, manifest, plan, verify=False) for number in mine}

    async def load(self, release: str, path: str) -> Sequence[int]:
        return tuple(await super().load(release, path))

    def numbers(self, release: str) -> Sequence[int]:
        """The shards of a loaded release that this group serves.

        Raises:
            LookupError: it is not loaded.
        """
        return tuple(self._loaded(release))

    async def damage(self, release: str) -> str | None:
        """See `ShardBackend`; costs some microseconds a shard.

        Raises:
            LookupError: the release is not loaded.
        """
        try:
            for shard in self._loaded(release).values():
                shard.check_files()
        except MappedFileError as error:
            return str(error)
        return None

    async def search(
        self, release: str, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions], along: Sequence[int]
    ) -> GroupHits:
        shards = self._loaded(release)
        if len(shards) == 1:  # one way to a thread and back, not two
            (shard,) = shards.values()
            return await self._run(lambda: _with_passages(shards, [shard.search(vectors_QD, options)], along))
        # Each in a thread of its own, as far as there are threads.
        hits = await _all([self._run(_search(shard, vectors_QD, options)) for shard in shards.values()])
        return await self._run(lambda: _with_passages(shards, hits, along))

    async def passages(self, release: str, passage_rows: Sequence[PassageRow]) -> list[Passage]:
        shards = self._loaded(release)
        return await self._run(lambda: _read(shards, passage_rows))


class LocalReranker(LocalBackend["Reranker | None"]):
    """A `RerankerBackend`.

    Args:
        settings: precision, tokens per batch and threads.
        read: the reranker of a release, None where it has none; by default from its directory.
        check: how files are verified, as in `verify_release`.
    """

    def __init__(
        self,
        settings: ServeSettings,
        read: "Callable[[Path], Reranker | None] | None" = None,
        check: CheckBytes = check_bytes,
    ) -> None:
        super().__init__(read or self._load_reranker, 1, "reranker")
        self._settings, self._check = settings, check
        self._weights: weakref.WeakKeyDictionary[Reranker, MappedFiles] = weakref.WeakKeyDictionary()

    def _load_reranker(self, path: Path) -> "Reranker | None":
        if not (path / RERANKER).is_dir():
            return None
        import torch

        from xlret.model.reranker import Reranker

        torch.set_num_threads(self._settings.encoder_threads)
        record = verify_files(path, [f"{RERANKER}/"], self._check)
        reranker = Reranker.load(path / RERANKER, device=_device())
        self._weights[reranker] = _weights(path, record, RERANKER)
        return reranker

    async def score(self, release: str, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        reranker, settings = self._loaded(release), self._settings
        if reranker is None:
            raise LookupError(f"release {release} has no reranker")
        if reranker in self._weights:
            self._weights[reranker].check()
        return await self._run(
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
        self._root = path_of(root)

    async def swap(self, name: str) -> Mapping[str, Any]:
        await self._gateway.swap(self._root / await asyncio.to_thread(release_named, self._root, name))
        return await self.status()

    async def status(self) -> Mapping[str, Any]:
        return self._gateway.status()


def local_gateway(settings: ServeSettings) -> Gateway:
    """A gateway whose backends are all in this process; `swap` it to a release before it serves."""
    groups = 1 if settings.shard_groups == "auto" else max(1, settings.shard_groups)
    once = VerifiedOnce()
    shards = [LocalShards(settings, group, groups, check=once) for group in range(groups)]
    read = partial(read_info, check=once)
    gateway = Gateway(LocalEncoder(settings, check=once), shards, LocalReranker(settings, check=once), settings, read)
    weakref.finalize(gateway, once.forget)
    return gateway


def _weights(path: Path, record: ReleaseRecord, part: str) -> MappedFiles:
    """The weights of a model of a release, which on CPUs are the mapped file: cut short, it would take the process along."""
    names = [name for name in record.files if name.startswith(f"{part}/") and name.endswith(".safetensors")]
    return MappedFiles(path, [(name, record.files[name]) for name in names] if _device() == "cpu" else [])


def _search(shard: "Shard", vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions]) -> Callable[[], ShardHits]:
    return lambda: shard.search(vectors_QD, options)


def _with_passages(shards: "Mapping[int, Shard]", hits: Sequence[ShardHits], along: Sequence[int]) -> GroupHits:
    passage_rows = _best(hits, along)
    passages = iter(_read(shards, [row for rows in passage_rows for row in rows]))
    by_number = dict(zip(shards, hits, strict=True))
    return GroupHits(by_number, [{passage_row: next(passages) for passage_row in rows} for rows in passage_rows])


def _best(hits: Sequence[ShardHits], along: Sequence[int]) -> list[list[PassageRow]]:
    """Where the best `along[q]` of each query's hits in some shards are."""
    if not hits or not any(along):
        return [[] for _ in along]
    best = merge(hits, along)
    return [list(zip(shards.tolist(), rows.tolist(), strict=True)) for shards, rows in zip(best.shards, best.rows, strict=True)]


def _read(shards: "Mapping[int, Shard]", passage_rows: Sequence[PassageRow]) -> list[Passage]:
    by_shard: dict[int, list[int]] = {}
    for number, row in passage_rows:
        by_shard.setdefault(number, []).append(row)
    passages_of = {number: iter(shards[number].passages(rows)) for number, rows in by_shard.items()}
    return [next(passages_of[number]) for number, _ in passage_rows]


async def _all(calls: Sequence[Awaitable[R]]) -> list[R]:
    return list(await asyncio.gather(*calls))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
