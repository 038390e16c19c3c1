"""What a sweep refuses before its first step."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sweeps import made_sweep
from xlret.errors import UserError
from xlret.sweep.checks import check_ends, check_sweep, example_configurations, goals_of
from xlret.sweep.in_process import in_process


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {"seed": [0, 1]}}, "seed is set by the sweep itself in every trial; name the seeds in `seeds`"),
        ({"points": {"a": {"storage": "x"}}}, "storage is set by the sweep itself .* in `out`"),
        ({"points": {"a": {}}, "changes": {"dev": {"beside": True}}}, "dev.beside is set by the sweep itself"),
        ({"points": {"a": {}}, "goals": ["x.en-near"]}, "goals names x.en-near, which is not measured"),
        ({"points": {"a": {}}, "goals": ["y.mul"]}, "goals names y.mul, which is not measured"),
        ({"points": {"a": {}}, "goals": ["nDCG@7"]}, "goals names nDCG@7, which is not measured"),
    ],
)
def test_a_sweep_that_cannot_be_judged_is_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    given = {"groups": {"near": ["de"]}, "also": {"x": {"corpus": "dev"}, "y": {"corpus": "dev"}}, "only": {"y": ["a"]}}
    job = made_sweep(tmp_path, **({**given, "only": {}} if "space" in settings else given), **settings)
    with pytest.raises(UserError, match=message):
        check_sweep(job, [])


def test_measures_and_groups_may_be_goals(tmp_path: Path) -> None:
    evaluation = {"corpus": "dev", "measure": ["nDCG@7"]}
    job = made_sweep(tmp_path, points={"a": {}}, groups={"near": ["de"]}, evaluation=evaluation, goals=["nDCG@7", "en-near"])
    check_sweep(job, [])
    assert len(set(goals_of(job))) == len(goals_of(job))


def test_what_is_missing_at_the_end_shows_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    there = {"evaluation": {"corpus": str(tmp_path / "dev")}, "points": {"a": {}}}
    release = {"release": {"corpora": [str(tmp_path / "none")]}}
    job = made_sweep(tmp_path, **{**there, **release})
    examples = example_configurations(job)
    check_ends(job, examples, None)
    with pytest.raises(UserError, match="none is not there, and is needed when trainings have ended"):
        check_ends(job, examples, "best")
    with pytest.raises(UserError, match="is no name of a release"):
        check_ends(job, examples, "../best")
    with pytest.raises(UserError, match="dev is not there"):
        check_ends(made_sweep(tmp_path, points={"a": {}}), examples, None)
    rerankers = made_sweep(tmp_path, **there, changes={"model": "reranker"}, retriever="e")
    with pytest.raises(UserError, match="a release needs an encoder"):
        check_ends(rerankers, example_configurations(rerankers), "best")


def test_workers_are_not_swept_in_process(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainings in this process have ray\.workers 0"):
        in_process(made_sweep(tmp_path, space={"ray.workers": [0, 2]}))
