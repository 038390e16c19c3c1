"""Intervals of the means of an evaluation by the bootstrap: questions are drawn, each with all its languages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.sets import RetrievalSet
from xlret.evaluation.significance import drawn_counts
from xlret.keys import generator
from xlret.shapes import FloatArray, IntArray

SAMPLES = 2000
_NUMBERS_AT_ONCE = 1 << 22


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval; NaN where it has no queries to stand on."""

    mean: float
    low: float
    high: float


_NO_INTERVAL = Interval(np.nan, np.nan, np.nan)


class MeanIntervals(NamedTuple):
    """The means of a measure."""

    macro: Interval
    """Mean over query languages of the means over their queries."""
    micro: Interval
    """Mean over all queries; NaN for Mo and Cr, which are no means over queries."""
    by_language: Mapping[str, Interval]
    """Of the queries in each language."""


Intervals = Mapping[str, MeanIntervals]
"""Measure, as `Evaluation.values_Q` calls it, and `mo`, `cr` and `mrc` -> its means."""


class _Cells(NamedTuple):
    """Values that are averaged within cells: one a query language, or one a pair of query and passage language."""

    value_N: FloatArray
    group_N: IntArray
    """The question that each is of, from 0."""
    cell_N: IntArray
    cells: int


def mean_intervals(retrieval_set: RetrievalSet, evaluation: Evaluation, *, seed: int = 0, samples: int = SAMPLES) -> Intervals:
    """95 % percentile intervals of every mean over queries, and of Mo, Cr and MRC.

    A question in several languages is not several independent questions: it is drawn with all of them. Measures of which no
    query has a value are left out.

    Args:
        retrieval_set: what was evaluated.
        evaluation: of it.
        seed: of the draws.
        samples: how many draws of all questions.

    Cost: samples x questions random numbers, and a product of samples x questions x cells for each measure; 1 s for 1,190
    questions in 11 languages.
    """
    langs = evaluation.languages
    query_lang_Q = _numbered(retrieval_set.query_langs, langs)
    group_Q = np.unique(retrieval_set.query_groups or retrieval_set.query_ids, return_inverse=True)[1].astype(np.int64)
    names = [name for name, value_Q in evaluation.values_Q.items() if not np.isnan(value_Q).all()]
    cells = [_Cells(evaluation.values_Q[name], group_Q, query_lang_Q, len(langs)) for name in names]
    pair_QL = query_lang_Q[:, None] * len(langs) + np.arange(len(langs))
    ap_QL = evaluation.ap_QL
    cells.append(_Cells(ap_QL.ravel(), np.repeat(group_Q, len(langs)), pair_QL.ravel(), len(langs) ** 2))
    is_own_C = np.eye(len(langs), dtype=np.bool_).ravel()
    drawn: dict[str, list[FloatArray]] = {}
    for parts in _drawn(cells, seed, samples):
        for name, (sum_SC, count_SC) in zip(names, parts, strict=False):
            mean_SL = _over(sum_SC, count_SC)
            micro_S = _over(sum_SC.sum(axis=1), count_SC.sum(axis=1))
            drawn.setdefault(name, []).append(np.column_stack([_mean(mean_SL), micro_S, mean_SL]))
        mean_SC = _over(*parts[-1])
        for name, kept_C in (("mo", is_own_C), ("cr", ~is_own_C)):
            mean_SLL = np.where(kept_C, mean_SC, np.nan).reshape(len(mean_SC), len(langs), len(langs))
            macro_S = _mean(mean_SLL.reshape(len(mean_SC), -1))
            drawn.setdefault(name, []).append(np.column_stack([macro_S, np.full_like(macro_S, np.nan), _mean(mean_SLL)]))
    intervals = {name: _of_draws(np.concatenate(rows), langs) for name, rows in drawn.items()}
    correlation_G = evaluation.retrieved.correlation_G
    if len(correlation_G):
        times_SG = drawn_counts(generator(seed, "interval", "mrc"), samples, len(correlation_G))
        low, high = np.percentile(times_SG @ correlation_G / len(correlation_G), [2.5, 97.5])
        questions = Interval(float(correlation_G.mean()), float(low), float(high))
        intervals["mrc"] = MeanIntervals(questions, questions, {})
    return {name: means for name, means in intervals.items() if not np.isnan(means.macro.mean)}


def macro_interval(
    values_Q: FloatArray, lang_Q: IntArray, group_Q: IntArray, *, seed: int = 0, samples: int = SAMPLES
) -> tuple[float, float, float]:
    """Mean over query languages of the means over their queries, and its 95 % percentile bootstrap interval.

    Questions are drawn with replacement, each with all its languages, since a question in several languages is not several
    independent questions.

    Args:
        values_Q: a value for each query, NaN where it has none (left out).
        lang_Q, group_Q: language and question of each query, numbered from 0.
        seed: of the draws.
        samples: how many draws.
    """
    cells = _Cells(values_Q, group_Q, lang_Q, int(lang_Q.max()) + 1)
    macro_S = np.concatenate([_mean(_over(*parts[0])) for parts in _drawn([cells], seed, samples)])
    low, high = np.percentile(macro_S[1:], [2.5, 97.5])
    return float(macro_S[0]), float(low), float(high)


def _drawn(cells: Sequence[_Cells], seed: int, samples: int) -> Iterator[list[tuple[FloatArray, FloatArray]]]:
    """Sums and counts of each cell, [S, cells], for every measure: first of the questions as they are, then of draws of them.

    Questions without any value are never drawn.
    """
    groups = 1 + max(int(each.group_N.max()) for each in cells)
    has_value_G = np.zeros(groups, np.bool_)
    tables = []
    for value_N, group_N, cell_N, size in cells:
        known_N = ~np.isnan(value_N)
        entry_N = group_N[known_N] * size + cell_N[known_N]
        sum_GC = np.bincount(entry_N, value_N[known_N], minlength=groups * size).reshape(groups, size)
        count_GC = np.bincount(entry_N, minlength=groups * size).reshape(groups, size).astype(np.float64)
        has_value_G |= count_GC.any(axis=1)
        tables.append((sum_GC, count_GC))
    tables = [(sum_GC[has_value_G], count_GC[has_value_G]) for sum_GC, count_GC in tables]
    size, rng = int(np.count_nonzero(has_value_G)), generator(seed, "interval")
    yield [(sum_GC.sum(axis=0)[None], count_GC.sum(axis=0)[None]) for sum_GC, count_GC in tables]
    at_once = max(1, _NUMBERS_AT_ONCE // max(size, *(each.cells for each in cells), 1))
    for start in range(0, samples if size else 0, at_once):
        times_SG = drawn_counts(rng, min(at_once, samples - start), size)
        yield [(times_SG @ sum_GC, times_SG @ count_GC) for sum_GC, count_GC in tables]


def _of_draws(drawn_SC: FloatArray, langs: Sequence[str]) -> MeanIntervals:
    """From the means of the questions (the first row) and of draws of them: macro, micro, then a column a language."""
    columns = []
    for column_S in drawn_SC.T:
        known_S = column_S[1:][~np.isnan(column_S[1:])]  # a draw may lack a language
        if np.isnan(column_S[0]) or not len(known_S):
            columns.append(_NO_INTERVAL)
        else:
            low, high = np.percentile(known_S, [2.5, 97.5])
            columns.append(Interval(float(column_S[0]), float(low), float(high)))
    return MeanIntervals(columns[0], columns[1], dict(zip(langs, columns[2:], strict=True)))


def _numbered(langs: Sequence[str], known: Sequence[str]) -> IntArray:
    number = {lang: row for row, lang in enumerate(known)}
    return np.array([number[lang] for lang in langs], np.int64)


def _over(sums: FloatArray, counts: FloatArray) -> FloatArray:
    means: FloatArray = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _mean(values: FloatArray) -> FloatArray:
    """The mean over the last axis of what is there."""
    known = ~np.isnan(values)
    return _over(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
