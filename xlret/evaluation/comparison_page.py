"""A comparison as one HTML page that stands alone: tables, heat maps, languages, rankings side by side, configurations."""

import json
from collections.abc import Mapping, Sequence
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from xlret.charts import Chart, Sample, chart
from xlret.evaluation.comparison import Comparison, System, column_of
from xlret.evaluation.comparison_table import explanation, pair_rows, system_rows
from xlret.evaluation.evaluate import Matrix
from xlret.evaluation.report_html import heat_map
from xlret.evaluation.shown_rankings import RANKINGS, read_rankings
from xlret.pages import render

LANGUAGE_MEASURES = ("tlr@10", "recall_same@10", "recall_cross@10", "rank_distance")
"""What is drawn for each language besides the measures that are compared, where it was measured."""
_TITLES = {
    "tlr@10": "Share of the query's language among the first ten over its share of the pool (1: as often as in the pool)",
    "recall_same@10": "Recall@10 of passages in the query's language",
    "recall_cross@10": "Recall@10 of passages in other languages",
    "rank_distance": "Rank distance (lower is better)",
}


def comparison_page(title: str, comparison: Comparison, systems: Sequence[System], directories: Mapping[str, Path]) -> str:
    """The page of systems that were compared.

    Args:
        title: heading.
        comparison: of these systems.
        systems: their values, for the bars of each language.
        directories: system -> what `read_system` read; of several seeds the first is shown in heat maps and rankings.
    """
    runs = {name: _first_run(directory) for name, directory in directories.items()}
    summaries = {name: _summary(run / "evaluation.json") for name, run in runs.items()}
    names = dict.fromkeys((*comparison.measures, *LANGUAGE_MEASURES))
    return render(
        "evaluation/comparison.html",
        title=title,
        systems=system_rows(comparison),
        explanation=explanation(comparison),
        pairs=pair_rows(comparison),
        heat_maps=[
            (name, each["name"], heat_map(_matrix(each["matrix"])))
            for name, about in summaries.items()
            for each in about.get("sets", [])
        ],
        charts=[drawn for measure in names if (drawn := _by_language(systems, measure)) is not None],
        queries=_side_by_side({name: read_rankings(run / RANKINGS) for name, run in runs.items()}, systems),
        configurations={name: _configuration(about) for name, about in summaries.items()},
    )


def _by_language(systems: Sequence[System], measure: str) -> Chart | None:
    """The mean of each query language with its 95 % interval (normal, over queries, of the mean over seeds)."""
    langs = sorted(set(systems[0].langs.values()))
    series: dict[str, list[Sample]] = {}
    for number, system in enumerate(systems):
        if any(column_of(measure) not in run for run in system.runs):
            return None
        samples = []
        for position, lang in enumerate(langs):
            ids = [query_id for query_id, query_lang in system.langs.items() if query_lang == lang]
            values = np.mean([[run[column_of(measure)][query_id] for query_id in ids] for run in system.runs], axis=0)
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


def _side_by_side(rankings: Mapping[str, Mapping[str, Any]], systems: Sequence[System]) -> list[dict[str, Any]]:
    """Queries that every system has shown: text, language, and each system's AP and passages."""
    shown = [set(by_query) for by_query in rankings.values()]
    first = next(iter(rankings.values()), {})
    runs = {system.name: system.runs[0].get(column_of("mul"), {}) for system in systems}
    return [
        {
            "id": query_id,
            "lang": query["lang"],
            "text": query["text"],
            "rankings": {
                name: (runs[name].get(query_id, nan), by_query[query_id]["passages"]) for name, by_query in rankings.items()
            },
        }
        for query_id, query in first.items()
        if all(query_id in ids for ids in shown)
    ]


def _first_run(directory: Path) -> Path:
    directory = directory.parent if directory.name == "evaluation.json" else directory
    if (directory / "queries.csv").is_file():
        return directory
    return min(path.parent for path in directory.glob("*/queries.csv"))


def _summary(path: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return summary


def _matrix(numbers: Mapping[str, Mapping[str, float | None]]) -> Matrix:
    return {asked: {lang: nan if value is None else value for lang, value in row.items()} for asked, row in numbers.items()}


def _configuration(summary: Mapping[str, Any]) -> str:
    names = ("encoder", "benchmark", "settings", "encoder_files", "debias", "balance", "index", "versions", "hardware")
    shown = {name: summary[name] for name in names if summary.get(name) is not None}
    return json.dumps(shown, ensure_ascii=False, indent=1)
