"""Made-up corpora for batch plans: parallel, ragged, unequal and tiny."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xlret.batches.plan import BatchPlan, StepPlan
from xlret.batches.settings import PlanSettings
from xlret.data.pool import GroupPool

WORDS = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
REGIMES = [
    {"regime": "mixed"},
    {"regime": "mono"},
    {"regime": "cross"},
    {"regime": "cross", "pair_per": "batch"},
    {"regime": "hybrid", "alpha": 0.3},
    {"regime": "hybrid", "alpha": 0.5, "pair_per": "batch", "language_tau": 0.5},
    {"regime": "hybrid", "alpha": {"shape": "linear", "start": 1, "end": 0, "steps": 300}, "language_tau": 1},
    {"regime": "hybrid", "alpha": {"shape": "cosine", "start": 0.1, "end": 0.9, "steps": 90}, "alpha_draw": "stratified"},
]


@dataclass(frozen=True)
class Facts:
    """A corpus in memory: which groups have a query, and which a passage, in each language."""

    queries: dict[str, frozenset[int]]
    passages: dict[str, frozenset[int]]
    fingerprint: str = "f"
    path: Path = Path("facts")

    @property
    def n_groups(self) -> int:
        return len(frozenset().union(*self.queries.values(), *self.passages.values()))

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(sorted(self.queries.keys() | self.passages.keys()))

    def members(self, query_lang: str, passage_lang: str) -> frozenset[int]:
        return self.queries.get(query_lang, frozenset()) & self.passages.get(passage_lang, frozenset())

    def pool(self, query_lang: str, passage_lang: str) -> GroupPool:
        return GroupPool.from_members(sorted(self.members(query_lang, passage_lang)))


def parallel(groups: int, languages: Iterable[str], name: str = "parallel") -> Facts:
    every = dict.fromkeys(languages, frozenset(range(groups)))
    return Facts(every, every, name, Path(name))


def ragged(sizes: dict[str, int], share: float = 0.7, name: str = "ragged") -> Facts:
    """Each language has a random part of the groups, another one for each side."""
    rng = np.random.default_rng(len(sizes))
    parts = [{lang: frozenset(np.flatnonzero(rng.random(n) < share).tolist()) for lang, n in sizes.items()} for _ in range(2)]
    return Facts(parts[0], parts[1], name, Path(name))


CORPORA = {
    "parallel": parallel(240, WORDS),
    "ragged": ragged({"en": 900, "de": 700, "fr": 300, "tr": 200}),
    "two languages": parallel(150, ("en", "th")),
}


def plan(corpora: Facts | list[Facts], **values: Any) -> BatchPlan:
    values.setdefault("batch_size", 32)
    return BatchPlan([corpora] if isinstance(corpora, Facts) else corpora, PlanSettings.model_validate(values))


def rows(step: StepPlan) -> list[tuple[str, str, int]]:
    return list(zip(step.query_lang, step.passage_lang, step.group.tolist(), strict=True))


def everything(step: StepPlan) -> tuple[Any, ...]:
    return step.step, step.corpus, step.kind, rows(step)
