"""An evaluation as tables for papers and programs: Markdown, CSV with every mean and its interval, LaTeX."""

import csv
import io
from collections.abc import Sequence
from math import isnan

from xlret.evaluation.comparison_table import tex
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.mean_intervals import Interval, Intervals
from xlret.evaluation.report import (
    HEADLINE,
    as_markdown,
    bias_rows,
    language_rows,
    matrix_rows,
    measure_rows,
    number,
    pool_rows,
    remarks,
)

Measured = Sequence[tuple[Evaluation, Intervals]]
"""Each set's evaluation with the intervals of its means."""


def markdown(title: str, measured: Measured, held_out: Sequence[str] = ()) -> str:
    """What the terminal shows, set by set."""
    parts = [f"# {title}"]
    for evaluation, intervals in measured:
        about = [f"{evaluation.queries:,} queries, {evaluation.passages:,} passages", *remarks(evaluation)]
        parts += [f"## {evaluation.name}", "; ".join(about) + ".", as_markdown(*language_rows(evaluation, held_out, intervals))]
        if evaluation.measures:
            parts.append(as_markdown(*measure_rows(evaluation, held_out, intervals)))
        if evaluation.pool:
            parts.append(as_markdown(*pool_rows(evaluation, held_out, intervals)))
        if bias_rows(evaluation)[1]:
            parts.append(as_markdown(*bias_rows(evaluation, intervals)))
        if matrix_rows(evaluation)[1]:
            parts += ["mAP of queries in (row) over passages in (column):", as_markdown(*matrix_rows(evaluation, held_out))]
    return "\n\n".join(parts) + "\n"


def as_csv(measured: Measured) -> str:
    """A row a set, measure and mean (`macro`, `micro`, or of the queries in one language), with full digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "measure", "mean_of", "mean", "low", "high"])
    for evaluation, intervals in measured:
        for measure, means in intervals.items():
            for mean_of, interval in {"macro": means.macro, "micro": means.micro, **means.by_language}.items():
                if not isnan(interval.mean):
                    writer.writerow([evaluation.name, measure, mean_of, *map(repr, interval)])
    return text.getvalue()


def latex(title: str, measured: Measured) -> str:
    """A row a set for booktabs: the headline and the named measures, macro means with their intervals in a smaller size."""
    columns = dict(HEADLINE) | {"ndcg@10": "nDCG@10", "recall@100": "R@100"}
    columns |= {name: name for evaluation, _ in measured for name in evaluation.measures}
    lines = [
        r"\begin{table}",
        r"\begin{tabular}{l" + "r" * len(columns) + "}",
        r"\toprule",
        " & ".join(["set", *map(tex, columns.values())]) + r" \\",
        r"\midrule",
    ]
    for evaluation, intervals in measured:
        cells = [_tex_cell(intervals[name].macro) if name in intervals else "--" for name in columns]
        lines.append(" & ".join([tex(evaluation.name), *cells]) + r" \\")
    caption = f"{title}. Means over query languages; in brackets 95 % intervals, bootstrap over questions."
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", rf"\caption{{{tex(caption)}}}", r"\end{table}"]) + "\n"


def _tex_cell(interval: Interval) -> str:
    return f"{number(interval.mean)} {{\\scriptsize [{number(interval.low)}, {number(interval.high)}]}}"
