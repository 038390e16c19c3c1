import json
from pathlib import Path

import pytest
import torch
from torch import nn

from xlret.errors import UserError
from xlret.train.checkpoint import Progress, load_checkpoint, save_checkpoint

PROGRESS = Progress(step=7, fingerprint="abc", best_metric=0.25, best_step=5, mono_batches=3)


def model(width: int = 4, seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, width), nn.LayerNorm(width))
    return module, torch.optim.AdamW(module.parameters(), lr=0.1)


def update(module: nn.Module, optimiser: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        module(torch.full((2, 3), float(step + 1))).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()


def test_training_on_from_a_checkpoint_equals_training_through(tmp_path: Path) -> None:
    through, through_optimiser = model()
    update(through, through_optimiser, 3)
    save_checkpoint(tmp_path, through, through_optimiser, PROGRESS)
    resumed, resumed_optimiser = model(seed=1)
    assert load_checkpoint(tmp_path, resumed, resumed_optimiser, "abc") == PROGRESS
    update(through, through_optimiser, 2)
    update(resumed, resumed_optimiser, 2)
    for ours, theirs in zip(resumed.parameters(), through.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_of_another_model_is_refused_by_the_name_of_a_tensor(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, *model(), PROGRESS)
    with pytest.raises(UserError, match=r"another model: 0\.bias is \(4,\) there and \(5,\) here"):
        load_checkpoint(tmp_path, *model(width=5), "abc")


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, *model(), PROGRESS)
    with pytest.raises(UserError, match="other data or settings"):
        load_checkpoint(tmp_path, *model(), "abd")


@pytest.mark.parametrize("name", ["module.safetensors", "optimiser.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    save_checkpoint(tmp_path, *model(), PROGRESS)
    path = tmp_path / name
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path, *model(), "abc")


def test_progress_of_another_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, *model(), PROGRESS)
    (tmp_path / "progress.json").write_text(json.dumps({"step": 1, "odd": 2}))
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path, *model(), "abc")


def test_a_place_that_takes_no_checkpoint_is_said(tmp_path: Path) -> None:
    (tmp_path / "progress.json").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot write a checkpoint .*No space left"):
        save_checkpoint(tmp_path, *model_after_a_step(), PROGRESS)


def model_after_a_step() -> tuple[nn.Module, torch.optim.Optimizer]:
    module, optimiser = model()
    update(module, optimiser, 1)
    return module, optimiser
