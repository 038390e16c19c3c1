"""Checkpoints: everything the next step depends on, as safetensors and JSON (nothing is ever unpickled).

The learning rate and every random number are functions of the step (train/retriever.py), so weights, optimiser moments
and the step are the whole state: a run continued from here ends in the same weights as one that was never stopped.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from xlret.errors import UserError


@dataclass(frozen=True)
class Progress:
    """Where a run stands after `step` optimiser steps."""

    step: int
    fingerprint: str  # of the plan, the start weights and the settings that decide the result
    best_metric: float | None = None
    best_step: int | None = None
    mono_batches: int = 0  # realised so far, for the realised alpha


def save_checkpoint(directory: Path, module: nn.Module, optimiser: Optimizer, progress: Progress) -> None:
    """Writes `module.safetensors`, `optimiser.safetensors` and `progress.json` into an existing directory.

    Raises:
        UserError: the disk is full or not writable.
    """
    moments = {f"{index}.{name}": one for index, state in _states(optimiser).items() for name, one in state.items()}
    try:
        for name, tensors in (("module", module.state_dict()), ("optimiser", moments)):
            save_file({key: one.detach().contiguous() for key, one in tensors.items()}, directory / f"{name}.safetensors")
        (directory / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot write a checkpoint to {directory}: {error}; free some space or choose another place"
        ) from error


def load_checkpoint(directory: Path, module: nn.Module, optimiser: Optimizer, fingerprint: str) -> Progress:
    """Puts a checkpoint's state into `module` and `optimiser` and returns where the run stands.

    Raises:
        UserError: the checkpoint is damaged, or of another model, corpus or settings.
    """
    try:
        progress = Progress(**json.loads((directory / "progress.json").read_text(encoding="utf-8")))
        weights = load_file(directory / "module.safetensors")
        moments = load_file(directory / "optimiser.safetensors")
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise UserError(f"checkpoint {directory} cannot be read ({error}); remove it or say --fresh") from error
    expected = {name: tuple(one.shape) for name, one in module.state_dict().items()}
    found = {name: tuple(one.shape) for name, one in weights.items()}
    if expected != found:
        odd = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise UserError(
            f"checkpoint {directory} is of another model: {odd[0]} is {found.get(odd[0])} there and {expected.get(odd[0])} here"
        )
    if progress.fingerprint != fingerprint:
        raise UserError(f"checkpoint {directory} is of a run with other data or settings; choose another name or say --fresh")
    module.load_state_dict(weights)
    states: dict[int, dict[str, Tensor]] = {}
    for key, one in moments.items():
        index, _, name = key.partition(".")
        states.setdefault(int(index), {})[name] = one
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
    return progress


def _states(optimiser: Optimizer) -> dict[int, dict[str, Tensor]]:
    states: dict[int, dict[str, Tensor]] = optimiser.state_dict()["state"]
    assert all(torch.is_tensor(one) for state in states.values() for one in state.values())
    return states
