"""Evaluations as one HTML page that stands alone: tables and the matrix of language pairs as a heat map."""

from collections.abc import Sequence
from html import escape
from math import isnan

from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.report import Rows, language_rows, number, paired_languages

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
body { color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; } th:first-child { text-align: left; }
.heat td { border: 1px solid #fff; } .heat .own { outline: 2px solid #1a1a1a; outline-offset: -2px; }
pre { background: #f4f4f4; padding: 1rem; overflow-x: auto; }
"""


def page(
    title: str,
    evaluations: Sequence[Evaluation],
    *,
    held_out: Sequence[str] = (),
    settings: str = "",
    comparison: Rows | None = None,
) -> str:
    """The report of one encoder on the sets of a benchmark.

    Args:
        title: heading; escaped here like every other text.
        evaluations: one for each set.
        held_out: languages that are marked with a star.
        settings: what was run, as text.
        comparison: titles and cells of paired tests against another evaluation.
    """
    parts = [f"<h1>{escape(title)}</h1>"]
    for one in evaluations:
        parts.append(f"<h2>{escape(one.name)}</h2>")
        parts.append(
            f"<p>{one.queries:,} queries ({one.skipped:,} without an answer left out), {one.passages:,} passages. "
            f"Mo {number(one.mo)}, Cr {number(one.cr)}, Mul {number(one.mul)}, micro mAP {number(one.micro)}, "
            f"rank distance {number(one.rank_distance)}.</p>"
        )
        parts.append(_table(language_rows(one, held_out)))
        parts.append("<h3>mAP of queries in (row) over passages in (column)</h3>" + heat_map(one))
    if comparison is not None:
        parts.append("<h2>Paired tests of pooled AP against the other evaluation</h2>" + _table(comparison))
    if settings:
        parts.append(f"<h2>Settings</h2><pre>{escape(settings)}</pre>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'


def heat_map(evaluation: Evaluation) -> str:
    """The matrix as a table whose cells are the darker the higher their mAP; 0 is white, the highest cell darkest."""
    asked, searched = paired_languages(evaluation)
    cells = [evaluation.matrix[one][other] for one in asked for other in searched]
    top = max((one for one in cells if not isnan(one)), default=0.0) or 1.0
    rows = ["<tr><th></th>" + "".join(f'<th scope="col">{escape(lang)}</th>' for lang in searched) + "</tr>"]
    for one in asked:
        row = [f'<th scope="row">{escape(one)}</th>']
        for other in searched:
            value = evaluation.matrix[one][other]
            share = 0.0 if isnan(value) else value / top
            style = f"background:hsl(215,65%,{98 - 63 * share:.0f}%);color:{'#fff' if share > 0.6 else '#1a1a1a'}"
            own = ' class="own"' if one == other else ""
            label = f"queries in {one}, passages in {other}"
            row.append(f'<td{own} style="{style}" title="{escape(label)}">{"-" if isnan(value) else f"{value:.3f}"}</td>')
        rows.append("<tr>" + "".join(row) + "</tr>")
    return '<div class="wide"><table class="heat">' + "\n".join(rows) + "</table></div>"


def _table(rows: Rows) -> str:
    titles, lines = rows
    written = ["<tr>" + "".join(f'<th scope="col">{escape(one)}</th>' for one in titles) + "</tr>"]
    for line in lines:
        cells = "".join(f"<td>{escape(one)}</td>" for one in line[1:])
        written.append(f'<tr><th scope="row">{escape(line[0])}</th>{cells}</tr>')
    return '<div class="wide"><table>' + "\n".join(written) + "</table></div>"
