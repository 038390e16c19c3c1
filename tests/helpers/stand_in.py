"""Small backends without models: exact search in numpy over made-up words, with switches to fail, hang or be slow."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tokenizers
from numpy.typing import NDArray

from xlret.errors import CorruptError
from xlret.search.calibration import Calibration
from xlret.search.merge import ShardHits, best
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.backends import GroupHits
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.hits import PassageRow
from xlret.serve.engine.info import ReleaseInfo
from xlret.serve.engine.local import LocalControl
from xlret.serve.http.app import build_app
from xlret.serve.settings import ServeSettings
from xlret.text.sides import Side
from xlret.tokens.card import EncoderCard
from xlret.tokens.texts import Tokeniser

DIMENSION = 24
MEANINGS = [
    "cat Katze chat قط",
    "dog Hund chien كلب",
    "house Haus maison بيت",
    "tree Baum arbre شجرة",
    "river Fluss fleuve نهر",
    "bread Brot pain خبز",
]
LANGUAGES = ("en", "de", "fr", "ar")
FIELDS = {"year": "int", "kind": "string", "rare": "bool"}
WORDS = {word.lower(): number for number, group in enumerate(MEANINGS) for word in group.split()}


def vector(text: str) -> NDArray[np.float32]:
    """Unit vector of the meanings of a text's words; a word without meaning adds a little of its own."""
    found = np.full(DIMENSION, 1e-3, np.float32)
    for word in text.lower().replace(".", " ").replace("?", " ").split():
        place = WORDS.get(word)
        if place is None:
            found[len(MEANINGS) + sum(map(ord, word)) % (DIMENSION - len(MEANINGS))] += 0.05
        else:
            found[place] += 1.0
    return found / np.float32(np.linalg.norm(found))


def world(mark: str = "") -> list[Passage]:
    """Two words of meaning and one of its own in each passage, in four languages; `mark` goes into every text."""
    found = []
    for first in range(len(MEANINGS)):
        for second in range(len(MEANINGS)):
            for column, lang in enumerate(LANGUAGES):
                if lang == "ar" and second > 1:
                    continue
                one, two = MEANINGS[first].split()[column], MEANINGS[second].split()[column]
                text = f"{one} {one} number{first}{second} goes first here. {two} comes second in this text {mark}."
                metadata: dict[str, Any] = {"year": 2000 + first, "kind": lang + "-kind", "rare": first == second or None}
                found.append(Passage(f"p{first}{second}:{lang}", lang, f"{one}/{two}" if second else None, text, metadata))
    return found


class Trouble:
    """What a backend does to its calls: raise, wait, hang until told otherwise."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.once: Exception | None = None
        self.seconds = 0.0
        self.free = asyncio.Event()
        self.free.set()
        self.calls = 0
        self.in_work = 0
        self.cancelled = 0

    async def go(self) -> None:
        """To be awaited at the start of each call."""
        self.calls += 1
        self.in_work += 1
        try:
            await asyncio.sleep(self.seconds)
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_work -= 1
        if self.once is not None:
            error, self.once = self.once, None
            raise error
        if self.error is not None:
            raise self.error


class Backend:
    """Keeps book of what is loaded. Whatever is called for a release that is not loaded is an error."""

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.loaded: dict[str, str] = {}
        self.dropped: list[str] = []
        self.refuse: Exception | None = None

    async def load(self, release: str, path: str) -> None:
        """See the protocols."""
        await asyncio.sleep(0)
        if self.refuse is not None:
            raise self.refuse
        self.loaded[release] = path

    async def drop(self, release: str) -> None:
        """See the protocols."""
        await asyncio.sleep(0)
        if release in self.loaded:
            self.dropped.append(release)
            del self.loaded[release]

    async def use(self, release: str) -> None:
        """One call."""
        if release not in self.loaded:
            raise LookupError(f"{release} is not loaded")
        await self.trouble.go()


class FakeEncoder(Backend):
    """An `EncoderBackend`."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[str, Side, list[str]]] = []

    async def encode(self, release: str, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        """Vectors by meaning."""
        self.batches.append((release, side, list(texts)))
        await self.use(release)
        return np.stack([vector(text) for text in texts])


class FakeShards(Backend):
    """A `ShardBackend`: every `groups`-th of `total` shards; passages are dealt out by their place in the world."""

    def __init__(self, group: int, groups: int, total: int, worlds: Mapping[str, list[Passage]]) -> None:
        super().__init__()
        self.numbers = tuple(range(group, total, groups))
        self.total = total
        self.worlds = worlds
        self.batches: list[int] = []
        self.reading = Trouble()
        self.tables: dict[tuple[str, int], NDArray[np.float32]] = {}
        self.along = True
        """Whether passages come along with the hits; otherwise they are asked for, as where there are many."""
        self.damaged: str | None = None

    async def load(self, release: str, path: str) -> Sequence[int]:  # type: ignore[override]
        """See `ShardBackend`."""
        await super().load(release, path)
        return self.numbers

    def rows(self, release: str, number: int) -> list[Passage]:
        """The passages of one shard."""
        return self.worlds[release][number :: self.total]

    async def search(
        self, release: str, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions], along: Sequence[int]
    ) -> GroupHits:
        """Exact."""
        self.batches.append(len(options))
        await self.use(release)
        hits = {number: self._search(release, number, vectors_QD, options) for number in self.numbers}
        passages: list[dict[PassageRow, Passage]] = [{} for _ in options]
        for query, count in enumerate(along if self.along else ()):
            for number, one in hits.items():
                rows = one.rows[query][:count].tolist()
                passages[query] |= {(number, row): self.rows(release, number)[row] for row in rows}
        return GroupHits(hits, passages)

    def _search(
        self, release: str, number: int, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions]
    ) -> ShardHits:
        passages = self.rows(release, number)
        if (release, number) not in self.tables:
            self.tables[release, number] = np.stack([vector(one.text) for one in passages])
        table = self.tables[release, number]
        hits = ShardHits([], [], [], [], [], [], [], number)
        for query, option in zip(vectors_QD, options, strict=True):
            kept = [row for row, one in enumerate(passages) if fits(one, option)]
            scores = np.array([table[row] @ query for row in kept], np.float32)
            order = best(scores, [passages[row].id for row in kept], option.top_k) if kept else np.empty(0, np.int64)
            hits.ids.append([passages[kept[one]].id for one in order])
            hits.langs.append([passages[kept[one]].lang for one in order])
            hits.rows.append(np.array([kept[one] for one in order], np.int64))
            hits.scores.append(scores[order])
            hits.keys.append(scores[order])
            hits.depths.append(option.top_k)
            hits.unseen.append(0)
        return hits

    async def passages(self, release: str, places: Sequence[tuple[int, int]]) -> list[Passage]:
        """See `ShardBackend`."""
        await self.use(release)
        await self.reading.go()
        return [self.rows(release, number)[row] for number, row in places]

    async def damage(self, release: str) -> str | None:
        """See `ShardBackend`."""
        await self.use(release)
        return self.damaged


def fits(passage: Passage, option: SearchOptions) -> bool:
    """Whether an option lets a passage through; only equality and gte of filters."""
    if option.languages is not None and passage.lang not in option.languages:
        return False
    if passage.id in option.exclude_ids:
        return False
    for name, (kind, value) in (option.filter.conditions if option.filter else {}).items():
        own: Any = passage.metadata.get(name)
        if kind == "eq" and own != value:
            return False
        if kind == "in" and own not in value:
            return False
        if kind == "range" and (own is None or own < value.get("gte", own)):
            return False
    return True


class FakeReranker(Backend):
    """A `RerankerBackend`: the more often a passage has the question's first meaning, the better."""

    async def score(self, release: str, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """See `RerankerBackend`."""
        await self.use(release)
        return np.array([5 * float(vector(query) @ vector(text)) - len(text) / 1000 for query, text in pairs], np.float32)


def tokeniser() -> Tokeniser:
    """One token a word."""
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    card = EncoderCard(pooling="mean", query_prompt="", passage_prompt="", max_query_tokens=32, max_passage_tokens=64, pad_id=0)
    return Tokeniser(backend, card)


class House:
    """A gateway over fakes with `groups` groups of `shards` shards, and releases that differ in a mark in their texts."""

    def __init__(self, *, groups: int = 2, shards: int = 4, reranker: bool = True, **settings: Any) -> None:
        self.worlds = {name: world(name) for name in ("red", "blue", "green")}
        self.encoder = FakeEncoder()
        self.shards = [FakeShards(group, groups, shards, self.worlds) for group in range(groups)]
        self.reranker = FakeReranker() if reranker else None
        self.corrupt: set[str] = set()
        patience = {"timeout_ms": 30_000, "highlight_ms": 30_000, **settings.pop("deadline", {})}  # machines may be slow
        self.settings = ServeSettings(examples=("Where is the cat?",), deadline=patience, **settings)
        self.gateway = Gateway(self.encoder, self.shards, self.reranker, self.settings, self.read)
        self.total = shards
        self.app = build_app(self.gateway, control=LocalControl(self.gateway, Path("/releases")))

    def read(self, path: Path) -> ReleaseInfo:
        """What a release is, without files."""
        name = path.name
        if name in self.corrupt or name not in self.worlds:
            raise CorruptError(f"{path}/index/shard-0000.faiss is damaged")
        counts = {lang: sum(one.lang == lang for one in self.worlds[name]) for lang in LANGUAGES}
        means = {
            lang: tuple(np.mean([vector(one.text) for one in self.worlds[name] if one.lang == lang], axis=0).tolist())
            for lang in LANGUAGES
        }
        return ReleaseInfo(
            name=name,
            path=str(path),
            dimension=DIMENSION,
            tokeniser=tokeniser(),
            version="0" * 12,
            factory="Flat",
            shards=self.total,
            languages=counts,
            fields=FIELDS,
            calibration=Calibration(means=means, spreads=dict.fromkeys(LANGUAGES, 0.2)),
            reranker=self.reranker is not None,
            dimensions=(8,),
        )

    @asynccontextmanager
    async def client(self, release: str | None = "red", raise_errors: bool = True) -> Any:
        """An HTTP client of the application, without a network."""
        if release is not None:
            await self.gateway.swap(Path("/releases") / release)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=raise_errors)
        async with httpx.AsyncClient(transport=transport, base_url="http://house", timeout=60) as client:
            yield client


async def until(condition: Callable[[], object]) -> None:
    """Waits until `condition()` holds; a minute is more than any machine needs."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)
