"""Evaluations for people and programs: tables in the terminal, JSON, Markdown."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xlret.evaluation.evaluate import Evaluation, Matrix
from xlret.evaluation.mean_intervals import Interval, Intervals, MeanIntervals
from xlret.evaluation.pool_measures import POOL_MEASURES, SHARES
from xlret.evaluation.significance import Difference

HEADLINE = {"mo": "Mo", "cr": "Cr", "mul": "Mul", "rank_distance": "rank dist."}
"""The hybrid paper's numbers, as attributes of `Evaluation` and as column titles."""
_POOLED = {"ndcg@10": "nDCG@10", "mrr@10": "MRR@10", "recall@1": "R@1", "recall@10": "R@10", "recall@100": "R@100"}
_WIDEST = 10_000
"""Characters of a line in a file."""
_MOST_COLUMNS = 15
"""Matrices of more languages than this do not fit a terminal."""


def number(value: float, digits: int = 4) -> str:
    """A metric for a table: shares with `digits` digits, ranks with one, nothing as a dash.

    >>> number(0.12345), number(120.26), number(float("nan"))
    ('.1235', '120.3', '-')
    """
    if isnan(value):
        return "-"
    return f"{value:.1f}" if abs(value) > 1 else f"{value:.{digits}f}".replace("0.", ".", 1)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Every number of an evaluation as JSON values; what has no queries to stand on is null."""
    names = (
        *(
            "name",
            "languages",
            "queries",
            "passages",
            "skipped",
            "unanswered",
            "short",
            "tied",
            "grades",
            "left_out",
            "caution",
            "read_from",
        ),
        *("mo", "cr", "mul", "micro", "rank_distance", "peer", "pooled", "pool", "shares", "by_language", "matrix", "matrices"),
    )
    values = {name: getattr(evaluation, name) for name in names}
    values["mrc"] = evaluation.rank_correlation
    values["measures"] = list(evaluation.measures)
    values["mining"] = None if evaluation.mining is None else vars(evaluation.mining)
    values["means"] = {"macro": macro_means(evaluation), "micro": evaluation.micro_means}
    plain: dict[str, Any] = without_nan(values)
    return plain


def macro_means(evaluation: Evaluation) -> dict[str, float]:
    """Means over query languages: every metric over the pooled corpus, rank distance and PEER; the pair of `micro_means`."""
    return (
        dict(evaluation.pooled) | dict(evaluation.pool) | {"rank_distance": evaluation.rank_distance, "peer": evaluation.peer}
    )


def without_nan(value: Any) -> Any:
    """The value with NaN as None, tuples as lists, all the way down.

    >>> without_nan({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if isinstance(value, Mapping):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and isnan(value) else value


def print_evaluation(
    evaluation: Evaluation,
    *,
    held_out: Sequence[str] = (),
    intervals: Intervals | None = None,
    console: Console | None = None,
) -> None:
    """Prints the headline, a row a query language and the matrix of all language pairs. Held-out languages have a star."""
    console = console or Console()
    console.print(
        f"{evaluation.name}: {evaluation.queries:,} queries, {evaluation.passages:,} passages, "
        f"{len(evaluation.languages)} languages" + "".join(f"; {remark}" for remark in remarks(evaluation)),
        markup=False,
    )
    print_rows(*language_rows(evaluation, held_out, intervals), None, console)
    if evaluation.measures:
        print_rows(*measure_rows(evaluation, held_out, intervals), "measures over the pooled corpus", console)
    if evaluation.pool:
        print_rows(*pool_rows(evaluation, held_out, intervals), "languages in the pooled ranking", console)
    bias = [f"{name} {value}" for name, value, _ in bias_rows(evaluation, intervals)[1][1:]]
    if bias:
        console.print(f"bias in the pooled corpus: {', '.join(bias)} (1 is fair)", markup=False)
    titles, rows = matrix_rows(evaluation, held_out)
    if len(titles) <= _MOST_COLUMNS + 1 and len(titles) + len(rows) > 3:  # a single pair is in the table above
        print_rows(titles, rows, "mAP of queries in (row) over passages in (column)", console)


def remarks(evaluation: Evaluation) -> list[str]:
    """What is to be known of the set besides its size: grades, what does not count, what is not there."""
    sentences = []
    if set(evaluation.grades) - {"1"}:
        counts = ", ".join(f"{grade}: {count:,}" for grade, count in evaluation.grades.items())
        sentences.append(f"judgements by grade {counts}")
    if evaluation.skipped:
        sentences.append(f"{evaluation.skipped:,} queries without an answer left out")
    if evaluation.unanswered:
        sentences.append(f"{evaluation.unanswered:,} queries of which all judged passages are not relevant count 0")
    for reason, count in evaluation.short.items():
        sentences.append(f"{count:,} queries have {reason} results")
    if evaluation.tied:
        sentences.append(
            f"in {evaluation.tied:,} queries an answer is tied with another passage, and goes by its order in the set"
        )
    if evaluation.mining is not None:
        mined = evaluation.mining
        sentences.append(
            f"translations mined: F1 {number(mined.f1)}, precision {number(mined.precision)}, recall {number(mined.recall)} "
            f"({mined.pairs:,} pairs for {mined.gold:,}) at margin {mined.threshold:.4f}, from dev (F1 {number(mined.dev_f1)})"
        )
    if evaluation.caution:
        sentences.append(f"caution: {evaluation.caution}")
    return [*sentences, *(f"left out: {count:,} {reason}" for reason, count in evaluation.left_out.items())]


def print_comparison(
    evaluations: Mapping[str, Evaluation], *, held_out: Sequence[str] = (), console: Console | None = None
) -> None:
    """Prints a row an encoder, on the same set: Mo, Cr, Mul, rank distance, and the same for the held-out languages."""
    console = console or Console()
    titles, rows = comparison_rows(evaluations)
    print_rows(titles, rows, "mAP within a language (Mo), across (Cr), over the pooled corpus (Mul)", console)
    chosen = [lang for lang in held_out if any(lang in evaluation.languages for evaluation in evaluations.values())]
    if chosen:
        titles, rows = comparison_rows(evaluations, held_out=chosen)
        print_rows(titles, rows, f"held out of training: {', '.join(chosen)}", console)


def print_differences(differences: Sequence[Difference], *, console: Console | None = None) -> None:
    """Prints paired tests of this evaluation (A) against another (B)."""
    titles, rows = difference_rows(differences)
    print_rows(titles, rows, "pooled AP against the other evaluation", console or Console())


Rows = tuple[list[str], list[list[str]]]
"""Column titles and cells."""


def comparison_rows(evaluations: Mapping[str, Evaluation], *, held_out: Sequence[str] = ()) -> Rows:
    """A row an evaluation; of some languages alone where `held_out` names them."""
    rows = []
    for name, evaluation in evaluations.items():
        values = {key: getattr(evaluation, key) for key in HEADLINE} | dict(evaluation.pooled)
        if held_out:
            values = evaluation.means_over(held_out)
        rows.append(
            [name, *(number(values[key]) for key in HEADLINE), *(number(values[key]) for key in _POOLED if key in values)]
        )
    return ["", *HEADLINE.values(), *([] if held_out else _POOLED.values())], rows


def language_rows(evaluation: Evaluation, held_out: Sequence[str] = (), intervals: Intervals | None = None) -> Rows:
    """A row a query language, their mean (macro), the mean over all queries (micro), each with the ends of its 95 % interval
    below it where they are given, and the mean of the held-out languages."""
    keys = [*HEADLINE, *_POOLED]
    rows = [
        [_starred(lang, held_out), f"{int(row['queries']):,}", *(number(row[key]) for key in keys)]
        for lang, row in evaluation.by_language.items()
        if row["queries"]
    ]
    means = {key: getattr(evaluation, key) for key in HEADLINE} | dict(evaluation.pooled)
    rows.append(["macro mean", f"{evaluation.queries:,}", *(number(means[key]) for key in keys)])
    rows += _ends(intervals, keys, lambda means: means.macro, 1)
    rows.append(["micro mean", f"{evaluation.queries:,}", *(number(evaluation.micro_means.get(key, nan)) for key in keys)])
    rows += _ends(intervals, keys, lambda means: means.micro, 1)
    if any(lang in evaluation.languages for lang in held_out):
        starred = evaluation.means_over(held_out)
        rows.append(["* held out", "", *(number(starred.get(key, nan)) for key in keys)])
    return ["queries in", "n", *HEADLINE.values(), *_POOLED.values()], rows


def measure_rows(evaluation: Evaluation, held_out: Sequence[str] = (), intervals: Intervals | None = None) -> Rows:
    """The named measures: a row a query language, then the means over languages and over all queries, with their intervals."""
    rows = [
        [_starred(lang, held_out), *(number(row[name]) for name in evaluation.measures)]
        for lang, row in evaluation.by_language.items()
        if row["queries"]
    ]
    rows.append(["macro mean", *(number(evaluation.pooled[name]) for name in evaluation.measures)])
    rows += _ends(intervals, evaluation.measures, lambda means: means.macro)
    rows.append(["micro mean", *(number(evaluation.micro_means[name]) for name in evaluation.measures)])
    rows += _ends(intervals, evaluation.measures, lambda means: means.micro)
    return ["queries in", *evaluation.measures], rows


def pool_rows(evaluation: Evaluation, held_out: Sequence[str] = (), intervals: Intervals | None = None) -> Rows:
    """What the pooled ranking makes of languages: a row a query language, then their mean, with its interval."""
    columns = {name: title for name, title in (POOL_MEASURES | SHARES).items() if name in evaluation.pool}
    rows = [
        [_starred(lang, held_out), *(number(row[name], 3) for name in columns)]
        for lang, row in evaluation.by_language.items()
        if row["queries"]
    ]
    rows.append(["macro mean", *(number(evaluation.pool[name], 3) for name in columns)])
    rows += _ends(intervals, list(columns), lambda means: means.macro, digits=3)
    return ["queries in", *columns.values()], rows


def bias_rows(evaluation: Evaluation, intervals: Intervals | None = None) -> Rows:
    """What the ranking of the pooled corpus makes of languages: of the passages, and of the questions."""

    def shown(name: str, value: float) -> str:
        if intervals is None or name not in intervals or isnan(value):
            return number(value)
        _, low, high = intervals[name].macro
        return f"{number(value)} [{number(low)} to {number(high)}]"

    rows = [
        [
            "rank distance",
            shown("rank_distance", evaluation.rank_distance),
            "last minus first rank of a question's answers; small is fair",
        ],
        ["PEER", shown("peer", evaluation.peer), "chance of such ranks if no language is preferred; 1 is fair"],
        [
            "MRC",
            shown("mrc", evaluation.rank_correlation),
            "correlation of a question's rankings in two languages; 1 is fair",
        ],
    ]
    return ["", "", ""], [row for row in rows if row[1] != "-"]


def intervals_json(intervals: Intervals) -> dict[str, Any]:
    """Ends of 95 % intervals as JSON values: measure -> `macro`, `micro` and each query language -> [low, high] or null."""

    def ends(interval: Interval) -> list[float] | None:
        return None if isnan(interval.mean) else [interval.low, interval.high]

    return {
        name: {
            "macro": ends(means.macro),
            "micro": ends(means.micro),
            "by_language": {lang: ends(interval) for lang, interval in means.by_language.items()},
        }
        for name, means in intervals.items()
    }


def matrix_rows(evaluation: Evaluation, held_out: Sequence[str] = ()) -> Rows:
    """mAP: a row a query language, a column a passage language; those without any pair are left out."""
    asked, searched = paired_languages(evaluation.matrix)
    rows = [
        [_starred(query_lang, held_out), *(number(evaluation.matrix[query_lang][lang], 3) for lang in searched)]
        for query_lang in asked
    ]
    return ["", *(_starred(lang, held_out) for lang in searched)], rows


def paired_languages(matrix: Matrix) -> tuple[list[str], list[str]]:
    """The query languages and the passage languages that have a number in the matrix."""
    langs = list(matrix)
    asked = [lang for lang in langs if not all(isnan(matrix[lang][searched]) for searched in langs)]
    return asked, [lang for lang in langs if not all(isnan(matrix[query_lang][lang]) for query_lang in langs)]


def difference_rows(differences: Sequence[Difference]) -> Rows:
    """A row a test."""
    titles = ["queries in", "n", "this", "other", "difference", "95 % interval", "p", "p (Holm)"]
    rows = []
    for test in differences:
        means = [number(test.mean_a), number(test.mean_b), f"{test.mean_a - test.mean_b:+.4f}"]
        interval = f"{test.low:+.4f} to {test.high:+.4f}"
        rows.append([test.name, f"{test.n:,}", *means, interval, f"{test.p:.4f}", f"{test.p_holm:.4f}"])
    return titles, rows


def as_markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table.

    >>> print(as_markdown(["a", "b"], [["x", "1|2"]]))
    | a | b |
    |---|---|
    | x | 1\\|2 |
    """
    lines = [titles, *rows]
    written = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([written[0], "|" + "---|" * len(titles), *written[1:]])


def print_rows(titles: Sequence[str], rows: Sequence[Sequence[str]], title: str | None, console: Console) -> None:
    """Prints a table under its title; only a terminal cuts what is wider than it is, files and pipes get all of it."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for column, name in enumerate(titles):
        table.add_column(escape(name), justify="right" if column else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    if title is not None:
        console.print(f"\n[bold]{escape(title)}[/bold]")
    whole = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    console.print(table, width=None if console.is_terminal else max(whole, console.width), crop=console.is_terminal)


def _ends(
    intervals: Intervals | None,
    keys: Sequence[str],
    mean_of: Callable[[MeanIntervals], Interval],
    empty: int = 0,
    digits: int = 4,
) -> list[list[str]]:
    """The lower and the upper ends of a mean's intervals as two rows, after so many empty cells; none where none are given."""
    if intervals is None:
        return []
    known = [mean_of(intervals[key]) if key in intervals else Interval(nan, nan, nan) for key in keys]
    return [
        ["95 % from", *[""] * empty, *(number(interval.low, digits) for interval in known)],
        ["95 % to", *[""] * empty, *(number(interval.high, digits) for interval in known)],
    ]


def _starred(lang: str, held_out: Sequence[str]) -> str:
    return f"{lang}*" if lang in held_out else lang
