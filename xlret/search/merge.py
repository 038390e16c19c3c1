"""Hits of several shards as the hits of one index, ties included."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ShardHits(NamedTuple):
    """What one shard found for Q queries; entry q of each list is query q's, sorted by (score, highest first; id).

    At most `depths[q]` candidates each: top_k where scores decided, more where codes did (see `merge`).
    """

    ids: list[list[str]]
    rows: list[NDArray[np.int64]]
    scores: list[NDArray[np.float32]]
    """Inner products with the vectors as stored."""
    langs: list[list[str]]
    keys: list[NDArray[np.float32]]
    """What the candidates were found by: the scores, or inner products with coarser codes."""
    depths: list[int]
    """How many candidates, over all shards and by `keys`, are to be ordered by `scores`."""
    unseen: list[int]
    """Passages in question that were not looked at; 0 after an exact search."""
    number: int
    """The shard's."""


class Hits(NamedTuple):
    """What was found for Q queries; entry q of each list is query q's, best first, ties by id."""

    ids: list[list[str]]
    scores: list[NDArray[np.float32]]
    langs: list[list[str]]
    shards: list[NDArray[np.int64]]
    rows: list[NDArray[np.int64]]
    short: list[bool]
    """Fewer than top_k hits although there are passages not looked at: to be searched again with `exact`."""


def merge(parts: Sequence[ShardHits], top_k: int | Sequence[int]) -> Hits:
    """The hits of one index over all the shards' passages.

    First the best `depths[q]` candidates by key, then of these the best `top_k` by score: in that order it does not matter
    how passages are spread over shards. Costs about 1 microsecond a candidate.

    Args:
        parts: of at least one shard; shards that did not answer are left out.
        top_k: for all queries, or one each.

    >>> one = np.ones(1, np.float32)
    >>> def hit(name, number): return ShardHits([[name]], [np.zeros(1, np.int64)], [one], [["en"]], [one], [2], [0], number)
    >>> merge([hit("b", 0), hit("a", 1)], 2).ids
    [['a', 'b']]
    """
    queries = len(parts[0].ids)
    wanted = [top_k] * queries if isinstance(top_k, int) else list(top_k)
    hits = Hits([], [], [], [], [], [])
    if len(parts) == 1:
        return _hits_of_one_shard(parts[0], wanted)
    for query in range(queries):
        ids = [name for part in parts for name in part.ids[query]]
        langs = [code for part in parts for code in part.langs[query]]
        scores = np.concatenate([part.scores[query] for part in parts])
        keys = np.concatenate([part.keys[query] for part in parts])
        rows = np.concatenate([part.rows[query] for part in parts])
        shards = np.concatenate([np.full(len(part.rows[query]), part.number, np.int64) for part in parts])
        order = best(keys, ids, min(part.depths[query] for part in parts))
        order = order[best(scores[order], [ids[position] for position in order], wanted[query])]
        hits.ids.append([ids[position] for position in order])
        hits.langs.append([langs[position] for position in order])
        hits.scores.append(scores[order])
        hits.shards.append(shards[order])
        hits.rows.append(rows[order])
        hits.short.append(len(order) < wanted[query] and any(part.unseen[query] > 0 for part in parts))
    return hits


def _hits_of_one_shard(part: ShardHits, wanted: list[int]) -> Hits:
    """A single shard has the order already."""
    hits = Hits([], [], [], [], [], [])
    for query, count in enumerate(wanted):
        hits.ids.append(part.ids[query][:count])
        hits.langs.append(part.langs[query][:count])
        hits.scores.append(part.scores[query][:count])
        hits.rows.append(part.rows[query][:count])
        hits.shards.append(np.full(len(hits.rows[-1]), part.number, np.int64))
        hits.short.append(len(hits.rows[-1]) < count and part.unseen[query] > 0)
    return hits


def best(scores_N: NDArray[np.float32], ids: Sequence[str], count: int) -> NDArray[np.int64]:
    """The places of the `count` highest scores, best first, ties by id (code points)."""
    order = np.argsort(-scores_N, kind="stable")
    ordered = scores_N[order]
    if (ordered[1:] == ordered[:-1]).any():
        values = scores_N.tolist()
        order = np.array(sorted(range(len(ids)), key=lambda position: (-values[position], ids[position])), dtype=np.int64)
    return order[:count]
