"""A sweep as one HTML page that stands alone: what each setting does, what it costs, and what all was made from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from xlret.charts import Chart, Sample, chart
from xlret.config import as_yaml
from xlret.files import write_text
from xlret.pages import render
from xlret.sweep.comparison import Tested
from xlret.sweep.configuration import trial_directory
from xlret.sweep.evaluations import EVALUATIONS
from xlret.sweep.parallel import parallel
from xlret.sweep.pareto import front
from xlret.sweep.ranking import Ranked
from xlret.sweep.settings import SweepJob
from xlret.sweep.table import HEADLINE, as_markdown
from xlret.training.log import read_lines

_MOST_SERIES = 8
"""Lines of a chart that can still be told apart."""
_ALPHA = "plan.alpha"
POINT = "point"


def write_report(job: SweepJob, rows: Sequence[Ranked], tests: Mapping[str, Tested]) -> Path:
    """Writes `report.html` into the sweep's directory and returns its path."""
    finished = [row for row in rows if row.goals(job) is not None]
    pareto, unbeaten = _pareto(job, finished)
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in as_markdown(job, rows, tests).splitlines()]
    page = render(
        "sweep/report.html",
        title=f"Sweep {job.name}",
        finished=len(finished),
        configurations=len(rows),
        head=table[0],
        rows=table[2:],
        charts=[*_by_setting(job, finished), *_by_alpha(finished)],
        pareto=pareto,
        front=unbeaten,
        threads=_parallel(job, finished),
        languages=_by_language(job, finished),
        costs=list(_costs(job, rows)),
        data=_data(rows),
        settings=as_yaml(job),
    )
    path = job.out / "report.html"
    write_text(path, page)
    return path


def swept(job: SweepJob, rows: Sequence[Ranked]) -> list[str]:
    """What differs among configurations: `point`, which stands for all settings that a point has, and settings of the space."""
    return [name for name in (POINT, *job.space) if len({_text(_value(row, name)) for row in rows}) > 1]


def _value(row: Ranked, name: str) -> Any:
    return row.configuration.point if name == POINT else row.configuration.settings.get(name)


def _by_setting(job: SweepJob, rows: Sequence[Ranked]) -> Iterator[Chart]:
    """The first goal over each swept setting; what shares all other listed settings is a line. No two configurations share a
    value that is drawn from a range, so where another setting is such, points stand without a line."""
    metric = job.goals[0].metric
    names = swept(job, rows)
    ranges = {name for name, domain in job.space.items() if domain.values is None}
    for name in names:
        lines: dict[str, list[Ranked]] = {}
        for row in rows:
            others = [f"{_word(other)} {_text(_value(row, other))}" for other in names if other not in ranges | {name}]
            lines.setdefault(", ".join(others) or metric, []).append(row)
        values = [_value(row, name) for row in rows]
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        categories = None if numeric else sorted({_text(value) for value in values})
        series = {}
        for label, configurations in list(lines.items())[:_MOST_SERIES]:
            series[label] = [_sample(row, metric, _position(row, name, categories)) for row in configurations]
        more = f" ({len(lines) - _MOST_SERIES} lines more are in the table)" if len(lines) > _MOST_SERIES else ""
        joined = numeric and not ranges - {name}
        yield chart(f"{metric} over {name}{more}", name, metric, series, categories=categories, joined=joined)


def _by_alpha(rows: Sequence[Ranked]) -> Iterator[Chart]:
    """Quality and language bias over the share of monolingual batches, mean over whatever else is swept."""
    with_alpha = [row for row in rows if isinstance(row.configuration.settings.get(_ALPHA), int | float)]
    alphas = sorted({float(row.configuration.settings[_ALPHA]) for row in with_alpha})
    if len(alphas) < 2:
        return
    for title, metrics in (
        ("Mo, Cr and Mul over alpha", ("mo", "cr", "mul")),
        ("rank distance over alpha", ("rank_distance",)),
    ):
        series: dict[str, list[Sample]] = {}
        for metric in metrics:
            for alpha in alphas:
                values = [
                    value for row in with_alpha if row.configuration.settings[_ALPHA] == alpha for value in _values(row, metric)
                ]
                if values:
                    text = f"alpha {alpha:g}: {HEADLINE[metric]} {fmean(values):.4f} of {len(values)} trials"
                    sample = Sample(alpha, fmean(values), min(values), max(values), text)
                    series.setdefault(HEADLINE[metric], []).append(sample)
        if series:
            yield chart(title, _ALPHA, title.partition(" over ")[0], series)


_FRONT = "no other is better in both"


def _pareto(job: SweepJob, rows: Sequence[Ranked]) -> tuple[Chart | None, list[str]]:
    """Quality against language bias (the first goal against the second, or rank distance); in words, what is on the front."""
    quality = job.goals[0]
    bias = job.goals[1].metric if len(job.goals) > 1 else "rank_distance"
    sign = job.goals[1].sign if len(job.goals) > 1 else -1.0
    known = [row for row in rows if bias in row.metrics and quality.metric in row.metrics]
    if bias == quality.metric or not known:
        return None, []
    means = [(row.metrics[quality.metric].mean, row.metrics[bias].mean) for row in known]
    best = set(front([(quality.sign * first, sign * second) for first, second in means]))
    samples: dict[str, list[Sample]] = {_FRONT: [], "others": []}
    unbeaten = []
    for number, (row, (first, second)) in enumerate(zip(known, means, strict=True)):
        values = _values(row, bias)
        text = f"{row.configuration.label}: {quality.metric} {first:.4f}, {bias} {second:.4g}"
        samples[_FRONT if number in best else "others"].append(Sample(first, second, min(values), max(values), text))
        if number in best:
            unbeaten.append(text)
    return chart(f"{bias} against {quality.metric}", quality.metric, bias, samples, joined=[_FRONT]), unbeaten


def _parallel(job: SweepJob, rows: Sequence[Ranked]) -> Any:
    names = swept(job, rows)
    if not names or len(rows) < 2:
        return None
    columns: dict[str, list[float | str | None]] = {}
    for name in names:
        values = [_value(row, name) for row in rows]
        numeric = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
        columns[_word(name)] = [value if numeric or value is None else _text(value) for value in values]
    for metric in dict.fromkeys([*(goal.metric for goal in job.goals), "rank_distance"]):
        columns[metric] = [row.metrics[metric].mean if metric in row.metrics else None for row in rows]
    return parallel(columns, [row.configuration.label for row in rows])


def _by_language(job: SweepJob, rows: Sequence[Ranked]) -> list[Chart]:
    """The pooled AP of every query language, a line for each of the best configurations, a chart for each retrieval set."""
    by_set: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows[:_MOST_SERIES]:
        for result in row.results:
            path = trial_directory(job, row.configuration, result.seed) / EVALUATIONS / "evaluation" / "evaluation.json"
            if not path.exists():  # it was trained elsewhere
                continue
            for retrieval_set in json.loads(path.read_text(encoding="utf-8"))["sets"]:
                langs = by_set.setdefault(retrieval_set["name"], {}).setdefault(row.configuration.label, {})
                for lang, numbers in retrieval_set["by_language"].items():
                    if numbers["mul"] is not None:
                        langs.setdefault(lang, []).append(numbers["mul"])
    charts = []
    for name, lines in by_set.items():
        names = sorted({lang for values in lines.values() for lang in values})
        series = {
            label: [
                Sample(names.index(lang), fmean(numbers), min(numbers), max(numbers), f"{label}, {lang}: {fmean(numbers):.4f}")
                for lang, numbers in values.items()
            ]
            for label, values in lines.items()
        }
        if names:
            charts.append(chart(f"Mul by query language on {name}", "query language", "Mul", series, categories=names))
        if len(charts) == 3:  # a benchmark of many sets has a table
            break
    return charts


def _costs(job: SweepJob, rows: Sequence[Ranked]) -> Iterator[list[str]]:
    for row in rows:
        for result in row.results:
            lines = read_lines(trial_directory(job, row.configuration, result.seed) / "metrics.jsonl")
            train = [line for line in lines if line["group"] == "train"]
            speed = f"{fmean(line['pairs_per_second'] for line in train):.0f}" if train else "-"
            memory = f"{max(line['peak_memory_mb'] for line in train):.0f}" if train else "-"
            weights = result.fingerprints.get("weights", "")[:12]
            yield [
                *(result.label, str(result.seed), result.status, str(result.step)),
                *(f"{result.training_seconds:.0f}", f"{result.evaluation_seconds:.0f}", speed, memory),
                *(result.configuration.rpartition("-")[2], result.fingerprints.get("plan", "")[:12], weights),
            ]


def _data(rows: Sequence[Ranked]) -> list[tuple[str, str]]:
    """Path and fingerprint of every corpus that a trial was trained on."""
    prefix = "corpus "
    return sorted(
        {
            (name.removeprefix(prefix), fingerprint)
            for row in rows
            for result in row.results
            for name, fingerprint in result.fingerprints.items()
            if name.startswith(prefix)
        }
    )


def _sample(row: Ranked, metric: str, x: float) -> Sample:
    values = _values(row, metric)
    mean = row.metrics[metric].mean
    return Sample(x, mean, min(values), max(values), f"{row.configuration.label}: {metric} {mean:.4f} of {len(values)} seeds")


def _values(row: Ranked, metric: str) -> list[float]:
    return [value for result in row.results if (value := result.metrics.get(metric)) is not None]


def _position(row: Ranked, name: str, categories: Sequence[str] | None) -> float:
    value = _value(row, name)
    return float(value) if categories is None and value is not None else float((categories or ()).index(_text(value)))


def _word(setting: str) -> str:
    return setting.rsplit(".", 1)[-1]


def _text(value: Any) -> str:
    """A setting's value as the name of a category."""
    if value is None:
        return "as the base"
    if isinstance(value, str):
        return value.rstrip("/").rsplit("/", 1)[-1]
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value, ensure_ascii=False, default=str)
