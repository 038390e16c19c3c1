"""AdamW over a step's weights, its moments in 32 bits or in 8, and those moments as named tensors for checkpoints."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xlret.errors import UserError
from xlret.model.sharded import part_like
from xlret.training.settings import OptimiserSettings

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_CONSTANT = "qmap"
"""How the names of bitsandbytes' tables of quantised values begin: the same for all weights, and made anew."""


def make_optimiser(module: nn.Module, settings: OptimiserSettings) -> Optimizer:
    """The optimiser of a module's trained weights; the learning rate is set at every step.

    `adamw8bit` keeps both moments of each matrix in 8 bits, in blocks of 256 with a scale each: two bytes a weight in place of
    eight. Weights of less than 4,096 numbers have theirs in 32 bits. Source: Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit
    Optimizers via Block-wise Quantization", ICLR 2022.

    Raises:
        UserError: bitsandbytes is not installed.
    """
    groups = _parameter_groups(module, settings)
    if settings.kind == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, eps=_EPSILON, fused=True)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise UserError("optimiser.kind adamw8bit needs bitsandbytes: pip install 'xlret[bits]'") from error
    optimiser: Optimizer = AdamW8bit(groups, lr=0.0, betas=_BETAS, eps=_EPSILON)
    return optimiser


def moments_of(optimiser: Optimizer) -> dict[str, Tensor]:
    """All that an optimiser remembers, as `NUMBER.NAME`: the weight's number in its order, and what is remembered of it."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, weight in enumerate(_weights(optimiser))
        for name, value in optimiser.state.get(weight, {}).items()
        if not name.startswith(_CONSTANT)
    }


def load_moments(optimiser: Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Puts what `moments_of` gave back; of sharded weights this worker's part of it."""
    weights = _weights(optimiser)
    tables: dict[str, Tensor] = getattr(optimiser, "name2qmap", {})
    states: dict[int, dict[str, Any]] = {}
    for key, moment in moments.items():
        number, _, name = key.partition(".")
        state = states.setdefault(int(number), {})
        state[name] = int(moment) if tables and name == "step" else part_like(moment, weights[int(number)])
        if tables and moment.dtype == torch.uint8:
            state |= {"qmap1": tables["dynamic"].to(moment.device), "qmap2": tables["udynamic"].to(moment.device)}
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})


def _weights(optimiser: Optimizer) -> list[Tensor]:
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def _parameter_groups(module: nn.Module, settings: OptimiserSettings) -> list[dict[str, Any]]:
    """Weight decay for matrices, none for biases, norms and the temperature."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    return [
        {"params": [weight for weight in trained if weight.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
