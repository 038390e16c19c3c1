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

from xlret.config import recipe_names, recipe_path
from xlret.model.fresh import fresh_backbone
from xlret.model.settings import FreshEncoder
from xlret.sweep.checks import check_sweep, evaluation_paths, example_configurations, release_paths
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory, trial_run
from xlret.sweep.in_process import in_process
from xlret.sweep.kept_results import read_kept
from xlret.sweep.result import has_ended
from xlret.sweep.settings import SweepJob
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
    named |= dict.fromkeys([*evaluation_paths(job), *release_paths(job)])
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


def print_dry_run(job: SweepJob, console: Console, *, without_ray: bool = False, results: Path | None = None) -> None:
    """Shows what a sweep would do, a line a configuration, and the sums.

    Args:
        job: the sweep.
        console: where.
        without_ray: in this process.
        results: a file whose trials count as done, if it is there.

    Raises:
        UserError: a setting of a trial cannot be used.
        UserError, DataError: as of `read_kept`.
    """
    elsewhere = {trial.name for trial in read_kept(job, results)} if results is not None and results.exists() else set()
    if without_ray:
        job = in_process(job)
    rows = costs(job)
    any_gpu = any(row.gpus for row in rows)
    table = [["configuration", "steps", "pairs", "weights", "memory", "disk", "time", *(["on GPU"] if any_gpu else []), "done"]]
    for row in rows:
        directories = [trial_directory(job, row.configuration, seed) for seed in seeds_of(job, row.configuration)]
        done = sum(directory.name in elsewhere or has_ended(directory) for directory in directories)
        gpu_hours = None if row.hours is None else row.hours * row.gpus
        table.append(
            [
                *(row.configuration.label, f"{row.steps:,}", f"{row.examples:,}", _weights(row.parameters)),
                *(_bytes(row.memory_gb), _bytes(row.disk_gb), _time(row.hours), *([_time(gpu_hours)] if any_gpu else [])),
                f"{done}/{row.seeds}",
            ]
        )
    for line in _aligned(table, console.width):
        console.print(line, markup=False)
    proposed = job.search.method in ("tpe", "nsga2")
    total = len(rows) * job.search.samples if proposed else len(rows)
    if proposed and job.budget.configurations is not None:
        total = min(total, job.budget.configurations)
    times = total / len(rows)
    trials = round(sum(row.seeds for row in rows) * times)
    hours = [row.hours * times for row in rows if row.hours is not None]
    sums = [f"{total} configurations, {trials} trials, {round(times * sum(row.steps * row.seeds for row in rows)):,} steps"]
    sums.append(f"{round(times * sum(row.examples * row.seeds for row in rows)):,} pairs")
    if len(hours) == len(rows):
        gpu_hours = sum(row.hours * row.gpus * times for row in rows if row.hours is not None)
        sums.append(f"{_time(sum(hours))} of training one after the other, {gpu_hours:.2g} GPU-hours")
    else:
        sums.append("hours unknown: name cost.pairs_per_second, or let one trial begin, which measures it")
    disk = [row.disk_gb for row in rows if row.disk_gb is not None]
    sums.append(f"{_bytes(times * sum(disk))} on disk" + ("" if len(disk) == len(rows) else " and what is not known"))
    console.print("; ".join(sums), markup=False)
    console.print(
        "Pairs and memory are of one seed, disk and time of all; done says how many seeds have ended; memory is of weights, "
        "gradients and moments alone."
    )
    if proposed:
        console.print(f"What search {job.search.method} proposes depends on results: each line is an example.")
    if job.scheduler.method == "pbt":
        console.print("Copies take the place of members that are given up, so that no more steps are made.")
    elif job.scheduler.method != "none":
        console.print(f"Scheduler {job.scheduler.method} will give some of them up: that is the most.")
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


def _aligned(table: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """The lines of a table, its head first: numbers to the right. Where a line would be wider, its label is one of its own.

    >>> table = [["configuration", "steps"], ["mono", "4"], ["hybrid-of-many-words", "150"]]
    >>> for line in _aligned(table, 22): print(line)
    configuration    steps
    mono                 4
    hybrid-of-many-words
                       150
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    numbers_width = sum(widths[1:]) + 2 * len(widths[1:])
    label_width = max(len(table[0][0]), min(widths[0], width - numbers_width))
    for label, *cells in table:
        numbers = "".join(f"  {cell:>{cell_width}}" for cell, cell_width in zip(cells, widths[1:], strict=True))
        if len(label) > label_width:
            yield label
            label = ""
        yield f"{label:<{label_width}}{numbers}"


def _weights(value: float | None) -> str:
    return "?" if value is None else f"{value / 1e6:.3g} M"


def _bytes(gigabytes: float | None) -> str:
    """
    >>> _bytes(0.00167), _bytes(12.34), _bytes(0)
    ('1.7 MB', '12.3 GB', '0.0 MB')
    """
    if gigabytes is None:
        return "?"
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{gigabytes * 1000:.1f} MB"


def _time(hours: float | None) -> str:
    """
    >>> _time(0.001), _time(0.5), _time(12.34)
    ('4 s', '30.0 min', '12.3 h')
    """
    if hours is None:
        return "?"
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"
