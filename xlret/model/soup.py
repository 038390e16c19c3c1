"""Averages of the weights of encoders that have one architecture."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from xlret.errors import UserError

Weights = Mapping[str, Tensor]
"""A module's state: name -> tensor."""


def averaged(states: Sequence[Weights], shares: Sequence[float], names: Sequence[str]) -> dict[str, Tensor]:
    """The weighted mean of each tensor, worked out in float64 and given in the tensors' own type.

    Args:
        states: of models of one architecture, at least one.
        shares: of each; they sum to 1.
        names: what the models are called, for errors.

    Cost: one pass over the weights; memory for one of them in float64 besides.

    Raises:
        UserError: a tensor is missing somewhere, of another shape, or a constant that is not equal in all.

    >>> averaged([{"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}], [0.25, 0.75], ["a", "b"])
    {'w': tensor([2.5000])}
    """
    first = states[0]
    for name, state in zip(names, states, strict=True):
        odd = sorted(key for key in first.keys() | state.keys() if _shape(first, key) != _shape(state, key))
        if odd:
            raise UserError(
                f"{name} is of another architecture than {names[0]}: {odd[0]} is {_shape(state, odd[0])} there and "
                f"{_shape(first, odd[0])} here; a soup is of models from one start"
            )
    mean = {}
    for key, tensor in first.items():
        if tensor.is_floating_point():
            total = torch.zeros_like(tensor, dtype=torch.float64)
            for share, state in zip(shares, states, strict=True):
                total += share * state[key].double()
            mean[key] = total.to(tensor.dtype)
            continue
        if any(not torch.equal(tensor, state[key]) for state in states):
            raise UserError(f"{key} is a constant that differs between {', '.join(names)}, so that it has no mean")
        mean[key] = tensor.clone()
    return mean


def _shape(state: Weights, key: str) -> tuple[int, ...] | None:
    return tuple(state[key].shape) if key in state else None
