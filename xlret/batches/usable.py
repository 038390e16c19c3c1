"""Which language pairs of a corpus a batch plan may draw from, with what weight, and what is too small to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from xlret.batches.settings import PlanSettings
from xlret.batches.walk import Pair
from xlret.data.pool import GroupPool
from xlret.errors import UserError

Kind = Literal["mono", "cross", "mixed"]
"""mono: one language; cross: query language != passage language; mixed: same-language pairs, languages mixed in the batch."""


class PlanCorpus(Protocol):
    """What a batch plan needs to know of a corpus; `ParallelCorpus` is one."""

    @property
    def path(self) -> Path: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def n_groups(self) -> int: ...
    @property
    def languages(self) -> tuple[str, ...]: ...
    def pool(self, query_lang: str, passage_lang: str) -> GroupPool: ...


@dataclass(frozen=True)
class Usable:
    """The pairs of one corpus and kind of batch, their pools and weights, and a sentence for each pair left out."""

    pairs: tuple[Pair, ...]
    pools: tuple[GroupPool, ...]
    weights: NDArray[np.float64]
    dropped: tuple[str, ...]


def plan_languages(corpora: Sequence[PlanCorpus], settings: PlanSettings) -> frozenset[str]:
    """The languages to train on.

    Raises:
        UserError: the settings name a language that no corpus has, or leave none.
    """
    known = sorted({lang for corpus in corpora for lang in corpus.languages})
    for key, codes in (("languages", settings.languages or ()), ("exclude", settings.exclude)):
        if unknown := sorted(set(codes) - set(known)):
            raise UserError(f"plan.{key}: no corpus has {', '.join(unknown)}; the corpora have {', '.join(known)}")
    chosen = frozenset(settings.languages or known) - set(settings.exclude)
    if not chosen:
        raise UserError("plan.languages without plan.exclude leaves no language to train on; take one off plan.exclude")
    return chosen


def usable_pairs(corpus: PlanCorpus, kind: Kind, languages: frozenset[str], settings: PlanSettings) -> Usable:
    """The pairs that batches of `kind` draw from, without those whose pool is empty.

    A pool is too small if it has fewer groups than a batch has rows (where a whole batch comes from one pool), or fewer than
    its mean number of rows in a batch (where each row draws its own pair).

    Raises:
        UserError: a pool is too small and `small_pools` is `error`.
    """
    langs = [lang for lang in corpus.languages if lang in languages]
    if kind == "cross":
        named = [(one, two) for one in langs for two in langs if one != two]
    else:
        named = [(lang, lang) for lang in langs]
    found = [(pair, pool) for pair in named if len(pool := corpus.pool(*pair))]
    whole = is_whole(kind, settings)
    dropped: list[str] = []
    while True:
        sizes = np.array([len(pool) for _, pool in found], dtype=np.float64)
        weights = sizes**settings.language_tau
        needed = np.full(len(found), float(settings.batch_size)) if whole else settings.batch_size * weights / weights.sum()
        small = np.flatnonzero(sizes < needed * (1 - 1e-9)).tolist()
        if not small:
            break
        sentences = [_too_small(corpus, kind, found[i], needed[i], settings.batch_size) for i in small]
        if settings.small_pools == "error":
            more = f" (and {len(small) - 1} more such pools)" if len(small) > 1 else ""
            raise UserError(
                f"{sentences[0]}{more}; lower plan.batch_size, leave the language out (plan.languages, plan.exclude) "
                "or set plan.small_pools to drop"
            )
        dropped += sentences
        found = [one for i, one in enumerate(found) if i not in set(small)]
    return Usable(tuple(pair for pair, _ in found), tuple(pool for _, pool in found), weights, tuple(dropped))


def is_whole(kind: Kind, settings: PlanSettings) -> bool:
    """Whether a batch of this kind comes from one pool as a whole."""
    return kind == "mono" or (kind == "cross" and settings.pair_per == "batch")


def _too_small(corpus: PlanCorpus, kind: Kind, found: tuple[Pair, GroupPool], needed: float, batch_size: int) -> str:
    (query_lang, passage_lang), pool = found
    languages = query_lang if query_lang == passage_lang else f"{query_lang}-{passage_lang}"
    groups = f"{len(pool)} group{'s' if len(pool) > 1 else ''}"
    need = f"the batch of {batch_size}" if needed == batch_size else f"its mean of {needed:.1f} rows in a batch of {batch_size}"
    return f"corpus {corpus.path}: the {languages} pool for {kind} batches has {groups}, fewer than {need}"
