"""Fairness between languages at search time: the order of hits that come from a search of each language by itself.

Encoders give passages of some languages higher scores than equally good ones of others, most of all those of the query's own
language. Three balances:

- `none`: by score.
- `calibrated`: by calibrated score: how many standard deviations a hit lies above what passages of its language usually score
  for this query.
- `quota`: languages take turns with their competitive hits: the best of each, then the second of each, and so on.

All keep the order within a language, and so need, for an exact answer, no more than the `top_k` best hits of each language.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.search.calibration import Calibration

Balance = Literal["none", "quota", "calibrated"]
BALANCES: tuple[Balance, ...] = ("none", "quota", "calibrated")
MARGIN = 2.0
"""By how many standard deviations a competitive hit may lie below the best one."""


def balanced_order(
    balance: Balance,
    ids: Sequence[str],
    scores_N: NDArray[np.float32],
    langs: Sequence[str],
    top_k: int,
    *,
    calibration: Calibration | None = None,
    query_vector_D: NDArray[np.float32] | None = None,
) -> list[int]:
    """The best `min(top_k, N)` of one query's hits, as places in the lists given, best first.

    The hits may come in any order: ties are broken by id (code points, ascending), so the answer does not depend on it. For
    `quota` and `calibrated` they should be the `top_k` best of every language; then the answer is what balancing all passages
    would give. Cost: about half a millisecond for 1,200 hits.

    Competitive for `quota` are hits whose calibrated score lies at most `MARGIN` standard deviations below the best one; a
    language with such a hit is relevant to the query. As long as relevant languages have competitive hits they get the same
    number of places, plus or minus one. All other hits come after these, by calibrated score, so that no place stays empty.
    Without a calibration nothing can be said of scores in different languages, and all languages take turns with all hits.

    Args:
        balance: one of `BALANCES`.
        ids: N external ids.
        scores_N: their scores.
        langs: their languages.
        top_k: how many to return at most.
        calibration: of the index; needed for `calibrated`.
        query_vector_D: the query's vector; needed with a calibration.

    Raises:
        UserError: an unknown balance, `calibrated` without a calibration, or a calibration without a query vector.

    >>> hits = {"ids": ["a", "b", "c"], "scores_N": np.float32([0.9, 0.8, 0.3]), "langs": ["en", "en", "de"]}
    >>> balanced_order("none", **hits, top_k=2), balanced_order("quota", **hits, top_k=2)
    ([0, 1], [0, 2])
    """
    if balance not in BALANCES:
        raise UserError(f"unknown balance {balance!r}; allowed are {', '.join(BALANCES)}")
    if balance == "calibrated" and calibration is None:
        raise UserError("this index has no calibration; make it again with one, or choose balance quota or none")
    value_N: NDArray[np.floating[Any]] = np.asarray(scores_N)
    if balance != "none" and calibration is not None and len(ids):
        if query_vector_D is None:
            raise UserError("calibrated scores need the vector of the query")
        value_N = calibration.standardised(value_N, langs, query_vector_D)
    best_first_N = _sorted(value_N, ids)
    if balance == "quota":
        _, lang_N = np.unique(np.asarray(langs, dtype=np.str_), return_inverse=True)
        margin = np.inf if calibration is None else MARGIN
        best_first_N = best_first_N[taking_turns(value_N[best_first_N], lang_N[best_first_N], margin)]
    order: list[int] = best_first_N[:top_k].tolist()
    return order


def taking_turns(value_N: NDArray[np.floating[Any]], lang_N: NDArray[np.int64], margin: float) -> NDArray[np.int64]:
    """The order in which languages take turns: their best ones by value, then their second ones by value, and so on.

    Args:
        value_N: values, the highest first.
        lang_N: number of the language of each.
        margin: those farther than this below the first take no turns and come last, by value.

    >>> taking_turns(np.array([9, 8, 7, 6, 2, 1]), np.array([0, 0, 0, 1, 2, 1]), margin=5).tolist()
    [0, 3, 1, 2, 4, 5]
    """
    if not len(value_N):
        return np.empty(0, dtype=np.int64)
    taking = int(np.searchsorted(-value_N, margin - value_N[0], side="right"))
    lang_T = lang_N[:taking]
    by_lang = np.argsort(lang_T, kind="stable")
    grouped = lang_T[by_lang]
    turn_T = np.empty(taking, dtype=np.int64)
    turn_T[by_lang] = np.arange(taking) - np.searchsorted(grouped, grouped)
    return np.concatenate([np.argsort(turn_T, kind="stable"), np.arange(taking, len(value_N))])


def _sorted(value_N: NDArray[np.floating[Any]], ids: Sequence[str]) -> NDArray[np.int64]:
    """Places by value, highest first, ties by id; only tied ids are compared."""
    order = np.argsort(-value_N, kind="stable")
    tied = np.flatnonzero(np.diff(value_N[order]) == 0)
    for run in np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1) if len(tied) else ():
        span = slice(run[0], run[-1] + 2)
        order[span] = sorted(order[span], key=ids.__getitem__)
    return order


class LanguageQuota(NamedTuple):
    """How much of something is in one language, from 0 to 1."""

    hits: float
    corpus: float


def language_share(langs: Sequence[str], counts: Mapping[str, int]) -> dict[str, LanguageQuota]:
    """Share of each language among hits against its share of the corpus; languages in alphabetical order.

    >>> language_share(["de", "de", "en"], {"de": 1, "en": 8, "fr": 1})["de"]
    LanguageQuota(hits=0.6666666666666666, corpus=0.1)
    """
    languages = sorted({*langs, *counts})
    total = sum(counts.values())
    counted = Counter(langs)
    return {
        lang: LanguageQuota(counted[lang] / len(langs) if langs else 0.0, counts.get(lang, 0) / total if total else 0.0)
        for lang in languages
    }


def share_distance(shares: Mapping[str, LanguageQuota]) -> float:
    """How far hits are from the languages of the corpus: half the sum of differences, 0 (same shares) to 1 (none in common).

    >>> round(share_distance({"de": LanguageQuota(1.0, 0.25), "en": LanguageQuota(0.0, 0.75)}), 6)
    0.75
    """
    return sum(abs(share.hits - share.corpus) for share in shares.values()) / 2
