"""One release in service: what it is, how its backends are called, and who still uses it."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.search.merge import ShardHits
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.backends import EncoderBackend, GroupHits, RerankerBackend, ShardBackend
from xlret.serve.engine.batching import BatchCounts, Batcher
from xlret.serve.engine.cache import VectorCache
from xlret.serve.engine.hedging import Health, ask
from xlret.serve.engine.hits import Missing, PassageRow, reason
from xlret.serve.engine.info import ReleaseInfo
from xlret.serve.errors import ApiError
from xlret.serve.settings import BatchSettings, ServeSettings
from xlret.text.sides import Side

Vector = NDArray[np.float32]
Lane = Literal["query", "passage", "highlight"]
LANES = ("query", "passage", "highlight", "search", "read")
"""Kinds of calls in batches: three to the encoder, two to the shards."""
_SHORT_TEXTS = 128
"""Passages in one call to the encoder at most, where they are short."""


@dataclass(frozen=True)
class Backends:
    """Everything that a gateway calls, with how each has answered lately."""

    encoder: EncoderBackend
    shards: Sequence[ShardBackend]
    reranker: RerankerBackend | None
    health: Mapping[str, Health]
    """By name: encoder, highlight (the encoder too), reranker, and `group 0`, `group 1`, ... of the shards."""
    lanes: Mapping[str, BatchCounts] = field(default_factory=lambda: {name: BatchCounts() for name in LANES})
    """What waits and was called, of all releases together."""


class _Group:
    """One group of shards of one release: its numbers, and its calls in batches."""

    def __init__(
        self,
        backend: ShardBackend,
        release: str,
        numbers: Sequence[int],
        health: Health,
        settings: ServeSettings,
        lanes: Mapping[str, BatchCounts],
    ) -> None:
        self.numbers = tuple(numbers)

        async def search(items: list[tuple[Vector, SearchOptions, int]], deadline: float) -> list[GroupHits]:
            vectors_QD = np.stack([vector for vector, _, _ in items])
            options, along = [option for _, option, _ in items], [count for _, _, count in items]
            group_hits = await ask(lambda: backend.search(release, vectors_QD, options, along), deadline, health)
            missing = set(self.numbers) - set(group_hits.shards)
            if missing:
                raise RuntimeError(f"a shard backend left out the shards {sorted(missing)}")
            return [
                GroupHits({number: _of_query(hits, row) for number, hits in group_hits.shards.items()}, [passages])
                for row, passages in enumerate(group_hits.passages)
            ]

        async def passages(items: list[tuple[PassageRow, ...]], deadline: float) -> list[list[Passage]]:
            flat = [passage_row for passage_rows in items for passage_row in passage_rows]
            read = iter(await ask(lambda: backend.passages(release, flat), deadline, health))
            return [[next(read) for _ in passage_rows] for passage_rows in items]

        self.search = Batcher(search, settings.batch, counts=lanes["search"])
        self.passages = Batcher(passages, settings.batch, counts=lanes["read"])


class Live:
    """A loaded release. A request takes one and keeps it from encoding to the text of its hits.

    Args:
        info: what the release is.
        groups: the shard numbers that each of `backends.shards` serves of it.
        backends, settings, cache: of the gateway.
    """

    def __init__(
        self,
        info: ReleaseInfo,
        groups: Sequence[Sequence[int]],
        backends: Backends,
        settings: ServeSettings,
        cache: VectorCache,
    ) -> None:
        self.info = info
        self._cache = cache
        self._backends = backends
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        health = backends.health
        batch = settings.batch
        card = info.tokeniser.card
        tokens = batch.passages * card.max_passage_tokens
        calls = batch.model_copy(update={"calls": batch.encoder_calls})
        self._lanes: dict[Lane, Batcher[str, Vector]] = {
            "query": self._lane("query", health["encoder"], calls, backends.lanes["query"]),
            "passage": self._lane("passage", health["encoder"], _few(batch), backends.lanes["passage"], tokens),
            "highlight": self._lane("passage", health["highlight"], _few(batch), backends.lanes["highlight"], tokens),
        }
        self._groups = [
            _Group(backend, info.name, numbers, health[f"group {number}"], settings, backends.lanes)
            for number, (backend, numbers) in enumerate(zip(backends.shards, groups, strict=True))
        ]
        self._group_of = {number: group for group in self._groups for number in group.numbers}

    def _lane(
        self, side: Side, health: Health, batch: BatchSettings, counts: BatchCounts, tokens: int = 0
    ) -> Batcher[str, Vector]:
        """Calls to the encoder in batches of texts, of up to so many tokens together where that is given."""
        backend, release, dimension = self._backends.encoder, self.info.name, self.info.dimension
        longest = self.info.tokeniser.card.max_tokens(side)

        async def encode(texts: list[str], deadline: float) -> list[Vector]:
            distinct = list(dict.fromkeys(texts))
            vectors = await ask(lambda: backend.encode(release, distinct, side), deadline, health)
            if vectors.shape != (len(distinct), dimension) or not np.isfinite(vectors).all():
                raise RuntimeError(f"the encoder returned vectors of shape {vectors.shape}, or values that are not finite")
            rows = dict(zip(distinct, np.asarray(vectors, np.float32), strict=True))
            for text, vector in rows.items():
                self._cache.put((release, side, text), vector)
            return [rows[text] for text in texts]

        if not tokens:
            return Batcher(encode, batch, counts=counts)
        # Hardly a token has no character.
        return Batcher(encode, batch, lambda text: min(longest, len(text) + 2), tokens, counts)

    @contextmanager
    def pin(self) -> Iterator["Live"]:
        """Keeps the release loaded until the block ends."""
        self._users += 1
        self._unused.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    @property
    def wait_s(self) -> float:
        """How long a question that came now would wait for the encoder, in seconds."""
        return self._lanes["query"].wait_s

    @property
    def users(self) -> int:
        """Requests that use the release."""
        return self._users

    async def unused(self) -> None:
        """Waits until no request uses the release."""
        await self._unused.wait()

    async def encode(self, texts: Sequence[str], side: Side, deadline: float, *, lane: Lane | None = None) -> Vector:
        """Unit vectors [N, D]; those of texts met lately come from the cache.

        `lane` is whose turn it is, by default the side's: questions, passages and highlights do not wait for each other.

        Raises:
            ApiError: 504 when the deadline passes, 503 when the encoder fails.
        """
        keys = [(self.info.name, side, text) for text in texts]
        vectors = [self._cache.get(key) for key in keys]
        wanted = [position for position, vector in enumerate(vectors) if vector is None]
        if wanted:
            try:
                encoded = await self._lanes[lane or side].submit([texts[position] for position in wanted], deadline)
            except TimeoutError:
                raise ApiError(504, "the encoder did not answer within the time limit; allow more with timeout_ms") from None
            except UserError:
                raise
            except Exception as error:
                raise ApiError(503, f"the encoder is not available ({reason(error)}); try again after Retry-After") from error
            for position, vector in zip(wanted, encoded, strict=True):
                vectors[position] = vector
        return np.stack([vector for vector in vectors if vector is not None]) if vectors else _none(self.info.dimension)

    async def search(
        self,
        vectors_QD: Vector,
        options: Sequence[SearchOptions],
        along: int,
        deadline: float,
        missing: Missing,
        passages: dict[PassageRow, Passage],
        span: Callable[..., None],
    ) -> list[dict[int, ShardHits]]:
        """The hits of each of Q queries by shard number, from the shards that answer by the deadline.

        Notes in `missing` which shards do not. All groups are asked at the same time. Passages of each query's best `along`
        hits in a group come along, into `passages`. `span` is told of each group's call when it ends (`RequestRecord.span`).
        """
        items = [(vector, option, along) for vector, option in zip(vectors_QD, options, strict=True)]
        asked = {asyncio.ensure_future(group.search.submit(items, deadline)): group for group in self._groups}
        began = now()
        for task, group in asked.items():
            task.add_done_callback(partial(_span_of_group, span, began, group.numbers))
        by_query: list[dict[int, ShardHits]] = [{} for _ in items]
        try:
            if asked:
                await asyncio.wait(asked)
            for task, group in asked.items():
                error = task.exception()
                if error is None:
                    for by_shard, more in zip(by_query, task.result(), strict=True):
                        by_shard.update(more.shards)
                        passages.update(more.passages[0])
                elif isinstance(error, UserError):
                    raise error
                else:
                    _note(missing, group.numbers, error)
        finally:
            await _stop(asked)
        return by_query

    async def passages(
        self, passage_rows: Sequence[PassageRow], deadline: float, missing: Missing
    ) -> dict[PassageRow, Passage]:
        """Passages by their places. Those of shards that do not answer by the deadline are left out and noted in `missing`."""
        asked: dict[asyncio.Future[list[list[Passage]]], tuple[_Group, list[PassageRow]]] = {}
        by_group: dict[_Group, list[PassageRow]] = {}
        for passage_row in dict.fromkeys(passage_rows):
            by_group.setdefault(self._group_of[passage_row[0]], []).append(passage_row)
        for group, wanted in by_group.items():
            asked[asyncio.ensure_future(group.passages.submit([tuple(wanted)], deadline))] = (group, wanted)
        passages: dict[PassageRow, Passage] = {}
        try:
            if asked:
                await asyncio.wait(asked)
            for task, (group, wanted) in asked.items():
                error = task.exception()
                if error is None:
                    passages.update(zip(wanted, task.result()[0], strict=True))
                else:
                    _note(missing, group.numbers, error)
        finally:
            await _stop(asked)
        return passages

    async def score(self, pairs: Sequence[tuple[str, str]], deadline: float) -> Vector:
        """The reranker's logits of N (query, passage) pairs, [N].

        Raises:
            TimeoutError: the deadline passed.
            Exception: the reranker failed.
        """
        reranker = self._backends.reranker
        if reranker is None or not self.info.reranker:
            raise RuntimeError("this release has no reranker")
        asked = reranker.score
        logits = await ask(lambda: asked(self.info.name, pairs), deadline, self._backends.health["reranker"])
        if logits.shape != (len(pairs),) or not np.isfinite(logits).all():
            raise RuntimeError(f"the reranker returned scores of shape {logits.shape}, or values that are not finite")
        return logits


def _few(batch: BatchSettings) -> BatchSettings:
    """One call at a time, in which many short texts may be: their tokens bound it."""
    return batch.model_copy(update={"queries": max(batch.passages, _SHORT_TEXTS), "calls": 1})


def _of_query(hits: ShardHits, row: int) -> ShardHits:
    return hits._replace(
        ids=[hits.ids[row]],
        rows=[hits.rows[row]],
        scores=[hits.scores[row]],
        langs=[hits.langs[row]],
        keys=[hits.keys[row]],
        depths=[hits.depths[row]],
        unseen=[hits.unseen[row]],
    )


def _span_of_group(span: Callable[..., None], began: float, numbers: Sequence[int], task: "asyncio.Future[Any]") -> None:
    failed = task.cancelled() or task.exception() is not None
    span("shards", began, shards=",".join(map(str, numbers)), failed=failed)


def _note(missing: Missing, numbers: Sequence[int], error: BaseException) -> None:
    missing.late |= isinstance(error, TimeoutError)
    for number in numbers:
        missing.shards.setdefault(number, reason(error))


async def _stop(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _none(dimension: int) -> Vector:
    return np.empty((0, dimension), np.float32)


def now() -> float:
    """The clock of every deadline."""
    return time.monotonic()
