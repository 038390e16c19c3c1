"""A sweep's table: a row a configuration for people, a row a trial for spreadsheets, and everything for programs."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from xlret.files import write_json, write_text
from xlret.sweep.comparison import Tested, reference_of
from xlret.sweep.evaluations import METRICS
from xlret.sweep.ranking import Interval, Ranked
from xlret.sweep.settings import SweepJob

HEADLINE = {"mo": "Mo", "cr": "Cr", "mul": "Mul", "rank_distance": "rank distance"}
"""Metrics that every table shows, with their titles."""


def columns(job: SweepJob) -> dict[str, str]:
    """Metric -> title of the columns: the headline, the groups of languages, the goals, and Mul of further evaluations of all
    points.
    """
    names = {metric: job.titles.get(metric, title) for metric, title in HEADLINE.items()}
    names |= {f"{job.pivot}-{group}": f"{job.pivot}-{group}" for group in job.groups}
    names |= {f"{name}.mul": f"{name} {names['mul']}" for name in job.also if name not in job.only}
    goals = {goal.metric: goal.metric for goal in job.goals if goal.metric not in names}
    return names | {metric: job.titles.get(metric, title) for metric, title in goals.items()}


def as_markdown(job: SweepJob, rows: Sequence[Ranked], tests: Mapping[str, Tested]) -> str:
    """A row a configuration, the best first: mean over seeds ± half of its 95 % interval; its test. Evaluations that only some
    points get are rows of their own below.
    """
    titles = columns(job)
    reference = reference_of(job, rows)
    head = ["configuration", "seeds", *titles.values(), "against the reference", "p questions", "p seeds", "status"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        numbers = [_cell(metric, row.metrics.get(metric)) for metric in titles]
        test = tests.get(row.configuration.name)
        if row is reference:
            tested = ["reference", "", ""]
        elif test is None:
            tested = ["", "", ""]
        else:
            p_seeds = "" if test.p_seeds is None else f"{test.p_seeds:.4f}"
            tested = [f"{test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]", f"{test.p_questions:.4f}", p_seeds]
        done = sum(result.status == "finished" for result in row.results)
        count = str(done) if done == row.seeds else f"{done} of {row.seeds}"
        cells = [row.configuration.label, count, *numbers, *tested, _status(row)]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    for name, points in job.only.items():
        for row in (row for row in rows if row.configuration.point in points):
            numbers = [_cell(metric, row.metrics.get(f"{name}.{metric}")) for metric in titles]
            cells = [f"{name} of {row.configuration.label}", "", *numbers, "", "", "", ""]
            lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def write_tables(job: SweepJob, rows: Sequence[Ranked], tests: Mapping[str, Tested]) -> str:
    """Writes `table.md`, `table.csv` and `table.json` into the sweep's directory; returns the first."""
    job.out.mkdir(parents=True, exist_ok=True)
    text = as_markdown(job, rows, tests)
    write_text(job.out / "table.md", text)
    write_text(job.out / "table.csv", _as_csv(rows))
    write_json(job.out / "table.json", [_as_json(row, tests) for row in rows])
    return text


def _as_csv(rows: Sequence[Ranked]) -> str:
    results = [result for row in rows for result in row.results]
    settings = list(dict.fromkeys(name for result in results for name in result.settings))
    metrics = [*METRICS, *dict.fromkeys(name for result in results for name in result.metrics if name not in METRICS)]
    facts = ["status", "error", "step", "best_step", "training_seconds", "evaluation_seconds"]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["configuration", "seed", *settings, *metrics, *facts])
    for result in results:
        values = [json.dumps(result.settings[name]) if name in result.settings else "" for name in settings]
        numbers = [result.metrics.get(name) for name in metrics]
        writer.writerow([result.label, result.seed, *values, *numbers, *(getattr(result, name) for name in facts)])
    return file.getvalue()


def _as_json(row: Ranked, tests: Mapping[str, Tested]) -> dict[str, Any]:
    test = tests.get(row.configuration.name)
    return {
        "name": row.configuration.name,
        "label": row.configuration.label,
        "settings": dict(row.configuration.settings),
        "status": row.status,
        "seeds": row.seeds,
        "metrics": {name: _finite(asdict(interval)) for name, interval in row.metrics.items()},
        "test": None if test is None else _finite(asdict(test)),
        "trials": [result.model_dump(mode="json") for result in row.results],
    }


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if value is None or math.isfinite(value) else None for name, value in values.items()}


def _cell(metric: str, interval: Interval | None) -> str:
    """
    >>> _cell("mul", Interval(0.5, 0.49, 0.51, 3)), _cell("rank_distance", Interval(31.26, -float("inf"), float("inf"), 1))
    ('0.5000 ± 0.0100', '31.3')
    """
    if interval is None:
        return "-"
    digits = 1 if metric.rsplit(".", 1)[-1] == "rank_distance" else 4
    width = "" if math.isinf(interval.half_width) else f" ± {interval.half_width:.{digits}f}"
    return f"{interval.mean:.{digits}f}{width}"


def _status(row: Ranked) -> str:
    errors = dict.fromkeys(result.error for result in row.results if result.error)
    kept = [result for result in row.results if result.status == "finished" and result.step > 0 and result.best_step == 0]
    seeds = "" if len(kept) == row.seeds else f" with {len(kept)} of {row.seeds} seeds"
    starts = [f"no step was better on dev than the start{seeds}"] if kept else []  # the row is of the start's weights
    return ": ".join([row.status, *errors, *starts])
