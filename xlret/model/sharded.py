"""An encoder whose weights are spread over the workers of a run (FSDP2), for what does not fit into one device's memory.

Each worker holds its part of every weight, of its gradient and of its moments. A layer's weights are put together when a pass
comes to it and let go behind it. All of it goes through `torch.distributed.fsdp.fully_shard`.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from xlret.model.layers import stack_of_layers


def shard_encoder(encoder: nn.Module, backbone: nn.Module, device: torch.device) -> None:
    """Spreads an encoder's weights over the workers of the default process group, layer by layer; changed in place.

    Every pass through the encoder is then one of all workers together: they have to make equally many.

    Args:
        encoder: all of whose weights are spread; on the CPU or on `device`.
        backbone: its transformer.
        device: where each worker's part goes.

    Raises:
        UserError: the transformer's layers cannot be told apart.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in stack_of_layers(backbone, "ray.sharding")[2]:
        fully_shard(layer, mesh=mesh)
    fully_shard(encoder, mesh=mesh)
    for module in encoder.modules():
        if isinstance(module, FSDPModule) and dist.get_backend() == "gloo":
            module.set_force_sum_reduction_for_comms(True)  # gloo has no mean: the sum is divided behind it


def whole_tensors(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Tensors put together from the workers' parts, on the CPU; those that are whole already as they are.

    All workers must call it, with tensors of the same names in the same order.

    Args:
        tensors: by name.
        keep: False for a worker that only gives its parts: nothing is returned.
    """
    whole = {}
    for name, tensor in tensors.items():
        put_together = tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor
        if keep:
            whole[name] = put_together
    return whole


def part_like(whole: Tensor, other: Tensor) -> Tensor:
    """This worker's part of a tensor that all workers have whole, spread as `other` is; whole where that is whole."""
    if not isinstance(other, DTensor) or whole.shape != other.shape:
        return whole
    spread: Any = distribute_tensor(whole.to(other.device), other.device_mesh, other.placements, src_data_rank=None)
    return cast(Tensor, spread)


def most_of_workers(count: int) -> int:
    """The largest of the workers' numbers."""
    most = torch.tensor(count)
    if dist.get_backend() == "nccl":
        most = most.cuda()
    dist.all_reduce(most, dist.ReduceOp.MAX)
    return int(most.item())
