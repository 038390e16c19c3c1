"""Which candidates of a query are hard negatives: pure functions of ranked passages and their scores."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from xlret.keys import generator
from xlret.mine.settings import MineJob


class Candidate(NamedTuple):
    """A passage that was ranked for a query."""

    group: int
    lang: str
    score: float


@dataclass
class MineCounts:
    """What became of the candidates, by query and passage language."""

    negatives: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    too_near: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """Dropped since they score like an answer."""
    own: int = 0
    """Passages of the query's own cluster among the ranked ones."""


def passing(
    ranked: Sequence[Candidate],
    query_lang: str,
    own_cluster: int,
    cluster_of: Mapping[int, int],
    positives: Mapping[str, float],
    job: MineJob,
    counts: MineCounts,
) -> list[Candidate]:
    """The candidates of one query that may be its negatives, best first, one for each cluster.

    Passages of the query's own cluster, in whatever language, are no candidates and have no rank. Of the others those from
    `first_rank` to `last_rank` are looked at, in each language for draw `balanced`.

    Args:
        ranked: best first.
        query_lang: of the query.
        own_cluster: of the query's group.
        cluster_of: group -> cluster.
        positives: language -> score of the group's own passage in it.
        job: window and filters.
        counts: told what was dropped.
    """
    ranks: dict[str, int] = defaultdict(int)
    seen, passed = {own_cluster}, []
    best_positive = max(positives.values())
    for candidate in ranked:
        cluster = cluster_of[candidate.group]
        if cluster == own_cluster:
            counts.own += 1
            continue
        counted = candidate.lang if job.draw == "balanced" else ""
        ranks[counted] += 1
        if not job.first_rank <= ranks[counted] <= job.last_rank or cluster in seen:
            continue
        if _too_near(candidate.score, positives.get(candidate.lang, best_positive), job):
            counts.too_near[query_lang, candidate.lang] += 1
            continue
        seen.add(cluster)
        passed.append(candidate)
    return passed


def _too_near(score: float, positive: float, job: MineJob) -> bool:
    if job.highest is not None and score > job.highest:
        return True
    if job.below is not None and score > positive - job.below:
        return True
    # For cosines and BM25 the published share of the positive; a reranker's logits may be negative, where less is lower still.
    return job.margin is not None and score > positive - (1 - job.margin) * abs(positive)


def chosen(passed: Sequence[Candidate], group: int, job: MineJob) -> list[Candidate]:
    """At most `negatives` of them, best first; for draw `balanced` as many of each language as there are, in turn."""
    order = list(passed)
    if job.keep == "random":
        order = [passed[row] for row in generator(job.seed, "mine", group).permutation(len(passed)).tolist()]
    if job.draw == "balanced":
        turns: dict[str, int] = defaultdict(int)
        numbered = []
        for candidate in order:
            numbered.append((turns[candidate.lang], candidate))
            turns[candidate.lang] += 1
        order = [candidate for _, candidate in sorted(numbered, key=lambda entry: entry[0])]
    return sorted(order[: job.negatives], key=lambda candidate: -candidate.score)


def asked_languages(group: int, known: Sequence[str], job: MineJob) -> list[str]:
    """The languages in which a group's queries are asked: a draw that depends on seed and group alone.

    >>> job = MineJob(corpus="/c", out="/o", by="bm25", queries_per_group=2)
    >>> asked_languages(7, ["de", "en", "fr"], job) == asked_languages(7, ["de", "en", "fr"], job)
    True
    """
    order: Sequence[int] = np.sort(
        generator(job.seed, "query", group).permutation(len(known))[: job.queries_per_group]
    ).tolist()
    return [known[row] for row in order]
