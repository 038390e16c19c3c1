"""Checkpoints: everything the next step depends on, as safetensors and JSON (nothing is ever unpickled).

The learning rate and every random number are functions of the step (`loop.py`), so weights, optimiser moments and the step are
the whole state: a run continued from a checkpoint ends in the same weights as one that was never stopped. A checkpoint appears
in a run's `checkpoints/` when it is whole.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from xlret.errors import UserError
from xlret.files import directory_beside, local, remove_tree
from xlret.model.adapters import trained_state
from xlret.model.sharded import part_like, whole_tensors
from xlret.storage.url import Url
from xlret.training.optimiser import load_moments, moments_of

CHECKPOINTS = "checkpoints"
"""Directory of a run's checkpoints, `step-000000100` and so on."""
WEIGHTS = "module.safetensors"
_MOMENTS, _PROGRESS = "optimiser.safetensors", "progress.json"


@dataclass(frozen=True)
class Progress:
    """Where a run stands after `step` optimiser steps."""

    step: int
    fingerprint: str  # of the plan, the start weights and the settings that decide the result
    best_metric: float | None = None
    best_step: int | None = None
    mono_batches: int = 0  # realised so far, for the realised alpha


def checkpoint_path(run_directory: Path, step: int) -> Path:
    """Where the checkpoint of a step is kept."""
    return run_directory / CHECKPOINTS / f"step-{step:09d}"


def kept_checkpoints(run_directory: Path) -> list[Path]:
    """A run's whole checkpoints, the oldest first; empty where it has none."""
    return directories_of_steps(run_directory / CHECKPOINTS)


def directories_of_steps(directory: Path) -> list[Path]:
    """The directories `step-N` in another that are whole, in the order of the steps; empty where there is no other."""
    paths = sorted(directory.glob("step-*"))
    return [path for path in paths if not isinstance(path, Url) or path.is_whole()]


def newest_checkpoint(run_directory: Path) -> Path | None:
    """The checkpoint that a run goes on from; None where it has none."""
    return next(reversed(kept_checkpoints(run_directory)), None)


def keep_newest(run_directory: Path, count: int) -> None:
    """Removes all but the newest `count` checkpoints."""
    for directory in kept_checkpoints(run_directory)[:-count]:
        remove_tree(directory)


def save_checkpoint(
    directory: Path, module: nn.Module, optimiser: Optimizer, progress: Progress, *, write: bool = True
) -> None:
    """Writes a checkpoint, which appears as `directory` when it is whole and on the disk.

    What is spread over workers is put together: a checkpoint is the same however a run is spread, and all workers must call it.

    Args:
        write: False for all workers but one, who only give their parts.

    Raises:
        UserError: the disk is full or not writable.
    """
    parts = ((WEIGHTS, trained_state(module)), (_MOMENTS, moments_of(optimiser)))
    whole = [(name, whole_tensors(tensors, keep=write)) for name, tensors in parts]
    if not write:
        return
    with directory_beside(directory, replace=True) as fresh:
        for name, tensors in whole:
            save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, fresh / name)
        (fresh / _PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")


def load_progress(directory: Path) -> Progress:
    """Where the run of a checkpoint stood.

    Raises:
        UserError: the checkpoint is damaged.
    """
    try:
        return Progress(**json.loads((directory / _PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(directory, error) from error


def load_checkpoint(directory: Path, module: nn.Module, optimiser: Optimizer, fingerprint: str) -> Progress:
    """Puts a checkpoint's state into `module` and `optimiser` and returns where the run stands.

    Raises:
        UserError: the checkpoint is damaged, or of another model, corpus or settings.
    """
    directory = local(directory)
    progress = load_progress(directory)
    load_weights(directory, module)
    if progress.fingerprint != fingerprint:
        raise UserError(f"checkpoint {directory} is of a run with other data or settings; choose another name or say --fresh")
    load_moments(optimiser, _read(directory, _MOMENTS))
    return progress


def load_weights(directory: Path, module: nn.Module) -> None:
    """Puts the weights of a checkpoint into a module that was made as that of its run.

    Raises:
        UserError: they cannot be read, or are of another model.
    """
    directory = local(directory)
    weights = _read(directory, WEIGHTS)
    expected = {name: tuple(tensor.shape) for name, tensor in trained_state(module).items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if expected != shapes:
        odd = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))
        raise UserError(
            f"checkpoint {directory} is of another model: "
            f"{odd[0]} is {shapes.get(odd[0])} there and {expected.get(odd[0])} here"
        )
    own = module.state_dict()
    parts = {name: part_like(tensor, own[name]) for name, tensor in weights.items()}
    module.load_state_dict(parts, strict=False)  # names and shapes were compared; frozen weights are the start's


def _read(directory: Path, name: str) -> dict[str, Tensor]:
    try:
        return load_file(directory / name)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise _unreadable(directory, error) from error


def copy_checkpoint(source: Path, target: Path, fingerprint: str) -> None:
    """Copies a checkpoint for a run with other settings, of which `fingerprint` is; appears as `target` when it is whole."""
    source = local(source)
    with directory_beside(target, replace=True) as fresh:
        for name in (WEIGHTS, _MOMENTS):
            shutil.copyfile(source / name, fresh / name)
        progress = replace(load_progress(source), fingerprint=fingerprint)
        (fresh / _PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")


def _unreadable(directory: Path, error: Exception) -> UserError:
    return UserError(f"checkpoint {directory} cannot be read ({error}); remove it or say --fresh")
