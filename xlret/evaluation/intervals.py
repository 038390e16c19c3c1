"""An evaluation's directory as a model card tells it: means over query languages with 95 % intervals."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from xlret.errors import UserError
from xlret.evaluation.comparison import System, column_of, read_system
from xlret.keys import generator
from xlret.model.card_facts import MetricInterval, SetResult
from xlret.shapes import FloatArray, IntArray

_METRICS = ("mul", "ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100", "rank_distance")
_NUMBERS_AT_ONCE = 1 << 22


def read_results(directory: Path) -> list[SetResult]:
    """The results of `xlret evaluate --out`, one a retrieval set that has queries.

    Args:
        directory: with evaluation.json and queries.csv, or the path of the former.

    Raises:
        UserError: no evaluation there, or not as `xlret evaluate` writes it.

    Cost: 2,000 draws of all questions for each metric; 1 s for 5,000 questions in 5 languages.
    """
    directory = directory.parent if directory.name == "evaluation.json" else directory
    path = directory / "evaluation.json"
    try:
        written: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        evaluated, measures = written["sets"], [name for each in written["sets"] for name in each.get("measures", ())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read as what xlret evaluate --out writes: {error!r}") from error
    system = read_system(str(directory), directory)
    about, settings = written.get("benchmark") or {}, written.get("settings") or {}
    return [
        SetResult(
            benchmark=about.get("name") or each["name"],
            name=each["name"],
            split=settings.get("split") if about else None,
            source=about.get("source"),
            revision=about.get("revision"),
            licence=about.get("licence"),
            languages=tuple(each["languages"]),
            queries=each["queries"],
            passages=each["passages"],
            mo=each.get("mo"),
            cr=each.get("cr"),
            metrics=_metrics(system, each["name"], tuple(dict.fromkeys((*_METRICS, *measures)))),
        )
        for each in evaluated
        if each["queries"]
    ]


def _metrics(system: System, set_name: str, names: tuple[str, ...]) -> tuple[MetricInterval, ...]:
    """Those that the set's queries have values of."""
    query_ids = [query_id for query_id in system.groups if query_id.startswith(f"{set_name} ")]
    lang_Q = _numbers([system.langs[query_id] for query_id in query_ids])
    group_Q = _numbers([system.groups[query_id] for query_id in query_ids])
    intervals = []
    for name in names:
        values = system.runs[0].get(column_of(name), {})
        values_Q = np.array([values.get(query_id, np.nan) for query_id in query_ids])
        if not np.isnan(values_Q).all():
            intervals.append(MetricInterval(name, *macro_interval(values_Q, lang_Q, group_Q)))
    return tuple(intervals)


def macro_interval(
    values_Q: FloatArray, lang_Q: IntArray, group_Q: IntArray, *, seed: int = 0, samples: int = 2000
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
    known_Q = ~np.isnan(values_Q)
    shape = (int(group_Q.max()) + 1, int(lang_Q.max()) + 1)
    sum_GL, count_GL = np.zeros(shape), np.zeros(shape)
    np.add.at(sum_GL, (group_Q[known_Q], lang_Q[known_Q]), values_Q[known_Q])
    np.add.at(count_GL, (group_Q[known_Q], lang_Q[known_Q]), 1.0)
    has_value_G = count_GL.any(axis=1)
    sum_GL, count_GL = sum_GL[has_value_G], count_GL[has_value_G]
    groups, drawn = len(sum_GL), generator(seed, "interval")
    at_once = max(1, _NUMBERS_AT_ONCE // groups)
    means = []
    for start in range(0, samples, at_once):
        rows = min(at_once, samples - start)
        times_SG = drawn.multinomial(groups, np.full(groups, 1 / groups), size=rows).astype(np.float64)
        means.append(_macro(times_SG @ sum_GL, times_SG @ count_GL))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(_macro(sum_GL.sum(axis=0)[None], count_GL.sum(axis=0)[None])[0]), float(low), float(high)


def _macro(sum_SL: FloatArray, count_SL: FloatArray) -> FloatArray:
    """Means over the languages that have queries (a draw may lack one), [S]."""
    present_SL = count_SL > 0
    mean_SL = np.divide(sum_SL, count_SL, out=np.zeros_like(sum_SL), where=present_SL)
    means: FloatArray = mean_SL.sum(axis=1) / present_SL.sum(axis=1)
    return means


def _numbers(names: list[str]) -> IntArray:
    """Equal names as equal numbers from 0."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
