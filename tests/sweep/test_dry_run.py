"""`xlret sweep --dry-run`: every trial's settings are resolved, costs are counted, and nothing is begun. All recipes can be."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sweeps import ML, made_sweep, sweep_job

from xlret.commands.recipes import command_of
from xlret.config import read_recipe, recipe_names, recipe_path
from xlret.model.encoder import Encoder
from xlret.model.fresh import fresh_parts
from xlret.model.settings import FreshEncoder
from xlret.sweep.checks import example_configurations
from xlret.sweep.dry_run import absent_paths, costs, fresh_parameters, print_dry_run
from xlret.sweep.settings import SweepJob

SWEEPS = [name for name in recipe_names() if command_of(recipe_path(name).read_text(encoding="utf-8")) == "sweep"]


@pytest.mark.parametrize("name", SWEEPS)
def test_every_recipe_can_be_resolved(name: str, tmp_path: Path) -> None:
    job = read_recipe(SweepJob, name, [f"out={tmp_path}"])
    rows = costs(job)
    assert len(rows) == len(example_configurations(job)) > 1
    assert all(row.steps > 0 or row.configuration.untrained for row in rows)
    assert not list(tmp_path.iterdir())


def test_costs_are_counted(
    tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"cost": {"pairs_per_second": 10}, "changes": {"accumulate": 2, "keep_checkpoints": 2}}
    job = sweep_job(tmp_path, corpora, lexicon, encoder, **given)
    start, trained = costs(job)
    weights = sum(weight.numel() for weight in Encoder.load(encoder).parameters())
    assert (start.configuration.label, start.steps, start.hours) == ("start", 0, 0.0)
    assert (trained.configuration, trained.seeds, trained.steps, trained.examples) == (ML, 2, 6, 6 * 2 * 16)
    assert trained.parameters == weights
    assert trained.memory_gb == pytest.approx(weights * 16 / 1e9)
    assert trained.disk_gb == pytest.approx(2 * weights * (2 * 12 + 8) / 1e9)
    assert trained.hours == pytest.approx(2 * 192 / 10 / 3600)
    assert absent_paths(job, example_configurations(job)) == []
    print_dry_run(job.model_copy(update={"changes": {"corpora": [str(tmp_path / "no")]}}), Console(width=200))
    printed = capsys.readouterr().out
    assert "2 configurations, 3 trials, 12 steps" in printed
    assert f"not there: {tmp_path / 'no'}\n" in printed
    assert not (tmp_path / "out").exists()


def test_a_dry_run_is_legible_on_80_columns_and_counts_what_the_budget_allows(tmp_path: Path) -> None:
    def printed(**settings: Any) -> list[str]:
        console = Console(width=80, file=io.StringIO(), soft_wrap=True)
        with console.capture() as capture:
            print_dry_run(made_sweep(tmp_path / "out", base="quickstart", **settings), console)
        return capture.get().splitlines()

    space = {"plan.alpha": [0.1, 0.2, 0.3], "optimiser.learning_rate": [1e-5, 2e-5]}
    head, *lines = printed(space=space, budget={"configurations": 5})
    assert head.split() == ["configuration", "steps", "pairs", "weights", "memory", "disk", "time", "done"]
    assert max(map(len, [head, *lines[:10]])) <= 80
    assert (lines[0], lines[1].split()[:2]) == ("alpha-0.1_learning_rate-1e-05", ["700", "89,600"])
    assert lines[10].startswith("5 configurations, 15 trials, 10,500 steps; ")
    long = "a-name-of-so-many-words-that-no-line-has-room"
    lines = printed(points={long: {}})
    assert (lines[0].split(), lines[1], lines[2].split()[0]) == (head.split(), long, "700")

    alpha = {"plan.alpha": {"uniform": [0, 1]}}
    lines = printed(space=alpha, search={"method": "random"}, scheduler={"method": "pbt", "population": 3})
    assert lines[4].startswith("3 configurations, 9 trials, ")
    lines = printed(space=alpha, search={"method": "tpe", "samples": 8}, budget={"configurations": 6})
    assert lines[2].startswith("6 configurations, 18 trials, 12,600 steps; ")


def test_weights_of_a_fresh_encoder_are_counted_without_making_it() -> None:
    fresh = FreshEncoder(vocabulary=300, layers=2, hidden=32, heads=2, feed_forward=64)
    parts = fresh_parts(fresh, [f"ab{n} cd{n} efg" for n in range(400)], 0)
    made = sum(weight.numel() for weight in parts.backbone.parameters())
    vocabulary = parts.backbone.get_input_embeddings().num_embeddings  # type: ignore[operator]
    assert fresh_parameters(fresh.model_copy(update={"vocabulary": vocabulary})) == made
