"""What an index is worth, measured on itself: recall against exact search, and queries a second at each dial."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xlret.search.index import SearchIndex
from xlret.search.manifest import Certificate, Dial
from xlret.search.query import SearchOptions

_DIALS = {"flat": [1], "ivf": [1 << power for power in range(11)], "hnsw": [1 << power for power in range(4, 11)]}
_ENOUGH = 0.9995
_LEAST_SECONDS = 0.2


def certify(
    index: SearchIndex,
    vectors_QD: NDArray[np.float32],
    exclude: list[frozenset[str]],
    made_of: str,
    target: float,
) -> Certificate:
    """Measures an index on a sample of queries.

    Costs an exact search of every query, and one at each dial (powers of two, until nothing is missed). The speed is that of
    queries one by one in one thread, by its processor time; waits for a disk are not in it.

    Args:
        index: the index.
        vectors_QD: query vectors.
        exclude: for each query, ids not to be found (the query itself, where queries are passages).
        made_of: what the queries are, in words.
        target: recall@10 that the default dial shall reach.
    """
    options = [SearchOptions(top_k=10, exclude_ids=ids) for ids in exclude]
    timed = slice(0, max(1, min(len(vectors_QD), 64)))
    exact = index.search(vectors_QD, [replace(asked, top_k=100, exact=True) for asked in options])
    exact_qps = _speed(index, vectors_QD[timed], [replace(asked, exact=True) for asked in options[timed]])
    dials: list[Dial] = []
    for value in _values(index):
        tried = [_with_dial(asked, value) for asked in options]
        ten, hundred = (index.search(vectors_QD, [replace(asked, top_k=count) for asked in tried]) for count in (10, 100))
        dials.append(
            Dial(
                value=value,
                recall_10=_recall(exact.ids, ten.ids, 10),
                recall_100=_recall(exact.ids, hundred.ids, 100),
                qps=_speed(index, vectors_QD[timed], tried[timed]),
            )
        )
        if dials[-1].recall_100 >= _ENOUGH:
            break
    good = [dial for dial in dials if dial.recall_10 >= target]
    best = good[0] if good else max(dials, key=lambda dial: dial.recall_10)
    return Certificate(
        queries=len(vectors_QD),
        made_of=made_of,
        exact_qps=exact_qps,
        target=target,
        dials=tuple(dials),
        default=None if index.manifest.kind == "flat" else best.value,
    )


def _values(index: SearchIndex) -> Iterator[int]:
    for value in _DIALS[index.manifest.kind]:
        yield min(value, index.manifest.nlist or value)
        if index.manifest.nlist is not None and value >= index.manifest.nlist:
            return


def _with_dial(options: SearchOptions, value: int) -> SearchOptions:
    return replace(options, nprobe=value, ef=value)


def _recall(exact: list[list[str]], approximate: list[list[str]], count: int) -> float:
    """The mean share of each query's `count` best that was found."""
    shares = [
        len(set(best[:count]) & set(hits[:count])) / len(best[:count])
        for best, hits in zip(exact, approximate, strict=True)
        if best
    ]
    return float(np.mean(shares)) if shares else 1.0


def _speed(index: SearchIndex, vectors_QD: NDArray[np.float32], options: list[SearchOptions]) -> float:
    """Queries a second, one by one: of this thread's processor time, so that a busy machine does not look like a slow index."""
    start, done = time.thread_time(), 0
    while done == 0 or time.thread_time() - start < _LEAST_SECONDS:
        row = done % len(vectors_QD)
        index.search(vectors_QD[row : row + 1], options[row])
        done += 1
    return done / max(1e-6, time.thread_time() - start)
