"""Variants of one training recipe over several seeds, each evaluated the same way: `python -m jobs.variants RECIPE`."""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field
from rich.console import Console

from jobs.cli import recipe_parser, run_job
from jobs.evaluate import EvaluateSettings, evaluate_encoder
from xlret.config import PathSetting, Settings, read_recipe
from xlret.errors import UserError
from xlret.files import write_text
from xlret.session import ray_session
from xlret.train.retriever import train
from xlret.train.settings import TrainJob

EXAMPLE = """\
examples:
  python -m jobs.variants jobs/recipes/real-regimes.yaml
  python -m jobs.variants jobs/recipes/real-regimes.yaml --set seeds=[0,1,2]

Runs and evaluations that are there already are not made again, so a stopped table goes on where it stopped. The table is
printed and kept as OUT/table.md; each evaluation, with the matrix of all language pairs, beside its run.
"""


class VariantsJob(Settings):
    """A base recipe of jobs.train, what each variant changes in it, and how all are evaluated."""

    name: str
    base: PathSetting
    variants: Mapping[str, Mapping[str, Any]] = Field(min_length=1)
    """Name of a variant -> setting -> value, such as `mono: {plan.regime: mono}`. Empty settings: the base as it is.
    The key `untrained` with value true evaluates the start encoder."""
    seeds: tuple[int, ...] = Field((0, 1), min_length=1)
    evaluation: EvaluateSettings
    out: PathSetting
    pivot: str = "en"
    """The language of the training pairs, which `groups` are paired with."""
    groups: Mapping[str, tuple[str, ...]] = {}
    """Name of a group of languages, such as `near` -> its languages. Each is a column of the table: the mean mAP of searches
    between the pivot and its languages, in both directions."""


METRICS = {"mo": "Mo", "cr": "Cr", "mul": "Mul", "rank_distance": "rank distance"}


def main(argv: Sequence[str] | None = None) -> int:
    """Trains and evaluates what is missing, then prints the table."""
    arguments = recipe_parser("variants", "Trains and evaluates variants of a recipe over seeds.", EXAMPLE).parse_args(argv)
    job = read_recipe(VariantsJob, arguments.recipe, arguments.overrides)
    console = Console(highlight=False)
    results: dict[str, list[dict[str, float | None]]] = {}
    with ray_session():
        for name, changes in job.variants.items():
            untrained = bool(changes.get("untrained", False))
            for seed in job.seeds[:1] if untrained else job.seeds:
                console.rule(name if untrained else f"{name}, seed {seed}")
                results.setdefault(name, []).append(_one(job, name, changes, seed, untrained))
    table = as_markdown(results)
    write_text(job.out / "table.md", table)
    console.print(table)
    return 0


def _one(job: VariantsJob, name: str, changes: Mapping[str, Any], seed: int, untrained: bool) -> dict[str, float | None]:
    """The metrics of one variant and seed, by column, from its evaluation where that is there already."""
    label = name if untrained else f"{name}-{seed}"
    out = job.out / label
    path = out / "evaluation.json"
    if not path.exists():
        overrides = [f"{key}={json.dumps(value)}" for key, value in changes.items() if key != "untrained"]
        run = read_recipe(
            TrainJob,
            job.base,
            [*overrides, f"name={job.name}-{label}", f"seed={seed}", f"plan.seed={seed}", f"storage={job.out}/runs"],
        )
        encoder = run.encoder.start if untrained else str(train(run, show=lambda line: print(line, flush=True)).model)
        evaluate_encoder(encoder, job.evaluation, out)
    found = json.loads(path.read_text(encoding="utf-8"))
    of_groups = {f"{job.pivot}-{group}": _between(found, job.pivot, langs) for group, langs in job.groups.items()}
    return {title: found[metric] for metric, title in METRICS.items()} | of_groups


def _between(found: Mapping[str, Any], pivot: str, langs: Sequence[str]) -> float:
    """The mean mAP of searches between the pivot and some languages, in both directions, over all sets."""
    matrices = [one["matrix"] for one in found["sets"]]
    try:
        return statistics.fmean(value for of in matrices for lang in langs for value in (of[pivot][lang], of[lang][pivot]))
    except KeyError as error:
        known = ", ".join(sorted(matrices[0]))
        raise UserError(f"pivot and groups: the evaluation has no language {error.args[0]!r}; it has {known}") from None


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


if __name__ == "__main__":
    run_job(main)
