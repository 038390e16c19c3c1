import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from xlret.errors import UserError
from xlret.training.checkpoint import (
    Progress,
    checkpoint_path,
    keep_newest,
    kept_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)

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
    save_checkpoint(tmp_path / "step-7", through, through_optimiser, PROGRESS)
    resumed, resumed_optimiser = model(seed=1)
    assert load_checkpoint(tmp_path / "step-7", resumed, resumed_optimiser, "abc") == PROGRESS
    update(through, through_optimiser, 2)
    update(resumed, resumed_optimiser, 2)
    for ours, theirs in zip(resumed.parameters(), through.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_of_another_model_is_refused_by_the_name_of_a_tensor(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "step-7", *model(), PROGRESS)
    with pytest.raises(UserError, match=r"another model: 0\.bias is \(4,\) there and \(5,\) here"):
        load_checkpoint(tmp_path / "step-7", *model(width=5), "abc")


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "step-7", *model(), PROGRESS)
    with pytest.raises(UserError, match="other data or settings"):
        load_checkpoint(tmp_path / "step-7", *model(), "abd")


@pytest.mark.parametrize("name", ["module.safetensors", "optimiser.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    save_checkpoint(tmp_path / "step-7", *model(), PROGRESS)
    path = tmp_path / "step-7" / name
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "step-7", *model(), "abc")


def test_progress_of_another_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "step-7", *model(), PROGRESS)
    (tmp_path / "step-7" / "progress.json").write_text(json.dumps({"step": 1, "odd": 2}))
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "step-7", *model(), "abc")


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, optimiser = model_after_a_step()
    save_checkpoint(tmp_path / "step-7", module, optimiser, PROGRESS)
    before = (tmp_path / "step-7" / "module.safetensors").read_bytes()
    update(module, optimiser, 1)

    def no_space(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")  # as it says it

    monkeypatch.setattr("xlret.training.checkpoint.save_file", no_space)
    with pytest.raises(UserError, match=r"no space left on the disk while writing .*step-7"):
        save_checkpoint(tmp_path / "step-7", module, optimiser, PROGRESS)
    assert (tmp_path / "step-7" / "module.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["step-7"], "nothing half-written is left"


def test_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (5, 10, 100):
        save_checkpoint(checkpoint_path(tmp_path, step), *model(), PROGRESS)
    assert newest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 100)
    keep_newest(tmp_path, 2)
    assert kept_checkpoints(tmp_path) == [checkpoint_path(tmp_path, step) for step in (10, 100)]


def model_after_a_step() -> tuple[nn.Module, torch.optim.Optimizer]:
    module, optimiser = model()
    update(module, optimiser, 1)
    return module, optimiser
