"""The rules by which configurations are given up, against those of Ray Tune."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from xlret.sweep.cutting import decision_steps, is_cut, mean_curve, value_at
from xlret.sweep.settings import SchedulerSettings


class Curves:
    """Random dev curves of 12 configurations over 80 steps, reported in a random order, as runs side by side do."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.values = {
            f"c{number}": dict(zip(range(10, 90, 10), np.sort(rng.random(8)).tolist(), strict=True)) for number in range(12)
        }
        order = [name for name in self.values for _ in range(8)]
        rng.shuffle(order)
        self.order = order

    def cut_by(self, scheduler: SchedulerSettings) -> dict[str, int]:
        """Name -> the step at which our rule gives it up."""
        steps = decision_steps(scheduler, 10, 80)
        seen: dict[str, dict[int, float]] = {name: {} for name in self.values}
        cut: dict[str, int] = {}
        for name in self.order:
            step = 10 * (len(seen[name]) + 1)
            if name in cut:
                continue
            seen[name][step] = self.values[name][step]
            others = [curve for other, curve in seen.items() if other != name]
            if step in steps and is_cut(scheduler, step, seen[name], others):
                cut[name] = step
        return cut

    def cut_by_ray(self, scheduler: Any) -> dict[str, int]:
        trials = {name: _Trial(name) for name in self.values}
        controller = SimpleNamespace(get_live_trials=list)
        for trial in trials.values():
            scheduler.on_trial_add(controller, trial)
        reported = dict.fromkeys(self.values, 0)
        cut: dict[str, int] = {}
        for name in self.order:
            step = reported[name] = reported[name] + 10
            if name in cut or step == 80:
                continue
            result = {"step": step, "mul": self.values[name][step]}
            if scheduler.on_trial_result(controller, trials[name], result) == TrialScheduler.STOP:
                cut[name] = step
        return cut


class _Trial:
    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


@pytest.mark.parametrize("seed", range(5))
def test_successive_halving_is_ray_tunes(seed: int) -> None:
    curves = Curves(seed)
    ours = curves.cut_by(SchedulerSettings(method="asha", first=10, reduction=2))
    ray = AsyncHyperBandScheduler("step", "mul", "max", max_t=80, grace_period=10, reduction_factor=2)
    assert ours == curves.cut_by_ray(ray)
    assert ours, "somebody is given up"


@pytest.mark.parametrize("seed", range(5))
def test_the_median_rule_is_ray_tunes(seed: int) -> None:
    curves = Curves(seed)
    ours = curves.cut_by(SchedulerSettings(method="median", first=10, quorum=3))
    ray = MedianStoppingRule("step", "mul", "max", grace_period=10, min_samples_required=3)
    assert ours == curves.cut_by_ray(ray)
    assert ours, "somebody is given up"


def test_a_mean_is_over_all_seeds_and_never_over_those_that_have_come_further() -> None:
    assert mean_curve([{10: 0.2, 20: 0.4}, {10: 0.4}]) == {10: pytest.approx(0.3)}
    assert mean_curve([{10: 0.2}, {}]) == {}
    assert value_at({10: 0.1, 30: 0.3}, 20) == 0.3
