"""Is the difference of two encoders more than chance? Paired tests over queries, corrected for the number of tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # type: ignore[import-untyped]  # its submodules load when they are used

from xlret.errors import UserError
from xlret.keys import generator
from xlret.shapes import FloatArray

_NUMBERS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Difference:
    """A against B over the same queries."""

    name: str
    n: int
    mean_a: float
    mean_b: float
    low: float
    """Lower end of the 95 % bootstrap interval of mean A - mean B."""
    high: float
    p: float
    """Two-sided p-value of the paired randomisation test."""
    p_holm: float
    """The same, corrected for all tests made together."""


def randomisation_test(a_N: FloatArray, b_N: FloatArray, *, seed: int = 0, samples: int = 10_000) -> float:
    """Two-sided p-value of the mean difference under random swaps of A and B within each pair (Smucker et al. 2007).

    What `scipy.stats.permutation_test` estimates with `permutation_type="samples"` and the absolute mean difference; that
    draws an order for each pair where a bit is enough, and takes seven times as long (15 s for 5,000 queries).

    Cost: N x samples random bits; 2 s for 5,000 queries. The least p is 1 / (samples + 1).

    Raises:
        ValueError: unequal lengths or no pairs.
    """
    difference_N = _differences(a_N, b_N)
    difference_N = difference_N[difference_N != 0]
    if not len(difference_N):
        return 1.0
    observed = abs(difference_N.sum()) * (1 - 1e-12)  # sums in another order must not lose the observed one
    rng, extreme = generator(seed, "randomisation test"), 0
    for size in _chunks(samples, len(difference_N)):
        sign_SN = rng.integers(0, 2, (size, len(difference_N)), dtype=np.int8) * 2.0 - 1.0
        extreme += int(np.count_nonzero(np.abs(sign_SN @ difference_N) >= observed))
    return (extreme + 1) / (samples + 1)


def bootstrap_interval(
    a_N: FloatArray, b_N: FloatArray, *, level: float = 0.95, seed: int = 0, samples: int = 10_000
) -> tuple[float, float]:
    """Percentile bootstrap interval of mean A - mean B, queries drawn with replacement.

    Raises:
        ValueError: unequal lengths, no pairs, or a level outside 0 to 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; allowed is between 0 and 1")
    difference_N = _differences(a_N, b_N)
    if len(difference_N) == 1:  # every draw is the one query
        return float(difference_N[0]), float(difference_N[0])
    interval = scipy.stats.bootstrap(
        (difference_N,),
        np.mean,
        confidence_level=level,
        n_resamples=samples,
        batch=_chunks(samples, len(difference_N))[0],
        method="percentile",
        rng=generator(seed, "bootstrap"),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def drawn_counts(rng: np.random.Generator, draws: int, n: int) -> FloatArray:
    """How often each of n is drawn in draws of n with replacement, [draws, n]."""
    drawn_SN = rng.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn_SN.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: below 0.05 keeps the chance of any false finding among all tests below 5 %.

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected, running = [0.0] * len(p_values), 0.0
    for smaller, row in enumerate(sorted(range(len(p_values)), key=lambda row: p_values[row])):
        running = max(running, min(1.0, (len(p_values) - smaller) * p_values[row]))
        corrected[row] = running
    return corrected


@dataclass(frozen=True)
class QueryScore:
    """What a test needs to know of one query."""

    lang: str
    group: str
    value: float
    """NaN for a query without relevant passages."""


def compare(a: Mapping[str, QueryScore], b: Mapping[str, QueryScore], *, seed: int = 0) -> list[Difference]:
    """A against B: over all questions, then by query language, corrected together.

    A question in several languages is not several independent questions: over all languages a group counts once, by the mean
    over its languages.

    Args:
        a, b: score of each query by its id.

    Raises:
        UserError: they do not have the same queries, or none has a value.
    """
    if a.keys() != b.keys():
        example = sorted(a.keys() ^ b.keys())[0]
        raise UserError(
            f"the two evaluations have different queries ({len(a)} and {len(b)}; only one has {example!r}); "
            "evaluate both on the same set and languages"
        )
    usable = [query_id for query_id in sorted(a) if not (np.isnan(a[query_id].value) or np.isnan(b[query_id].value))]
    if not usable:
        raise UserError("there is no query with a relevant passage to compare")
    groups: dict[str, list[str]] = {}
    langs: dict[str, list[str]] = {}
    for query_id in usable:
        groups.setdefault(a[query_id].group, []).append(query_id)
        langs.setdefault(a[query_id].lang, []).append(query_id)
    units = {"all": list(groups.values())}
    units |= {lang: [[query_id] for query_id in langs[lang]] for lang in sorted(langs)}
    pairs = [(name, _means(a, rows), _means(b, rows)) for name, rows in units.items()]
    p_values = [randomisation_test(left, right, seed=seed) for _, left, right in pairs]
    rows = []
    for (name, left, right), p, p_holm in zip(pairs, p_values, holm(p_values), strict=True):
        low, high = bootstrap_interval(left, right, seed=seed)
        rows.append(Difference(name, len(left), float(left.mean()), float(right.mean()), low, high, p, p_holm))
    return rows


def _means(scores: Mapping[str, QueryScore], units: list[list[str]]) -> FloatArray:
    return np.array([np.mean([scores[query_id].value for query_id in unit]) for unit in units])


def _differences(a_N: FloatArray, b_N: FloatArray) -> FloatArray:
    if np.shape(a_N) != np.shape(b_N) or np.ndim(a_N) != 1 or not len(a_N):
        raise ValueError(f"paired tests need two equal, non-empty rows of values, not {np.shape(a_N)} and {np.shape(b_N)}")
    return np.asarray(a_N, np.float64) - np.asarray(b_N, np.float64)


def _chunks(samples: int, n: int) -> list[int]:
    size = max(1, _NUMBERS_AT_ONCE // n)
    return [min(size, samples - start) for start in range(0, samples, size)]
