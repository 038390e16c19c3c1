"""What a sweep would do and cost, from its settings alone: every trial is resolved and none begun."""

import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
import yaml
from rich.console import Console
from rich.table import Table

from xlret.config import recipe_names, recipe_path
from xlret.model.fresh import fresh_backbone
from xlret.model.settings import FreshEncoder
from xlret.sweep.checks import check_sweep, example_configurations
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory, trial_run
from xlret.sweep.in_process import in_process
from xlret.sweep.result import read_result
from xlret.sweep.settings import SweepJob
from xlret.sweep.trial import evaluations_of
from xlret.training.log import read_lines
from xlret.training.settings import TrainJob

_STATE = 16
"""Bytes of a parameter while it is trained with AdamW in float32: weight, gradient and two moments."""
_CHECKPOINT = 12
"""Bytes of a parameter in a checkpoint: weight and two moments."""


@dataclass(frozen=True)
class Cost:
    """One configuration, with all its seeds."""

    configuration: Configuration
    seeds: int
    steps: int
    examples: int
    """Pairs of a query and a passage that one seed is trained on."""
    parameters: float | None
    """None: the start encoder is not at hand, and the recipe does not say."""
    memory_gb: float | None
    """Of one seed: weights, gradients and moments on each worker; activations are not in it."""
    disk_gb: float | None
    """Of all seeds: checkpoints, start and model."""
    hours: float | None
    """Of all seeds, one after the other, evaluation left out; None: no speed is known."""
    gpus: int


def costs(job: SweepJob) -> list[Cost]:
    """The cost of every configuration, or of an example where the search has not chosen yet.

    Raises:
        UserError: a setting of a trial cannot be used.
    """
    configurations = example_configurations(job)
    check_sweep(job, configurations)
    speed = job.cost.pairs_per_second or measured_speed(job, configurations)
    return [_cost(job, configuration, speed) for configuration in configurations]


def measured_speed(job: SweepJob, configurations: Sequence[Configuration]) -> float | None:
    """Pairs per second of the trials of a sweep that have begun, on the mean; None where none has."""
    speeds = [
        line["pairs_per_second"]
        for configuration in configurations
        for seed in seeds_of(job, configuration)
        for line in read_lines(trial_directory(job, configuration, seed) / "metrics.jsonl")
        if line["group"] == "train"
    ]
    return fmean(speeds) if speeds else None


def absent_paths(job: SweepJob, configurations: Sequence[Configuration]) -> list[Path]:
    """Corpora, lexicons and benchmarks that the sweep names and that are not there, each once."""
    named: dict[Path, None] = {}
    for configuration in configurations:
        run = trial_run(job, configuration, job.seeds[0])
        named |= dict.fromkeys([*run.corpora, *run.dev.corpora, *run.switch.lexicons])
        if run.encoder.start.startswith("/"):
            named[Path(run.encoder.start)] = None
    for settings in evaluations_of(job).values():
        read = (settings.data, settings.corpus, settings.translate_test, settings.switch_queries)
        named |= dict.fromkeys(path for path in read if path is not None)
    if job.release is not None:
        named |= dict.fromkeys([*job.release.passages, *job.release.corpora])
    return [path for path in named if not path.exists()]


def command_that_makes(path: Path) -> str | None:
    """The command of xlret that makes a part of a corpus, by the recipes that come with it; None where none does.

    >>> command_that_makes(Path("corpora/qa/train")), command_that_makes(Path("corpora/atlas/lexicon"))
    ('prepare questions/prepare', 'prepare --atlas corpora/atlas')
    """
    if path.parent.name == "atlas":
        return f"prepare --atlas {path.parent}"
    for name in recipe_names():
        recipe = yaml.safe_load(recipe_path(name).read_text(encoding="utf-8"))
        if path.parent.name in (recipe["corpora"] if "output" in recipe else {}):
            return f"prepare {name}"
    return None


def print_dry_run(job: SweepJob, console: Console, *, without_ray: bool = False) -> None:
    """Shows what a sweep would do, a line a configuration, and the sums.

    Raises:
        UserError: a setting of a trial cannot be used.
    """
    if without_ray:
        job = in_process(job)
    table = Table(box=None, pad_edge=False)
    table.add_column("configuration", overflow="fold")
    for title in ("seeds", "steps", "pairs", "weights", "memory", "disk", "time", "GPU time", "done"):
        table.add_column(title, justify="right", no_wrap=True)
    rows = costs(job)
    for row in rows:
        done = sum(
            (result := read_result(trial_directory(job, row.configuration, seed))) is not None and result.known
            for seed in seeds_of(job, row.configuration)
        )
        gpu_hours = None if row.hours is None else row.hours * row.gpus
        numbers = [_shown(row.parameters, "M", 1e6), _shown(row.memory_gb, "GB"), _shown(row.disk_gb, "GB")]
        table.add_row(
            *(row.configuration.label, str(row.seeds), f"{row.steps:,}", f"{row.examples:,}"),
            *(*numbers, _shown(row.hours, "h"), _shown(gpu_hours, "h"), f"{done}/{row.seeds}"),
        )
    console.print(table)
    draws = job.search.samples if job.search.method in ("tpe", "nsga2") else 1
    trials = sum(row.seeds for row in rows) * draws
    hours = [row.hours * draws for row in rows if row.hours is not None]
    sums = [
        f"{len(rows) * draws} configurations, {trials} trials, {draws * sum(row.steps * row.seeds for row in rows):,} steps"
    ]
    sums.append(f"{draws * sum(row.examples * row.seeds for row in rows):,} pairs")
    if len(hours) == len(rows):
        gpu_hours = sum(row.hours * row.gpus * draws for row in rows if row.hours is not None)
        sums.append(f"{sum(hours):.2g} hours of training one after the other, {gpu_hours:.2g} GPU-hours")
    else:
        sums.append("hours unknown: name cost.pairs_per_second, or let one trial begin, which measures it")
    disk = [row.disk_gb for row in rows if row.disk_gb is not None]
    sums.append(f"{draws * sum(disk):.1f} GB on disk" + ("" if len(disk) == len(rows) else " and what is not known"))
    console.print("; ".join(sums), markup=False)
    console.print("Pairs and memory are of one seed, disk and time of all; memory is of weights, gradients and moments alone.")
    for path in absent_paths(job, [row.configuration for row in rows]):
        command = command_that_makes(path)
        console.print(f"not there: {path}" + (f" (xlret {command} makes it)" if command else ""), markup=False)


def _cost(job: SweepJob, configuration: Configuration, speed: float | None) -> Cost:
    run = trial_run(job, configuration, job.seeds[0])
    seeds = len(seeds_of(job, configuration))
    if configuration.untrained:
        return Cost(configuration, seeds, 0, 0, _parameters(job, run), None, 0.0, 0.0, 0)
    examples = run.steps * run.accumulate * run.plan.batch_size
    parameters = _parameters(job, run)
    kept = min(run.keep_checkpoints, math.ceil(run.steps / run.checkpoint_every))
    return Cost(
        configuration,
        seeds,
        run.steps,
        examples,
        parameters,
        None if parameters is None else parameters * _STATE * max(1, run.ray.workers) / 1e9,
        None if parameters is None else parameters * (_CHECKPOINT * kept + 2 * 4) * seeds / 1e9,
        None if speed is None else examples * seeds / speed / 3600,
        max(1, run.ray.workers) if run.ray.gpu else 0,
    )


def _parameters(job: SweepJob, run: TrainJob) -> float | None:
    start = run.encoder.start
    if start == "fresh":
        return float(fresh_parameters(run.encoder.fresh))
    if start in job.cost.parameters:
        return job.cost.parameters[start]
    files = sorted(Path(start).glob("*.safetensors")) if Path(start).is_dir() else []
    return float(sum(count for file in files for count in stored_parameters(file))) if files else None


def fresh_parameters(fresh: FreshEncoder) -> int:
    """Weights of an encoder from random weights, if its vocabulary becomes as large as it may; none of them is made.

    >>> fresh_parameters(FreshEncoder(vocabulary=1000, layers=1, hidden=16, heads=2, feed_forward=32, max_positions=30))
    19024
    """
    with torch.device("meta"):
        return sum(weight.numel() for weight in fresh_backbone(fresh, fresh.vocabulary, 0, 0).parameters())


def stored_parameters(file: Path) -> Iterator[int]:
    """Numbers in each tensor of a safetensors file, from its header alone."""
    with open(file, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    for name, tensor in header.items():
        if name != "__metadata__":
            yield math.prod(tensor["shape"])


def _shown(value: float | None, unit: str, divisor: float = 1.0) -> str:
    return "?" if value is None else f"{value / divisor:.3g} {unit}"
