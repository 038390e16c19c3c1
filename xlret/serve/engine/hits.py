"""The hits of one query over its shards, and what is missing from them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from xlret.search.merge import ShardHits, merge
from xlret.serve.engine.hedging import DownError

PassageRow = tuple[int, int]
"""Where a passage is: shard number and row."""


@dataclass(frozen=True)
class QueryHit:
    """A hit: where its passage is, and what is known of it without reading that."""

    id: str
    score: float
    language: str
    passage_row: PassageRow


@dataclass
class Missing:
    """Shards of one request that did not answer, and why."""

    shards: dict[int, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    """Of whatever else is missing from the answer."""
    late: bool = False
    """Whether a shard was too late, rather than broken."""

    def sentence(self, total: int) -> str | None:
        """What is missing, for the answer; None where nothing is."""
        parts = list(self.reasons)
        if self.shards:
            numbers = ", ".join(map(str, sorted(self.shards)))
            why = "; ".join(sorted(set(self.shards.values())))
            parts.insert(0, f"{len(self.shards)} of {total} shards are missing (number {numbers}): {why}")
        return "; ".join(parts) or None


def merged(by_shard: Mapping[int, ShardHits], top_k: int) -> list[QueryHit]:
    """The best hits of one query over its shards, best first, ties by id."""
    if not by_shard:
        return []
    hits = merge(list(by_shard.values()), top_k)
    lists = (hits.ids[0], hits.scores[0].tolist(), hits.langs[0], hits.shards[0].tolist(), hits.rows[0].tolist())
    return [QueryHit(id, score, lang, (shard, row)) for id, score, lang, shard, row in zip(*lists, strict=True)]


def is_short(by_shard: Mapping[int, ShardHits], top_k: int) -> bool:
    """Whether a query has fewer hits than it could have, because its search was approximate (see `merge.Hits.short`)."""
    return any(hits.unseen[0] for hits in by_shard.values()) and merge(list(by_shard.values()), top_k).short[0]


def reason(error: BaseException) -> str:
    """Why a backend did not answer, in words that tell a client nothing about files or addresses."""
    if isinstance(error, TimeoutError | DownError):
        return str(error) or "did not answer in time"
    return f"failed with {type(error).__name__}"


def sigmoid(logit: float) -> float:
    """A logit as a probability."""
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))
