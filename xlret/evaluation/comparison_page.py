"""A comparison as one HTML page that stands alone: tables, heat maps, languages, rankings side by side, configurations."""

import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from xlret.charts import Chart
from xlret.evaluation.comparison import Comparison, System
from xlret.evaluation.comparison_table import explanation, pair_rows, system_rows
from xlret.evaluation.evaluate import Matrix
from xlret.evaluation.language_charts import SHARES_TITLE, language_charts, share_chart
from xlret.evaluation.report_html import heat_map
from xlret.evaluation.shown_rankings import RANKINGS, read_rankings, side_by_side
from xlret.evaluation.shown_settings import configuration
from xlret.pages import render


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
        charts=[*language_charts(systems, comparison.measures), *_share_charts(summaries)],
        queries=side_by_side({name: read_rankings(run / RANKINGS) for name, run in runs.items()}, systems),
        configurations={name: configuration(about) for name, about in summaries.items()},
    )


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


def _share_charts(summaries: Mapping[str, Mapping[str, Any]]) -> list[Chart]:
    """A chart of each set of which every system has the shares."""
    by_set: dict[str, dict[str, Mapping[str, Mapping[str, float]]]] = {}
    for system, about in summaries.items():
        for each in about.get("sets", []):
            if each.get("shares"):
                by_set.setdefault(each["name"], {})[system] = each["shares"]
    charts = []
    for name, of_systems in by_set.items():
        if len(of_systems) == len(summaries):
            common = next(iter(of_systems.values()))
            lists = {system: shares["top"] for system, shares in of_systems.items()}
            lists |= {"pool": common["pool"], "relevant": common["relevant"]}
            charts.append(share_chart(f"{SHARES_TITLE}: {name}", lists))
    return charts
