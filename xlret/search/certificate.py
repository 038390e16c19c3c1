"""What an index is worth, measured on itself: recall against exact search, and queries a second at each dial.

Every shard is asked in a call of its own, so that a call needs the memory of one shard, or of several small ones.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from xlret.calls import Calls
from xlret.files import write_text
from xlret.search.index import merged
from xlret.search.manifest import Certificate, Dial, IndexManifest, ShardEntry
from xlret.search.merge import Hits, ShardHits, merge
from xlret.search.query import SearchOptions
from xlret.search.shard import Shard

_DIALS = {"flat": [1], "ivf": [1 << power for power in range(11)], "hnsw": [1 << power for power in range(4, 11)]}
_ENOUGH = 0.9995
_LEAST_SECONDS = 0.2
_TIMED = 64
_MEASURED = ".measured.json"
_KEPT_BYTES = 1 << 28
Options = list[SearchOptions]
"""One for each query."""


def certify(
    version_dir: Path,
    manifest: IndexManifest,
    vectors_QD: NDArray[np.float32],
    exclude: list[frozenset[str]],
    made_of: str,
    target: float,
    calls: Calls,
) -> Certificate:
    """Measures an index on a sample of queries.

    Costs an exact search of every query, and one at each dial (powers of two, until nothing is missed). The speed is that of
    queries one by one in one thread, by its processor time; waits for a disk are not in it.

    Args:
        version_dir: files of the index; the manifest is there meanwhile, for the calls.
        manifest: what it says of itself so far.
        vectors_QD: query vectors.
        exclude: for each query, ids not to be found (the query itself, where queries are passages).
        made_of: what the queries are, in words.
        target: recall@10 that the default dial shall reach.
        calls: where shards are searched.
    """
    write_text(version_dir / _MEASURED, manifest.model_dump_json())
    index = _AskedByCalls(version_dir, len(manifest.shards), calls)
    options = [SearchOptions(top_k=10, exclude_ids=ids) for ids in exclude]
    [exact], exact_qps = index.measured(vectors_QD, [_changed(options, top_k=100, exact=True)], _changed(options, exact=True))
    dials: list[Dial] = []
    for value in _values(manifest):
        tried = _changed(options, nprobe=value, ef=value)
        [ten, hundred], qps = index.measured(vectors_QD, [tried, _changed(tried, top_k=100)], tried)
        recall_10, recall_100 = (_recall(exact.ids, hits.ids, count) for hits, count in ((ten, 10), (hundred, 100)))
        dials.append(Dial(value=value, recall_10=recall_10, recall_100=recall_100, qps=qps))
        if dials[-1].recall_100 >= _ENOUGH:
            break
    (version_dir / _MEASURED).unlink()
    good = [dial for dial in dials if dial.recall_10 >= target]
    best = good[0] if good else max(dials, key=lambda dial: dial.recall_10)
    return Certificate(
        queries=len(vectors_QD),
        made_of=made_of,
        exact_qps=exact_qps,
        target=target,
        dials=tuple(dials),
        default=None if manifest.kind == "flat" else best.value,
    )


@dataclass(frozen=True)
class _Question:
    """What one shard is asked in a call."""

    version_dir: Path
    session: str
    """Of the measurement: another may have another index at the same path."""
    number: int
    vectors_QD: NDArray[np.float32]
    options: tuple[Options, ...]
    """Searches of all queries, each with its options."""
    timed: Options
    """Options of the search whose time is taken."""
    least_seconds: float


class _Answer(NamedTuple):
    parts: list[ShardHits]
    """For each of the question's searches."""
    seconds: float
    """Processor time of one query."""


class _AskedByCalls:
    """A whole index whose shards are searched in calls."""

    def __init__(self, version_dir: Path, shards: int, calls: Calls) -> None:
        self._version_dir, self._shards, self._calls = version_dir, shards, calls
        self._session = secrets.token_hex(8)

    def measured(
        self, vectors_QD: NDArray[np.float32], searches: Sequence[Options], timed: Options
    ) -> tuple[list[Hits], float]:
        """The hits of some searches, and the queries a second of a further one."""
        answers = self._ask(vectors_QD, searches, timed)
        hits = [
            merged([answer.parts[search] for answer in answers], vectors_QD, options, self._search)
            for search, options in enumerate(searches)
        ]
        start = time.thread_time()
        merge([answer.parts[0] for answer in answers], [asked.top_k for asked in searches[0]])
        merging = (time.thread_time() - start) / len(vectors_QD)
        return hits, 1 / max(1e-6, merging + sum(answer.seconds for answer in answers))

    def _search(self, vectors_QD: NDArray[np.float32], options: Options) -> Hits:
        return merged([answer.parts[0] for answer in self._ask(vectors_QD, [options])], vectors_QD, options, self._search)

    def _ask(self, vectors_QD: NDArray[np.float32], searches: Sequence[Options], timed: Options | None = None) -> list[_Answer]:
        questions = [
            _Question(
                self._version_dir,
                self._session,
                number,
                vectors_QD,
                tuple(searches),
                [] if timed is None else timed[: min(len(vectors_QD), _TIMED)],
                _LEAST_SECONDS / self._shards,
            )
            for number in range(self._shards)
        ]
        return list(self._calls(_answered, questions))


_open_shards: LRUCache[tuple[str, int], Shard] = LRUCache(_KEPT_BYTES, getsizeof=lambda shard: _held_bytes(shard.entry))
"""The shards that this process was asked last, several where they are small."""


def _held_bytes(entry: ShardEntry) -> int:
    """What an open shard holds, in memory or mapped, as far as it counts here."""
    return min(_KEPT_BYTES, sum(file.size for file in entry.files()))


def _answered(question: _Question) -> _Answer:
    """A shard's answers to a question, and the time it took for one query."""
    key = (question.session, question.number)
    if (shard := _open_shards.get(key)) is None:
        manifest = IndexManifest.model_validate_json((question.version_dir / _MEASURED).read_bytes())
        wanted = _held_bytes(manifest.shards[question.number])
        while _open_shards and _open_shards.currsize + wanted > _KEPT_BYTES:
            _open_shards.popitem()  # before the next is read: they may be large
        shard = _open_shards[key] = Shard.open(question.version_dir, question.number, manifest, verify=False)
    parts = [shard.search(question.vectors_QD, options) for options in question.options]
    if not question.timed:
        return _Answer(parts, 0.0)
    start, done = time.thread_time(), 0
    while done == 0 or time.thread_time() - start < question.least_seconds:
        row = done % len(question.timed)
        shard.search(question.vectors_QD[row : row + 1], question.timed[row])
        done += 1
    return _Answer(parts, (time.thread_time() - start) / done)


def _values(manifest: IndexManifest) -> Iterator[int]:
    for value in _DIALS[manifest.kind]:
        yield min(value, manifest.nlist or value)
        if manifest.nlist is not None and value >= manifest.nlist:
            return


def _changed(options: Options, **changes: Any) -> Options:
    return [replace(asked, **changes) for asked in options]


def _recall(exact: list[list[str]], approximate: list[list[str]], count: int) -> float:
    """The mean share of each query's `count` best that was found."""
    shares = [
        len(set(best[:count]) & set(hits[:count])) / len(best[:count])
        for best, hits in zip(exact, approximate, strict=True)
        if best
    ]
    return float(np.mean(shares)) if shares else 1.0
