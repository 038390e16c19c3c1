"""Which pools a batch plan draws from, with what share of the rows, and what is too small to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from xlret.batches.settings import PlanSettings
from xlret.batches.walk import Pair, distinct_groups
from xlret.data.pool import GroupPool
from xlret.errors import UserError
from xlret.provenance import Fingerprinted
from xlret.shapes import FloatArray

Kind = Literal["mono", "cross", "mixed"]
"""mono: one language; cross: query language != passage language; mixed: same-language pairs, languages mixed in the batch."""


class PlanCorpus(Fingerprinted, Protocol):
    """What a batch plan needs to know of a corpus; `ParallelCorpus` is one."""

    @property
    def languages(self) -> tuple[str, ...]: ...
    def pool(self, query_lang: str, passage_lang: str) -> GroupPool: ...


@dataclass(frozen=True)
class UsablePools:
    """The pools of one corpus that batches of a kind draw from."""

    corpus: int
    """Which of the plan's corpora."""
    pairs: tuple[Pair, ...]
    pools: tuple[GroupPool, ...]
    shares: FloatArray
    """[pairs] The share of all rows of this kind that each pool gives; over all corpora they sum to 1."""


@dataclass(frozen=True)
class _NamedPool:
    corpus: int
    pair: Pair
    pool: GroupPool


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


def usable_pools(
    corpora: Sequence[PlanCorpus], kind: Kind, languages: frozenset[str], settings: PlanSettings
) -> tuple[list[UsablePools], list[str]]:
    """The pools that batches of `kind` draw from, a corpus an entry, and a sentence for each pool or corpus left out.

    A pair's share is (its groups in all corpora)^language_tau; the corpora that have the pair divide it by (their groups of the
    pair)^corpus_tau. So a language is as frequent as `language_tau` says, however many corpora have it.

    A pool is too small if it has fewer groups than a batch has rows (where a whole batch comes from one pool), or fewer than
    its mean number of rows in a batch of its corpus (where each row draws its own pair). A corpus is too small if its pools
    together have fewer groups than a batch has rows. What is left out changes the shares of the rest, which are then
    reckoned anew.

    Raises:
        UserError: a pool or corpus is too small and `small_pools` is `error`.
    """
    named = [
        _NamedPool(number, pair, pool)
        for number, corpus in enumerate(corpora)
        for pair in _pairs(corpus, kind, languages)
        if len(pool := corpus.pool(*pair))
    ]
    dropped: list[str] = []
    while named:
        shares = _shares(named, settings)
        small = _small_pools(corpora, kind, named, shares, settings) or _small_corpora(corpora, kind, named, settings)
        if not small:
            break
        if settings.small_pools == "error":
            more = f" (and {len(small) - 1} more such)" if len(small) > 1 else ""
            raise UserError(
                f"{next(iter(small.values()))}{more}; lower plan.batch_size, leave the language out (plan.languages, "
                "plan.exclude), take more groups or set plan.small_pools to drop"
            )
        dropped += dict.fromkeys(small.values())
        named = [pool for position, pool in enumerate(named) if position not in small]
    usable = []
    for number in dict.fromkeys(pool.corpus for pool in named):
        positions = [position for position, pool in enumerate(named) if pool.corpus == number]
        pairs, pools = zip(*((named[position].pair, named[position].pool) for position in positions), strict=True)
        usable.append(UsablePools(number, pairs, pools, shares[positions]))
    return usable, dropped


def is_whole(kind: Kind, settings: PlanSettings) -> bool:
    """Whether a batch of this kind comes from one pool as a whole."""
    return kind == "mono" or (kind == "cross" and settings.pair_per == "batch")


def _pairs(corpus: PlanCorpus, kind: Kind, languages: frozenset[str]) -> list[Pair]:
    langs = [lang for lang in corpus.languages if lang in languages]
    if kind == "cross":
        return [(query_lang, passage_lang) for query_lang in langs for passage_lang in langs if query_lang != passage_lang]
    return [(lang, lang) for lang in langs]


def _shares(named: Sequence[_NamedPool], settings: PlanSettings) -> FloatArray:
    """[pools] Each pool's share of all rows: its pair's share, times its corpus' share of the pair."""
    _, pair_P = np.unique([f"{pool.pair[0]}\0{pool.pair[1]}" for pool in named], return_inverse=True)
    sizes_P = np.array([len(pool.pool) for pool in named], dtype=np.float64)
    pair_weights = np.bincount(pair_P, sizes_P) ** settings.language_tau
    corpus_weights_P = sizes_P**settings.corpus_tau
    of_pair_P = corpus_weights_P / np.bincount(pair_P, corpus_weights_P)[pair_P]
    shares_P: FloatArray = pair_weights[pair_P] / pair_weights.sum() * of_pair_P
    return shares_P


def _small_pools(
    corpora: Sequence[PlanCorpus], kind: Kind, named: Sequence[_NamedPool], shares: FloatArray, settings: PlanSettings
) -> dict[int, str]:
    """Positions of the pools that are too small, and a sentence for each."""
    corpus_P = np.array([pool.corpus for pool in named])
    needed_P = np.full(len(named), float(settings.batch_size))
    if not is_whole(kind, settings):
        needed_P *= shares / np.bincount(corpus_P, shares)[corpus_P]
    small = {}
    for position, (pool, needed) in enumerate(zip(named, needed_P.tolist(), strict=True)):
        size = len(pool.pool)
        if size >= needed * (1 - 1e-9):
            continue
        langs = "-".join(dict.fromkeys(pool.pair))
        rows = "the batch of" if needed == settings.batch_size else f"its mean of {needed:.1f} rows in a batch of"
        groups = f"{size} group{'s' if size > 1 else ''}"
        path = corpora[pool.corpus].path
        small[position] = (
            f"corpus {path}: the {langs} pool for {kind} batches has {groups}, fewer than {rows} {settings.batch_size}"
        )
    return small


def _small_corpora(
    corpora: Sequence[PlanCorpus], kind: Kind, named: Sequence[_NamedPool], settings: PlanSettings
) -> dict[int, str]:
    """Positions of the pools of corpora that are too small as a whole, and a sentence for each."""
    small: dict[int, str] = {}
    for number in dict.fromkeys(pool.corpus for pool in named):
        positions = [position for position, pool in enumerate(named) if pool.corpus == number]
        groups = distinct_groups([named[position].pool for position in positions])
        if groups < settings.batch_size:
            sentence = (
                f"corpus {corpora[number].path} has {groups} groups for {kind} batches, "
                f"fewer than the batch of {settings.batch_size}"
            )
            small |= dict.fromkeys(positions, sentence)
    return small
