"""A comparison as tables: systems with intervals and marks, and the tests of all pairs, in Markdown, CSV and LaTeX."""

import csv
import io
from string import ascii_lowercase

from xlret.evaluation.comparison import LOWER_IS_BETTER, Comparison, Mean
from xlret.evaluation.report import Rows, as_markdown, number

_TEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\~{}",
    "\\": r"\textbackslash{}",
}


def letters(comparison: Comparison) -> dict[str, str]:
    """A letter for each system: a, b, ..., z, aa, ab, ..."""
    first = ascii_lowercase
    names = [*first, *(left + right for left in first for right in first)]
    return dict(zip(comparison.systems, names, strict=False))


def marks(comparison: Comparison, system: str, measure: str) -> str:
    """The letters of the systems that a system beats in a measure."""
    known = letters(comparison)
    beaten = [
        test.b if test.a == system else test.a for test in comparison.tests if test.measure == measure and test.winner == system
    ]
    return " ".join(known[name] for name in comparison.systems if name in beaten)


def system_rows(comparison: Comparison) -> Rows:
    """A row a system: its mean of each measure with the interval, and the letters of those that it beats."""
    known = letters(comparison)
    titles = ["", "system", *(title for measure in comparison.measures for title in (measure, "95 % interval", "beats"))]
    return titles, [
        [known[system], system, *(cell for measure in comparison.measures for cell in _cells(comparison, system, measure))]
        for system in comparison.systems
    ]


def pair_rows(comparison: Comparison, *, lettered: bool = False) -> Rows:
    """A row a pair and measure; the systems by their names, or by their letters where there is little room."""
    known = letters(comparison) if lettered else {name: name for name in comparison.systems}
    titles = ["measure", "A", "B", "A - B", "95 % interval", "p (t)", "p (perm.)", "p (boot.)", "p (Holm)"]
    if lettered:
        titles = [*titles[:5], "t", "perm.", "boot.", "Holm"]
    rows = [
        [
            *(test.measure, known[test.a], known[test.b]),
            *(f"{test.difference:+.4f}", f"{test.low:+.4f} to {test.high:+.4f}"),
            *(number(p, 4) for p in (test.p_t, test.p_permutation, test.p_bootstrap, test.p_holm)),
        ]
        for test in comparison.tests
    ]
    return titles, rows


def explanation(comparison: Comparison) -> list[str]:
    """What the table's numbers and marks mean, in sentences."""
    decides = "the bootstrap over questions and seeds" if comparison.over_seeds else "a paired permutation test over questions"
    size = max(1, len(comparison.tests))
    lower = [measure for measure in comparison.measures if measure in LOWER_IS_BETTER]
    sentences = [
        f"{comparison.queries:,} queries; tests are over {_counted(comparison)}, a question in several languages once.",
        "Intervals: 95 %, bootstrap over questions" + (" and seeds." if comparison.over_seeds else "."),
        f"Beats: better at the 5 % level by {decides}, Holm's correction over the family of {size} tests.",
    ]
    if lower:
        sentences.append(f"Lower is better: {', '.join(lower)}.")
    for measure, count in comparison.dropped.items():
        if count:
            sentences.append(f"{measure}: {count:,} queries without a value in some run are left out for all.")
    if comparison.unequal_sets:
        sentences.append(
            f"Caution: the texts or judgements of {', '.join(comparison.unequal_sets)} were not the same for all (another "
            "version, or switched or translated texts); a difference may be theirs."
        )
    seeds = {mean.system: mean for mean in comparison.means}
    for name, mean in seeds.items():
        if mean.seeds > 1:
            sentences.append(f"{name}: {mean.seeds} seeds.")
    return sentences


def markdown(comparison: Comparison) -> str:
    """Both tables and the explanation."""
    tables = (as_markdown(*rows) for rows in (system_rows(comparison), pair_rows(comparison)))
    return "\n\n".join([next(tables), " ".join(explanation(comparison)), next(tables)]) + "\n"


def as_csv(comparison: Comparison) -> str:
    """The systems' table with full digits: a row a system and measure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["letter", "system", "measure", "mean", "low", "high", "seeds", "seed_deviation", "beats"])
    known = letters(comparison)
    for mean in comparison.means:
        beaten = marks(comparison, mean.system, mean.measure)
        numbers = ["" if value != value else repr(value) for value in (mean.mean, mean.low, mean.high)]
        spread = "" if mean.spread != mean.spread else repr(mean.spread)
        writer.writerow([known[mean.system], mean.system, mean.measure, *numbers, mean.seeds, spread, beaten])
    return text.getvalue()


def latex(comparison: Comparison) -> str:
    """The systems' table for booktabs: marks as superscripts, intervals in a smaller size, the explanation as its caption."""
    known = letters(comparison)
    lines = [
        r"\begin{table}",
        r"\begin{tabular}{ll" + "r" * len(comparison.measures) + "}",
        r"\toprule",
        " & ".join(["", "system", *map(tex, comparison.measures)]) + r" \\",
        r"\midrule",
    ]
    for system in comparison.systems:
        cells = []
        for measure in comparison.measures:
            mean, beaten = _mean(comparison, system, measure), marks(comparison, system, measure).replace(" ", "")
            mark = f"$^{{{beaten}}}$" if beaten else ""
            cells.append(f"{number(mean.mean)}{mark} {{\\scriptsize [{number(mean.low)}, {number(mean.high)}]}}")
        lines.append(" & ".join([f"$^{{{known[system]}}}$", tex(system), *cells]) + r" \\")
    caption = tex(" ".join(explanation(comparison)).replace("Beats:", "Letters name the systems that a system beats:"))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}"]) + "\n"


def _cells(comparison: Comparison, system: str, measure: str) -> tuple[str, str, str]:
    mean = _mean(comparison, system, measure)
    return number(mean.mean), f"{number(mean.low)} to {number(mean.high)}", marks(comparison, system, measure) or "-"


def _mean(comparison: Comparison, system: str, measure: str) -> Mean:
    return next(mean for mean in comparison.means if (mean.system, mean.measure) == (system, measure))


def _counted(comparison: Comparison) -> str:
    counts = set(comparison.units.values())
    if len(counts) == 1:
        return f"{counts.pop():,} questions"
    return ", ".join(f"{count:,} questions ({measure})" for measure, count in comparison.units.items())


def tex(text: str) -> str:
    """Text with the signs that LaTeX takes for its own written out."""
    return "".join(_TEX.get(sign, sign) for sign in text)
