"""A measure of systems by the language of the query, with intervals, as charts for pages."""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan, sqrt

import numpy as np

from xlret.charts import Chart, Sample, chart
from xlret.evaluation.comparison import System, column_of
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.sets import RetrievalSet

LANGUAGE_MEASURES = ("tlr@10", "recall_same@10", "recall_cross@10", "rank_distance")
"""What is drawn for each language besides the measures that are compared, where it was measured."""
SHARES_TITLE = "Languages among the first ten of all queries, in the pool, and among the relevant passages"
_TITLES = {
    "tlr@10": "Share of the query's language among the first ten over its share of the pool (1: as often as in the pool)",
    "recall_same@10": "Recall@10 of passages in the query's language",
    "recall_cross@10": "Recall@10 of passages in other languages",
    "rank_distance": "Rank distance (lower is better)",
}


def system_of(name: str, done: Sequence[tuple[RetrievalSet, Evaluation]]) -> System:
    """An evaluation that was just made, as `read_system` reads it from its directory."""
    values: dict[str, dict[str, float]] = {}
    groups: dict[str, str] = {}
    langs: dict[str, str] = {}
    for retrieval_set, evaluation in done:
        ids = [f"{retrieval_set.name} {query_id}" for query_id in retrieval_set.query_ids]
        groups |= zip(ids, retrieval_set.query_groups or retrieval_set.query_ids, strict=True)
        langs |= zip(ids, retrieval_set.query_langs, strict=True)
        for measure, value_Q in evaluation.values_Q.items():
            values.setdefault(column_of(measure), {}).update(zip(ids, value_Q.tolist(), strict=True))
    return System(name, [values], groups, langs)


def language_charts(systems: Sequence[System], measures: Iterable[str]) -> list[Chart]:
    """A chart of each measure and of `LANGUAGE_MEASURES`, where every system has it.

    Each has the mean of each query language with its 95 % interval (normal, over queries, of the mean over seeds).
    """
    names = dict.fromkeys((*measures, *LANGUAGE_MEASURES))
    return [drawn for measure in names if (drawn := _by_language(systems, measure)) is not None]


def share_chart(title: str, shares: Mapping[str, Mapping[str, float]]) -> Chart:
    """The shares of passage languages in several lists, side by side.

    Args:
        title: of the chart.
        shares: list -> language -> share.
    """
    langs = sorted({lang for by_language in shares.values() for lang in by_language})
    series = {}
    for number, (name, by_language) in enumerate(shares.items()):
        offset = (number - (len(shares) - 1) / 2) * 0.6 / len(shares)
        values = [(position, lang, by_language.get(lang, nan)) for position, lang in enumerate(langs)]
        series[name] = [
            Sample(position + offset, value, value, value, f"{name}, {lang}: {value:.3f}")
            for position, lang, value in values
            if not isnan(value)
        ]
    return chart(title, "passages in", "", series, categories=langs, joined=False)


def _by_language(systems: Sequence[System], measure: str) -> Chart | None:
    langs = sorted(set(systems[0].langs.values()))
    column = column_of(measure)
    series: dict[str, list[Sample]] = {}
    for number, system in enumerate(systems):
        if any(column not in run for run in system.runs):
            return None
        samples = []
        for position, lang in enumerate(langs):
            ids = [query_id for query_id, query_lang in system.langs.items() if query_lang == lang]
            values = np.mean([[run[column].get(query_id, nan) for query_id in ids] for run in system.runs], axis=0)
            values = values[~np.isnan(values)]
            if len(values):
                mean = float(values.mean())
                half = 1.96 * float(values.std(ddof=1)) / sqrt(len(values)) if len(values) > 1 else 0.0
                at = position + (number - (len(systems) - 1) / 2) * 0.6 / len(systems)
                title = f"{system.name}, {lang}: {mean:.4f}, n = {len(values)}"
                samples.append(Sample(at, mean, mean - half, mean + half, title))
        series[system.name] = samples
    if not any(series.values()):
        return None
    return chart(_TITLES.get(measure, measure), "queries in", "", series, categories=langs, joined=False)
