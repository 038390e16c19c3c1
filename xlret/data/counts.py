"""What a prepared corpus holds, counted by language: for summaries."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus import ParallelCorpus
from xlret.text.sides import SIDES


@dataclass(frozen=True)
class LanguageCounts:
    """What a corpus holds in one language."""

    lang: str
    queries: int
    passages: int
    pairs: int
    """Groups with both in this language."""


def counts(corpus: ParallelCorpus) -> list[LanguageCounts]:
    """Counts for each language of a corpus, largest first."""
    by_language = [
        LanguageCounts(lang, len(corpus.side("query", lang)), len(corpus.side("passage", lang)), len(corpus.pool(lang, lang)))
        for lang in corpus.languages
    ]
    return sorted(by_language, key=lambda count: (-count.queries - count.passages, count.lang))


def without_pair(corpus: ParallelCorpus) -> int:
    """Groups that have a query in no language, or a passage in none: they are never trained on."""
    masks: list[NDArray[np.bool_]] = []
    for side in SIDES:
        mask = np.zeros(corpus.n_groups, dtype=np.bool_)
        for lang in corpus.languages:
            pool = corpus.side(side, lang)
            for start, stop in zip(pool.starts, pool.stops, strict=True):
                mask[start:stop] = True
        masks.append(mask)
    return int((~(masks[0] & masks[1])).sum())


def largest_cluster(corpus: ParallelCorpus) -> int:
    """How many groups the largest cluster has."""
    return int(np.bincount(corpus.clusters(np.arange(corpus.n_groups))).max())
