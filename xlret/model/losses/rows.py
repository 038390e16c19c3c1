"""What losses over the rows of several processes share: unit vectors, which row is whose, means that DDP makes whole."""

import torch
from torch import Tensor
from torch.nn import functional

from xlret.model.gather import gather_rows


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1, in float32, or float64 where they are that already.

    >>> unit(torch.tensor([[3.0, 4.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    return functional.normalize(rows if rows.dtype == torch.float64 else rows.float(), dim=-1)


def own_rows(rows: int, gathered: int, device: torch.device) -> Tensor:
    """[rows] Where this process's rows stand among those that `gather_rows` brought together.

    >>> own_rows(3, 3, torch.device("cpu")).tolist()
    [0, 1, 2]
    """
    rank = torch.distributed.get_rank() if gathered > rows else 0
    return torch.arange(rows, device=device) + rows * rank


def mean_of_rows(loss_b: Tensor, known_b: Tensor | None = None, weight_b: Tensor | None = None) -> Tensor:
    """This process's part of the mean of a loss over the rows of the global batch: the mean of it over processes is that mean.

    Args:
        loss_b: the loss of each row.
        known_b: [b] bool, the rows that count; all by default. Where no process has one, the result is 0.
        weight_b: what each row's loss is multiplied by. They are not made to sum to 1: a batch of heavy rows is a heavy batch.

    >>> mean_of_rows(torch.tensor([1.0, 3.0, 99.0]), torch.tensor([True, True, False])).item()
    2.0
    """
    if weight_b is not None:
        loss_b = loss_b * weight_b
    if known_b is None:
        return loss_b.mean()
    known_N = gather_rows(known_b.long())
    processes = len(known_N) // len(known_b)
    return (loss_b * known_b).sum() * processes / known_N.sum().clamp(min=1)
