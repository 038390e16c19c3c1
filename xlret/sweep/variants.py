"""Variants of one training recipe over several seeds, each evaluated the same way."""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console

from xlret.config import read_recipe, settings_from
from xlret.errors import UserError
from xlret.evaluation.run import evaluate_encoder
from xlret.evaluation.settings import EvaluateSettings
from xlret.files import write_text
from xlret.session import ray_session
from xlret.sweep.settings import VariantsJob
from xlret.training.run import train
from xlret.training.settings import TrainJob
from xlret.training.setup import check_settings

METRICS = {"mo": "Mo", "cr": "Cr", "mul": "Mul", "rank_distance": "rank distance"}


def run_variants(job: VariantsJob, console: Console) -> str:
    """Trains and evaluates what is missing of a table, which it writes to `out/table.md` and returns."""
    trials = _trials(job)
    results: dict[str, list[dict[str, float | None]]] = {}
    with ray_session():
        for trial in trials:
            console.rule(trial.label)
            results.setdefault(trial.variant, []).append(_measured(job, trial))
    table = as_markdown(results)
    write_text(job.out / "table.md", table)
    return table


class _Trial(NamedTuple):
    """One cell of the table: a run to make, or only its start to evaluate."""

    variant: str
    label: str
    run: TrainJob
    untrained: bool


def _trials(job: VariantsJob) -> list[_Trial]:
    """All of them, so that a setting that cannot be used shows before the first is trained.

    Raises:
        UserError: such a setting; or what is there already was made with other settings.
    """
    trials = []
    for variant, changes in job.variants.items():
        untrained = bool(changes.get("untrained", False))
        overrides = [f"{key}={json.dumps(value)}" for key, value in changes.items() if key != "untrained"]
        for seed in job.seeds[:1] if untrained else job.seeds:
            label = variant if untrained else f"{variant}-{seed}"
            names = [f"name={job.name}-{label}", f"seed={seed}", f"plan.seed={seed}", f"storage={job.out}/runs"]
            run = read_recipe(TrainJob, job.base, [*overrides, *names])
            if not untrained:
                check_settings(run)
            trials.append(_Trial(variant, label, run, untrained))
    for trial in trials:
        path = job.out / trial.label / "evaluation.json"
        if path.exists():
            evaluation = json.loads(path.read_text(encoding="utf-8"))
            if settings_from(EvaluateSettings, evaluation["settings"]) != job.evaluation:
                raise UserError(f"{path} was made with other settings of `evaluation`; remove it or choose another `out`")
            _groups(job, evaluation)
    return trials


def _measured(job: VariantsJob, trial: _Trial) -> dict[str, float | None]:
    """The metrics of one trial by column, from its evaluation where that is there already."""
    out = job.out / trial.label
    path = out / "evaluation.json"
    if not path.exists():
        run = trial.run
        encoder = run.encoder.start if trial.untrained else str(train(run, show=lambda line: print(line, flush=True)).model)
        evaluate_encoder(encoder, job.evaluation, out)
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    return {title: evaluation[metric] for metric, title in METRICS.items()} | _groups(job, evaluation)


def _groups(job: VariantsJob, evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """For each group the mean mAP of searches between the pivot and its languages, in both directions, over all sets."""
    means: dict[str, float | None] = {}
    for group, langs in job.groups.items():
        values = []
        for matrix in (retrieval_set["matrix"] for retrieval_set in evaluation["sets"]):
            if unknown := sorted({job.pivot, *langs} - set(matrix)):
                raise UserError(
                    f"pivot and groups: the evaluation has no language {unknown[0]!r}; it has {', '.join(sorted(matrix))}"
                )
            values += [matrix[job.pivot][lang] for lang in langs] + [matrix[lang][job.pivot] for lang in langs]
        known = [value for value in values if value is not None]
        means[f"{job.pivot}-{group}"] = statistics.fmean(known) if known else None
    return means


def as_markdown(results: Mapping[str, Sequence[Mapping[str, float | None]]]) -> str:
    """A row a variant: the mean over its seeds and, in brackets, the largest distance of a seed from the mean.

    >>> runs = [{"Mo": 0.5, "rank distance": 9.0}, {"Mo": 0.7, "rank distance": 8.0}]
    >>> print(as_markdown({"mono": runs}))
    | variant | seeds | Mo | rank distance |
    |---|---|---|---|
    | mono | 2 | 0.6000 (0.1000) | 8.5 (0.5) |
    """
    columns = list(dict.fromkeys(column for runs in results.values() for run in runs for column in run))
    lines = ["| variant | seeds | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for name, runs in results.items():
        cells = []
        for column in columns:
            values = [value for run in runs if (value := run[column]) is not None]
            digits = 1 if column == METRICS["rank_distance"] else 4
            if values:
                mean = statistics.fmean(values)
                spread = max(abs(value - mean) for value in values)
            cells.append(f"{mean:.{digits}f} ({spread:.{digits}f})" if values else "-")
        lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)
