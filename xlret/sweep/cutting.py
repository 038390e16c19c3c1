"""When a configuration is given up early. Functions of dev metrics alone, so the rule is the same over Ray, in one process, and
after a restart."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from xlret.sweep.settings import SchedulerSettings

Curve = Mapping[int, float]
"""Step -> dev metric, the mean over the seeds; more is better."""


def decision_steps(scheduler: SchedulerSettings, first: int, steps: int) -> list[int]:
    """The steps below the last one after which a configuration may be given up.

    Args:
        scheduler: the rule.
        first: the first of them, where the scheduler does not say.
        steps: of a whole run.

    >>> decision_steps(SchedulerSettings(method="asha", reduction=3), 10, 200)
    [10, 30, 90]
    >>> decision_steps(SchedulerSettings(method="median", first=50), 10, 200)
    [50, 100, 150]
    """
    step = float(scheduler.first or first)
    chosen = []
    while scheduler.method != "none" and step < steps:
        chosen.append(math.ceil(step))
        step = step * scheduler.reduction if scheduler.method == "asha" else step + chosen[0]
    return chosen


def is_cut(scheduler: SchedulerSettings, step: int, own: Curve, others: Sequence[Curve]) -> bool:
    """Whether the configuration of a curve is given up at one of its `decision_steps`.

    Asynchronous successive halving (Li et al., MLSys 2020) goes on with the best `1 / reduction` of those that have come as
    far; the first to come is never given up. The median rule (Golovin et al., KDD 2017) gives up whose best value so far is
    below the median of the others' mean values up to this step, of those that have come as far, if these are `quorum` or more.

    Args:
        scheduler: the rule.
        step: of the decision.
        own: the configuration's curve.
        others: those of all others.

    >>> halving = SchedulerSettings(method="asha", reduction=2)
    >>> is_cut(halving, 10, {10: 0.4}, [{10: 0.5}]), is_cut(halving, 10, {10: 0.4}, [{5: 0.5}])
    (True, False)
    """
    as_far = [curve for curve in others if max(curve, default=0) >= step]
    if scheduler.method == "asha":
        values = [value_at(curve, step) for curve in as_far]
        if not values:
            return False
        # Values, not ranks, are interpolated, as Ray Tune does: with two there the better half begins half-way between them.
        return value_at(own, step) < float(np.quantile(values, 1 - 1 / scheduler.reduction))
    if scheduler.method == "median":
        if len(as_far) < scheduler.quorum:
            return False
        means = [float(np.mean(_until(curve, step))) for curve in as_far]
        return max(_until(own, step)) < float(np.median(means))
    return False


def value_at(curve: Curve, step: int) -> float:
    """The first value at a step or later (decisions need not fall on evaluations)."""
    return curve[min(known for known in curve if known >= step)]


def mean_curve(curves: Iterable[Curve]) -> dict[int, float]:
    """The mean of the seeds' curves, at the steps that all of them have.

    >>> mean_curve([{0: 0.25, 10: 0.5}, {0: 0.75}])
    {0: 0.5}
    """
    seeds = list(curves)
    common = set.intersection(*(set(curve) for curve in seeds)) if seeds else set()
    return {step: float(np.mean([curve[step] for curve in seeds])) for step in sorted(common)}


def _until(curve: Curve, step: int) -> list[float]:
    return [value for known, value in curve.items() if known <= step]
