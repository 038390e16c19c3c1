"""An evaluation's directory: evaluation.json, its tables and page, queries.csv, rankings.jsonl, qrels.trec and run.trec."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError
from xlret.evaluation import evaluation_table
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.language_charts import SHARES_TITLE, language_charts, share_chart, system_of
from xlret.evaluation.mean_intervals import Intervals, mean_intervals
from xlret.evaluation.report import difference_rows, without_nan
from xlret.evaluation.report_html import page
from xlret.evaluation.sets import RetrievalSet
from xlret.evaluation.shown_rankings import RANKINGS, shown_rows, side_by_side, write_rankings
from xlret.evaluation.significance import Difference, QueryScore
from xlret.evaluation.trec import write_qrels, write_run
from xlret.files import directory_beside, write_json, write_text

Done = Sequence[tuple[RetrievalSet, Evaluation]]
_COLUMNS = {"average_precision": "mul", "rank_distance": "rank_distance"}
"""Columns of queries.csv that are not called as in `Evaluation.values_Q`."""


def write_evaluation(
    out: Path,
    done: Done,
    summary: Mapping[str, Any],
    *,
    title: str,
    settings: str,
    held_out: Sequence[str] = (),
    intervals: Sequence[Intervals] | None = None,
    differences: Sequence[Difference] | None = None,
    run_depth: int = 1000,
    replace: bool = False,
) -> None:
    """Writes everything into `out`, which appears when it is whole.

    Args:
        out: the directory.
        done: retrieval sets and their evaluations. Where there are several, each has its own `SET.qrels.trec` and
            `SET.run.trec`, since TREC files know one collection.
        summary: evaluation.json; NaN becomes null.
        title, settings, held_out, differences: see `report_html.page`.
        intervals: of the means of each set; made here where they are not given.
        run_depth: passages of each query in the run; 0 writes no run. Each evaluation must have been made as deep.
        replace: whether an existing directory gives way.

    Raises:
        UserError: `out` exists and `replace` is false, or the disk is full or not writable.
    """
    rows = None if differences is None else difference_rows(differences)
    intervals = [mean_intervals(*pair) for pair in done] if intervals is None else intervals
    with directory_beside(out, replace=replace) as fresh:
        write_json(fresh / "evaluation.json", without_nan(dict(summary)))
        evaluations = [evaluation for _, evaluation in done]
        system = system_of(title, done)
        shown = {row["id"]: row for pair in done for row in shown_rows(*pair)}
        about = page(
            title,
            evaluations,
            held_out=held_out,
            intervals=intervals,
            settings=settings,
            comparison=rows,
            charts=[
                *language_charts([system], ("mul", *dict.fromkeys(name for each in evaluations for name in each.measures))),
                *(share_chart(f"{SHARES_TITLE}: {each.name}", _shown_shares(each)) for each in evaluations if each.shares),
            ],
            queries=side_by_side({title: shown}, [system]),
        )
        write_text(fresh / "report.html", about)
        measured = list(zip(evaluations, intervals, strict=True))
        write_text(fresh / "evaluation.md", evaluation_table.markdown(title, measured, held_out))
        write_text(fresh / "evaluation.csv", evaluation_table.as_csv(measured))
        write_text(fresh / "evaluation.tex", evaluation_table.latex(title, measured))
        _write_queries(fresh / "queries.csv", done)
        write_rankings(fresh / RANKINGS, done)
        for retrieval_set, evaluation in done:
            start = "" if len(done) == 1 else retrieval_set.name.replace("/", "-") + "."
            write_qrels(fresh / f"{start}qrels.trec", retrieval_set)
            if run_depth:
                write_run(fresh / f"{start}run.trec", retrieval_set, evaluation.retrieved, depth=run_depth)


def _shown_shares(evaluation: Evaluation) -> dict[str, Mapping[str, float]]:
    return {"the first ten": evaluation.shares["top"], **{name: evaluation.shares[name] for name in ("pool", "relevant")}}


def scores_of(done: Done) -> dict[str, QueryScore]:
    """Pooled AP of every query by `set id`, for `compare`."""
    return {
        f"{queries.name} {query_id}": QueryScore(lang, group, float(value))
        for queries, evaluation in done
        for query_id, lang, group, value in zip(
            queries.query_ids,
            queries.query_langs,
            queries.query_groups or queries.query_ids,
            evaluation.values_Q["mul"],
            strict=True,
        )
    }


def read_scores(path: Path) -> dict[str, QueryScore]:
    """The scores that belong to an `evaluation.json`, from the `queries.csv` beside it.

    Raises:
        UserError: no such file, or it is not what `write_evaluation` leaves.
    """
    table = path.with_name("queries.csv") if path.name == "evaluation.json" else path / "queries.csv"
    if not table.is_file():
        raise UserError(f"there is no {table} to compare with; name the evaluation.json of an earlier evaluation")
    scores = {}
    for where, record in read_records(table, ReadingReport()):
        try:
            value = float(record["average_precision"] or "nan")
            scores[record["id"]] = QueryScore(record["lang"], record["group"], value)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: not a row of an evaluation's queries.csv: {error}") from error
    return scores


def _write_queries(path: Path, done: Done) -> None:
    """A row a query: who it is, then every number that it has, an empty cell where it has none."""
    names = [] if not done else [name for name in done[0][1].values_Q if name not in _COLUMNS.values()]
    columns = _COLUMNS | {name: name for name in names}
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "lang", "group", *columns])
        for retrieval_set, evaluation in done:
            scores = scores_of([(retrieval_set, evaluation)])
            values_QN = zip(*(evaluation.values_Q[name].tolist() for name in columns.values()), strict=True)
            for (query_id, score), values in zip(scores.items(), values_QN, strict=True):
                writer.writerow([query_id, score.lang, score.group, *map(_value, values)])


def _value(value: float) -> str:
    return "" if value != value else repr(value)
