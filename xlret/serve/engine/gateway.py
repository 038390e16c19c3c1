"""What every endpoint calls: one release in service at a time, swapped without losing a request."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from xlret.errors import UserError
from xlret.files import local
from xlret.serve.engine.admission import Gate
from xlret.serve.engine.backends import EncoderBackend, RerankerBackend, ShardBackend
from xlret.serve.engine.cache import VectorCache
from xlret.serve.engine.detect import detect
from xlret.serve.engine.hedging import Health
from xlret.serve.engine.info import ReleaseInfo, read_info
from xlret.serve.engine.live import Backends, Live
from xlret.serve.errors import ApiError
from xlret.serve.settings import ServeSettings
from xlret.storage.url import is_url

_log = logging.getLogger("xlret.serve")
_DAMAGE_S = 1.0
"""How long groups of shards may take to say whether their files are whole."""


class Gateway:
    """Requests to backends. Belongs to one event loop.

    Args:
        encoder, shards, reranker: the backends; the groups of `shards` together hold every shard of a release once.
        settings: limits, deadlines and batching.
        read: verifies a release and reads what it is; costs a pass over its files.
    """

    def __init__(
        self,
        encoder: EncoderBackend,
        shards: Sequence[ShardBackend],
        reranker: RerankerBackend | None,
        settings: ServeSettings,
        read: Callable[[Path], ReleaseInfo] = read_info,
    ) -> None:
        names = ["encoder", "highlight", "reranker", *(f"group {number}" for number in range(len(shards)))]
        health = {name: Health(settings.deadline) for name in names}
        self.settings = settings
        self.gate = Gate(settings.load, lambda: 0.0 if self._live is None else self._live.wait_s)
        self.cache = VectorCache(settings.batch.cache_bytes)
        self._backends = Backends(encoder, shards, reranker, health)
        self._read = read
        self._live: Live | None = None
        self._swapping = asyncio.Lock()
        self._leaving: dict[str, Live] = {}
        self._dropping: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def live(self) -> Live:
        """The release that new requests go to.

        Raises:
            ApiError: 503 before the first one is loaded.
        """
        if self._live is None:
            raise ApiError(503, "no release is loaded yet; try again after Retry-After", retry_after=2)
        return self._live

    @property
    def release(self) -> str | None:
        """Name of the release in service."""
        return None if self._live is None else self._live.info.name

    @property
    def ready(self) -> bool:
        """Whether a search would be taken on now and has backends to go to."""
        down = [name for name, health in self._backends.health.items() if health.down]
        groups = [f"group {number}" for number in range(len(self._backends.shards))]
        dead = "encoder" in down or (bool(groups) and all(name in down for name in groups))
        return self._live is not None and not self.gate.draining and not dead

    async def damage(self) -> str | None:
        """What is wrong with the files of the release in service, as its groups of shards say when asked now."""
        if self._live is None:
            return None
        name = self._live.info.name
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DAMAGE_S):
                reports = await asyncio.gather(
                    *(shards.damage(name) for shards in self._backends.shards), return_exceptions=True
                )
                return next((report for report in reports if isinstance(report, str)), None)
        return None  # groups that do not answer are `ready`'s concern

    def status(self) -> dict[str, Any]:
        """What is in service and in work, for the admin."""
        return {
            "release": self.release,
            "leaving": sorted(self._leaving),
            "requests": self.gate.requests,
            "texts": self.gate.texts,
            "wait_ms": 1000 * self.gate.wait_s(),
            "down": sorted(name for name, health in self._backends.health.items() if health.down),
            "lanes": {name: asdict(counts) for name, counts in self._backends.lanes.items()},
            "cache": {
                "vectors": self.cache.vectors,
                "bytes": self.cache.bytes,
                "hits": self.cache.hits,
                "misses": self.cache.misses,
            },
        }

    async def swap(self, path: Path) -> ReleaseInfo:
        """Serves another release: loads and verifies it beside the old one, then sends new requests to it.

        Requests in work end on the release they began with; the old one is freed after the last of them. Returns as soon as
        new requests go to the new release. Does nothing if it is the one in service.

        Raises:
            UserError: it cannot be used; names the file. The old one serves on.
        """
        async with self._swapping:
            live = await self.prepare(path)
            self.activate(live)
            return live.info

    async def prepare(self, path: Path) -> Live:
        """Loads a release on all backends without serving it yet. `activate` or `discard` what it returns.

        Raises:
            UserError: as `swap`.
        """
        if self.settings.detect:
            await asyncio.to_thread(detect, "warm up: the first call reads the model")
        info = await asyncio.to_thread(lambda: self._read(local(path)))
        if is_url(path):
            info = replace(info, path=str(path))  # each machine that loads it has a copy of its own
        if self._backends.reranker is None:
            info = replace(info, reranker=False)
        if self._live is not None and (info.name, info.path) == (self._live.info.name, self._live.info.path):
            return self._live
        if self._live is not None and info.name == self._live.info.name:
            raise UserError(f"{path} has the name of the release that is served, {info.name}; give it another name")
        if info.name in self._dropping:
            await self.settled()
        leaving = self._leaving.get(info.name)
        if leaving is not None and leaving.info.path == info.path:
            return leaving  # back to it before its last request has ended
        if leaving is not None:
            raise UserError(f"a release {info.name} is just being taken out of service; give the new one another name")
        backends = self._backends
        try:
            async with asyncio.timeout(self.settings.deadline.load_s):
                loads = [backend.load(info.name, info.path) for backend in self._models()]
                groups = [backend.load(info.name, info.path) for backend in backends.shards]
                _, numbers = await asyncio.gather(asyncio.gather(*loads), asyncio.gather(*groups))
            held = sorted(number for group in numbers for number in group)
            if held != list(range(info.shards)):
                raise UserError(f"the shard groups hold the shards {held} of {info.name}, which has {info.shards}")
        except BaseException as error:
            await self._drop(info.name)
            if isinstance(error, TimeoutError):
                raise UserError(f"{info.name} was not loaded within {self.settings.deadline.load_s:g} seconds") from error
            raise
        return Live(info, numbers, backends, self.settings, self.cache)

    def activate(self, live: Live) -> None:
        """Sends new requests to a prepared release and frees the old one when its last request has ended."""
        old, self._live = self._live, live
        self._leaving.pop(live.info.name, None)
        _log.info("release %s is served", live.info.name)
        if old is not None and old is not live:
            self._leaving[old.info.name] = old
            task = asyncio.get_running_loop().create_task(self._retire(old))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def discard(self, live: Live) -> None:
        """Frees a prepared release that is not to be served after all."""
        if live is not self._live and live.info.name not in self._leaving:
            await self._drop(live.info.name)

    async def settled(self) -> None:
        """Waits until releases taken out of service are freed."""
        await asyncio.gather(*self._tasks)

    async def drain(self) -> None:
        """Takes no more requests on and waits for those in work, up to `deadline.drain_s`."""
        self.gate.draining = True
        until = asyncio.get_running_loop().time() + self.settings.deadline.drain_s
        while self.gate.requests and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)

    async def _retire(self, old: Live) -> None:
        name = old.info.name
        try:
            async with asyncio.timeout(self.settings.deadline.drain_s):
                await old.unused()
        except TimeoutError:
            _log.warning("release %s is freed although %d requests still use it", name, old.users)
        if self._leaving.get(name) is not old:
            return  # it is served again
        self._dropping.add(name)
        try:
            await self._drop(name)
        finally:
            self._leaving.pop(name, None)
            self._dropping.discard(name)

    async def _drop(self, release: str) -> None:
        self.cache.drop(release)
        backends = [*self._models(), *self._backends.shards]
        results = await asyncio.gather(*(backend.drop(release) for backend in backends), return_exceptions=True)
        for backend, result in zip(backends, results, strict=True):
            if isinstance(result, BaseException):
                _log.error("%s could not free release %s: %r", type(backend).__name__, release, result)

    def _models(self) -> list[EncoderBackend | RerankerBackend]:
        reranker = self._backends.reranker
        return [self._backends.encoder, *([] if reranker is None else [reranker])]
