"""What the seeds of a configuration say together, and which configuration is best."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # type: ignore[import-untyped]  # its submodules load when they are used

from xlret.sweep.configuration import Configuration, seeds_of, trial_directory
from xlret.sweep.result import TrialResult, read_result
from xlret.sweep.settings import SweepJob

_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, and where the mean over all possible seeds lies with 95 % confidence (Student's t)."""

    mean: float
    low: float
    """-inf with a single seed, which says nothing of others."""
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """What is written behind the mean; inf with a single seed."""
        return (self.high - self.low) / 2


def interval(values: Sequence[float]) -> Interval:
    """The interval of a mean.

    >>> interval([1.0, 2.0, 3.0])
    Interval(mean=2.0, low=-0.48413771, high=4.48413771, n=3)
    """
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    half = float(scipy.stats.t.ppf((1 + _LEVEL) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(mean, round(mean - half, 8), round(mean + half, 8), n)


@dataclass(frozen=True)
class Ranked:
    """A configuration with what its seeds came to."""

    configuration: Configuration
    results: tuple[TrialResult, ...]
    """In the order of the seeds; those that are not there yet are left out."""
    seeds: int
    """How many there are to be."""

    @cached_property
    def status(self) -> str:
        """That of its seeds: finished where all are; else what befell the first that is not, or `unfinished`."""
        odd = [result.status for result in self.results if result.status != "finished"]
        return odd[0] if odd else ("finished" if len(self.results) == self.seeds else "unfinished")

    @cached_property
    def metrics(self) -> dict[str, Interval]:
        """Every metric's mean over the seeds that finished."""
        finished = [result for result in self.results if result.status == "finished"]
        names = dict.fromkeys(name for result in finished for name in result.metrics)
        values = {name: [value for result in finished if (value := result.metrics.get(name)) is not None] for name in names}
        return {name: interval(numbers) for name, numbers in values.items() if numbers}

    def goals(self, job: SweepJob) -> tuple[float, ...] | None:
        """The goals' means over all seeds, in their own direction; None until the configuration has finished.

        A configuration of which a seed failed has none: that seed is no worse luck than another's.
        """
        if self.status != "finished" or not all(goal.metric in self.metrics for goal in job.goals):
            return None
        return tuple(self.metrics[goal.metric].mean for goal in job.goals)


def seen(job: SweepJob, configuration: Configuration) -> Ranked:
    """A configuration with the results that its seeds have left so far."""
    seeds = seeds_of(job, configuration)
    results = [read_result(trial_directory(job, configuration, seed)) for seed in seeds]
    return Ranked(configuration, tuple(result for result in results if result is not None), len(seeds))


def ranking(job: SweepJob, configurations: Iterable[Configuration]) -> list[Ranked]:
    """All configurations with their results on the disk, in the order of `best_first`."""
    return best_first(job, [seen(job, configuration) for configuration in configurations])


def best_first(job: SweepJob, rows: Iterable[Ranked]) -> list[Ranked]:
    """Those that finished first, the best by the first goal before the others."""

    def order(row: Ranked) -> tuple[bool, float]:
        goals = row.goals(job)
        return (True, 0.0) if goals is None else (False, -job.goals[0].sign * goals[0])

    return sorted(rows, key=order)
