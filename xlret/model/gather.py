"""Rows of all training processes on every one of them, with the gradient that flows back."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def gather_rows(rows_bD: Tensor) -> Tensor:
    """The rows of all processes of the default group in rank order, [W*b, ...]; the same tensor where there is no group.

    The gradient of a gathered row is the **sum** of what all processes say of it, brought back to the process that made the
    row. With that, the mean over the processes (which DDP takes) of the gradients of local mean losses is the gradient of the
    mean loss over the global batch. A gather without gradient is wrong in direction, not only in scale.

    Args:
        rows_bD: [b, ...], of the same shape and type on every process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows_bD
    gathered: Tensor = _GatherRows.apply(rows_bD)  # type: ignore[no-untyped-call]
    return gathered


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_bD: Tensor) -> Tensor:
        rows_bD = rows_bD.contiguous()
        gathered_ND = rows_bD.new_empty((dist.get_world_size() * len(rows_bD), *rows_bD.shape[1:]))
        dist.all_gather(list(gathered_ND.chunk(dist.get_world_size())), rows_bD)
        ctx.mark_non_differentiable(*([] if rows_bD.is_floating_point() else [gathered_ND]))
        return gathered_ND

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_ND: Tensor) -> Tensor:
        gradient_ND = gradient_ND.contiguous()
        rows = len(gradient_ND) // dist.get_world_size()
        if dist.get_backend() == "nccl":
            gradient_bD = gradient_ND.new_empty((rows, *gradient_ND.shape[1:]))
            dist.reduce_scatter_tensor(gradient_bD, gradient_ND)
            return gradient_bD
        total_ND = gradient_ND.clone()  # gloo's reduce-scatter is an all-reduce too
        dist.all_reduce(total_ND)
        return total_ND[dist.get_rank() * rows :][:rows]
