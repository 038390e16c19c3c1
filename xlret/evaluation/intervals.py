"""An evaluation's directory as a model card tells it: means over query languages with 95 % intervals."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from xlret.errors import UserError
from xlret.evaluation.comparison import System, column_of, read_system
from xlret.evaluation.mean_intervals import macro_interval
from xlret.model.card_facts import MetricInterval, SetResult
from xlret.shapes import IntArray

_METRICS = ("mul", "ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100", "rank_distance")


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


def _numbers(names: list[str]) -> IntArray:
    """Equal names as equal numbers from 0."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
