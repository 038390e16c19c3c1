"""`xlret sweep --dry-run`: every trial's settings are resolved, costs are counted, and nothing is begun. All recipes can be."""

from pathlib import Path

import pytest
from rich.console import Console
from sweeps import ML, sweep_job

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


def test_weights_of_a_fresh_encoder_are_counted_without_making_it() -> None:
    fresh = FreshEncoder(vocabulary=300, layers=2, hidden=32, heads=2, feed_forward=64)
    parts = fresh_parts(fresh, [f"ab{n} cd{n} efg" for n in range(400)], 0)
    made = sum(weight.numel() for weight in parts.backbone.parameters())
    vocabulary = parts.backbone.get_input_embeddings().num_embeddings  # type: ignore[operator]
    assert fresh_parameters(fresh.model_copy(update={"vocabulary": vocabulary})) == made
