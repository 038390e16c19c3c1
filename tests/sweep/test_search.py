"""What a search hands out, over restarts and with results of its own making: no training here."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sweeps import leave_result, sweep_job
from xlret.errors import UserError
from xlret.sweep.configuration import Configuration, seeds_of
from xlret.sweep.result import Status
from xlret.sweep.search import Search, search_of
from xlret.sweep.settings import SweepJob

RATE = "optimiser.learning_rate"


def job_with(tmp_path: Path, **settings: Any) -> SweepJob:
    """A sweep that is never trained: its corpora need not exist."""
    tmp_path.mkdir(exist_ok=True)
    space = {"plan.alpha": {"uniform": [0.0, 1.0]}, "plan.regime": {"grid": ["hybrid", "mixed"]}}
    return sweep_job(tmp_path, *[tmp_path] * 3, points={}, **{"space": space, "seeds": [0, 1], **settings})


def known(job: SweepJob, config: Configuration, status: Status = "finished", **metrics: float) -> None:
    """Leaves results of all seeds, the second a little better than the first."""
    for seed in seeds_of(job, config):
        values = {name: value + seed / 1000 for name, value in metrics.items()}
        leave_result(job, config, seed, status=status, metrics=values)


def answered(job: SweepJob, search: Search, count: int) -> list[Configuration]:
    """Asks for some configurations, each with results before the next: best at alpha .3, and the regime mixed."""
    asked = []
    while len(asked) < count and (config := search.ask()) is not None:
        asked.append(config)
        alpha = config.settings["plan.alpha"]
        mul = 1 - (alpha - 0.3) ** 2 - (config.settings["plan.regime"] == "hybrid") / 10
        known(job, config, mul=mul, rank_distance=100 * alpha)
        search.tell(config)
    return asked


def test_a_grid_is_handed_out_once_and_what_is_known_is_passed_over(tmp_path: Path) -> None:
    job = job_with(tmp_path, space={"plan.alpha": [0.2, 0.5], "plan.regime": ["hybrid", "mixed"]})
    first = search_of(job)
    names = []
    while (config := first.ask()) is not None:
        names.append(config.name)
    assert len(set(names)) == len(names) == first.total == 4
    assert first.exhausted
    cut, failed = (first.proposed[name] for name in names[1:3])
    known(job, cut, "cut")
    known(job, failed, "failed")
    again = search_of(job)
    assert [getattr(again.ask(), "name", None) for _ in range(4)] == [names[0], names[2], names[3], None]
    assert list(again.proposed) == names, "the table has those that were passed over too"


def test_random_draws_are_those_of_the_start_before_and_end_with_the_budget(tmp_path: Path) -> None:
    job = job_with(tmp_path, search={"method": "random", "samples": 3}, budget={"configurations": 5})
    search, again = search_of(job), search_of(job)
    asked = [search.ask() for _ in range(6)]
    assert [again.ask() for _ in range(6)] == asked
    assert asked[5] is None
    assert search.exhausted
    assert len({config.name for config in asked[:5] if config}) == 5
    other = search_of(job_with(tmp_path, search={"method": "random", "samples": 3, "seed": 1}))
    assert other.ask() != asked[0]


def test_nothing_is_begun_after_the_hours_are_spent(tmp_path: Path) -> None:
    job = job_with(tmp_path, space={"plan.alpha": [0.2, 0.5]}, budget={"hours": 1.0})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "seconds.json").write_text("3600.5", encoding="utf-8")
    assert search_of(job).ask() is None


@pytest.mark.parametrize(("method", "goals"), [("tpe", ["mul"]), ("nsga2", ["mul", "rank_distance"])])
def test_proposals_of_optuna_are_the_same_however_often_the_sweep_is_killed(
    tmp_path: Path, method: str, goals: list[str]
) -> None:
    settings = {"search": {"method": method, "samples": 8}, "goals": goals}
    whole = job_with(tmp_path / "whole", **settings)
    undisturbed = answered(whole, search_of(whole), 16)
    killed = job_with(tmp_path / "killed", **settings)
    first = answered(killed, search_of(killed), 5)
    search = search_of(killed)
    assert search.ask() == undisturbed[5]  # and killed again before it has a result
    rest = answered(killed, search_of(killed), 20)
    assert [config.name for config in first + rest] == [config.name for config in undisturbed]
    assert len(undisturbed) == 16


def test_tpe_draws_where_results_were_good(tmp_path: Path) -> None:
    job = job_with(tmp_path, search={"method": "tpe", "samples": 24}, space={"plan.alpha": {"uniform": [0, 1]}}, seeds=[0])
    search, asked = search_of(job), []
    while (config := search.ask()) is not None:
        alpha = config.settings["plan.alpha"]
        asked.append(abs(alpha - 0.3))
        known(job, config, "diverged" if alpha > 0.9 else "finished", mul=1 - (alpha - 0.3) ** 2)
        search.tell(config)
    assert sum(asked[-12:]) < 0.5 * sum(asked[:8]) / 8 * 12, "later draws are nearer to the best alpha"


def test_proposals_of_another_space_are_not_gone_on_with(tmp_path: Path) -> None:
    settings = {"search": {"method": "tpe", "samples": 4}}
    job = job_with(tmp_path, **settings)
    assert search_of(job).ask() is not None
    more = job_with(tmp_path, search={"method": "tpe", "samples": 9})
    assert search_of(more).total == 18, "more samples of the same space"
    with pytest.raises(UserError, match=r"proposals\.jsonl was made with another space"):
        search_of(job_with(tmp_path, space={RATE: {"log_uniform": [1e-5, 1e-3]}}, **settings))
