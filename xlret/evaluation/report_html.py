"""Evaluations as one HTML page that stands alone: tables, heat maps of language pairs, languages with intervals, rankings."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, NamedTuple

from xlret.charts import Chart
from xlret.evaluation.evaluate import Evaluation, Matrix
from xlret.evaluation.mean_intervals import Intervals
from xlret.evaluation.report import Rows, bias_rows, language_rows, measure_rows, paired_languages, pool_rows, remarks
from xlret.pages import render


def page(
    title: str,
    evaluations: Sequence[Evaluation],
    *,
    held_out: Sequence[str] = (),
    intervals: Sequence[Intervals] | None = None,
    settings: str = "",
    comparison: Rows | None = None,
    charts: Sequence[Chart] = (),
    queries: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The report of one encoder on the sets of a benchmark.

    Args:
        title: heading.
        evaluations: one for each set.
        held_out: languages that are marked with a star.
        intervals: of the means of each set.
        settings: what was run, as text.
        comparison: titles and cells of paired tests against another evaluation.
        charts: of languages, see `language_charts`.
        queries: with their rankings, see `side_by_side`.
    """
    given: Sequence[Intervals | None] = intervals or [None] * len(evaluations)
    sets = [
        {
            "evaluation": evaluation,
            "remarks": remarks(evaluation),
            "language_rows": language_rows(evaluation, held_out, ends),
            "measure_rows": measure_rows(evaluation, held_out, ends) if evaluation.measures else None,
            "pool_rows": pool_rows(evaluation, held_out, ends) if evaluation.pool else None,
            "bias_rows": bias_rows(evaluation, ends),
            "heat_maps": {name: heat_map(matrix) for name, matrix in evaluation.matrices.items()},
        }
        for evaluation, ends in zip(evaluations, given, strict=True)
    ]
    shown = {"sets": sets, "comparison": comparison, "settings": settings, "charts": charts, "queries": queries}
    return render("evaluation/report.html", title=title, **shown)


class HeatCell(NamedTuple):
    """A cell of the heat map: queries in one language, passages in another."""

    query_lang: str
    passage_lang: str
    text: str
    lightness: int
    """Of its colour, in percent: 98 for 0, 35 for the highest value of the map."""

    @property
    def is_dark(self) -> bool:
        """Whether only white text can be read on it."""
        return self.lightness < 60


def heat_map(matrix: Matrix) -> list[list[HeatCell]]:
    """A matrix as cells that are the darker the higher their value, a row a query language."""
    asked, searched = paired_languages(matrix)
    values = [matrix[query_lang][lang] for query_lang in asked for lang in searched]
    highest = max((value for value in values if not isnan(value)), default=0.0) or 1.0

    def cell(query_lang: str, passage_lang: str) -> HeatCell:
        value = matrix[query_lang][passage_lang]
        if isnan(value):
            return HeatCell(query_lang, passage_lang, "-", 98)
        return HeatCell(query_lang, passage_lang, f"{value:.3f}", round(98 - 63 * value / highest))

    return [[cell(query_lang, lang) for lang in searched] for query_lang in asked]
