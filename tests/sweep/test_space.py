"""The space of a sweep: what a domain may be, all combinations, and draws that are functions of seed and number."""

from typing import Any

import pytest

from xlret.config import settings_from
from xlret.errors import UserError
from xlret.sweep.configuration import configuration, trial_run
from xlret.sweep.settings import Goal, SweepJob
from xlret.sweep.space import Domain, combinations, drawn

REGIMES: dict[str, Any] = {
    "plan.regime": ["mono", "hybrid"],
    "plan.alpha": {"grid": [0.2, 0.5], "when": {"plan.regime": "hybrid"}},
}


def job(**values: Any) -> SweepJob:
    return settings_from(SweepJob, {"name": "x", "base": "real", "evaluation": {"corpus": "dev"}, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "nothing to sweep"),
        ({"space": {"seed": {"grid": [1], "choice": [2]}}}, "exactly one of grid, choice, .*, not grid and choice"),
        ({"space": {"seed": {}}}, "not none"),
        ({"space": {"seed": {"uniform": [1, 1]}}}, "the first must be below the second"),
        ({"space": {"seed": {"log_uniform": [0, 1]}}}, "log_uniform starts at 0.0; it must be above 0"),
        ({"space": {"plan.alpha": {"uniform": [0, 1]}}}, "is a range, of which search grid cannot take all values"),
        ({"space": {"plan.alpha": {"grid": [0], "when": {"plan.regime": "mono"}}}}, "no setting of a point nor swept before"),
        ({"points": {"a": {}}, "seeds": [1, 1]}, "each seed once"),
        ({"points": {"a": {}}, "against": "b"}, "against names b, which is no point; there are a"),
        ({"space": {"plan.alpha": {"uniform": [0, 1]}}, "search": {"method": "nsga2"}}, "search nsga2 is for two goals"),
        ({"points": {"a": {}}, "goals": ["mul", "mul"]}, "goals names mul twice"),
        (
            {"space": {"switch.p": {"uniform": [0, 1]}}, "search": {"method": "random"}, "scheduler": {"method": "pbt"}},
            "pbt changes optimiser.learning_rate, plan.alpha of what it copies, and none of them is swept",
        ),
        ({"points": {"a": {}}, "also": {"evaluation": {"corpus": "x"}}}, "`evaluation` is that of the first"),
    ],
)
def test_a_space_that_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        job(**values)


def test_a_setting_may_be_named_with_dots_or_inside_others_and_keeps_its_neighbours() -> None:
    sweep = job(
        changes={"plan.alpha": 0.1, "plan": {"alpha": 0.2}, "switch": {"p": 0.3}},
        space={"plan": {"regime": ["mono"], "alpha": {"uniform": [0, 1]}}, "plan.regime": ["mono", "cross"]},
        points={"a": {"untrained": False, "loss": {"pair_weights": {"en>de": 2}}}},
        search={"method": "random"},
    )
    assert dict(sweep.changes) == {"plan.alpha": 0.2, "switch.p": 0.3}
    assert {name: domain.values for name, domain in sweep.space.items()} == {
        "plan.regime": ("mono", "cross"),
        "plan.alpha": None,
    }
    assert dict(sweep.points["a"]) == {"untrained": False, "loss.pair_weights": {"en>de": 2}}
    assert trial_run(sweep, configuration("a", {"plan.regime": "mono"}), 0).switch.policy == "ml", "that of the base"


def test_points_are_combined_with_the_space_and_conditions_hold() -> None:
    sweep = job(space=REGIMES, points={"ml": {"switch.policy": "ml"}, "none": {}})
    settings = combinations(sweep.space, sweep.points, choices=True)
    assert [point for point, _ in settings] == ["ml"] * 3 + ["none"] * 3
    assert settings[0][1] == {"switch.policy": "ml", "plan.regime": "mono"}
    assert settings[5][1] == {"plan.regime": "hybrid", "plan.alpha": 0.5}
    of_point = job(
        space={"plan.alpha": {"grid": [0.1], "when": {"plan.regime": ["hybrid"]}}}, points={"h": {"plan.regime": "hybrid"}}
    )
    assert combinations(of_point.space, of_point.points, choices=True) == [("h", {"plan.regime": "hybrid", "plan.alpha": 0.1})]


def test_draws_lie_in_their_ranges_and_depend_on_seed_and_number_alone() -> None:
    space = {
        "a": Domain(uniform=(0.25, 0.5)),
        "b": Domain(log_uniform=(1e-5, 1e-1)),
        "c": Domain(integers=(2, 4)),
        "d": Domain(choice=("x", "y")),
        "e": Domain(choice=(1,), when={"d": "x"}),
        "f": Domain(grid=(1, 2)),
    }
    many = [drawn(space, {}, 0, number) for number in range(400)]
    assert all(0.25 <= each["a"] <= 0.5 and 1e-5 <= each["b"] <= 1e-1 for each in many)
    assert {each["c"] for each in many} == {2, 3, 4}
    assert 0.4 < sum(each["b"] < 1e-3 for each in many) / 400 < 0.6  # even in the logarithm
    assert all(("e" in each) == (each["d"] == "x") and "f" not in each for each in many)
    assert drawn(space, {"f": 1}, 0, 7) == {"f": 1, **many[7]}
    assert drawn(space, {}, 1, 7) != many[7]
    without = {name: space[name] for name in ("a", "c")}
    assert drawn(without, {}, 0, 7) == {name: many[7][name] for name in ("a", "c")}  # of its own name, not of the others


def test_names_of_configurations_are_those_of_directories_and_of_their_settings() -> None:
    long = configuration(None, {f"plan.languages{n}": ["de", "fr", "en"] for n in range(9)})
    assert len(f"{long.name}-1234") < 100
    assert settings_from(SweepJob, {**job(points={"a": {}}).model_dump(), "name": long.name}).name == long.name
    assert configuration("a", {"x": 1}).name != configuration("a", {"x": 2}).name
    assert configuration("a", {"x": 1, "y": 2}).name == configuration("a", {"y": 2, "x": 1}).name
    assert configuration("öl + kü", {}).name.startswith("l...k.-")


def test_more_is_better_but_of_rank_distance() -> None:
    assert [Goal.model_validate(name).sign for name in ("mul", "rank_distance", "tatoeba.rank_distance")] == [1, -1, -1]
    assert Goal(metric="mul", direction="min").sign == -1
