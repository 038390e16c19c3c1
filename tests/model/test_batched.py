"""Batches by length: whatever the budget, values and gradients are those of each text by itself, in the texts' order."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xlret.model.batched import run_batched

CPU = torch.device("cpu")
LENGTHS = np.array([3, 1, 7, 2, 2, 5], np.int32)
IDS = np.random.default_rng(0).integers(1, 9, LENGTHS.sum()).astype(np.int32)
KINDS = np.arange(LENGTHS.sum(), dtype=np.int32) % 3


def model(table: nn.Embedding) -> nn.Module:
    class Sums(nn.Module):
        shapes: list[tuple[int, ...]] = []  # noqa: RUF012

        def forward(self, ids_BT: Tensor, kinds_BT: Tensor, mask_BT: Tensor) -> Tensor:
            self.shapes.append(tuple(ids_BT.shape))
            assert torch.equal(ids_BT == 9, mask_BT == 0), "only what is padded has the filler"
            return (table(ids_BT) * (1 + kinds_BT[:, :, None]) * mask_BT[:, :, None]).sum(1)

    return Sums()


@pytest.mark.parametrize("budget", [1, 6, 1000])
@pytest.mark.parametrize("to_cpu", [False, True])
def test_values_and_gradients_do_not_depend_on_the_batches(budget: int, to_cpu: bool) -> None:
    torch.manual_seed(0)
    table = nn.Embedding(10, 4, dtype=torch.float64)
    sums = model(table)
    sums.shapes.clear()
    rows_ND = run_batched(sums, [(IDS, 9), (KINDS, 0)], LENGTHS, budget, device=CPU, to_cpu=to_cpu)
    starts = np.cumsum(LENGTHS) - LENGTHS
    weights = torch.from_numpy(1.0 + KINDS)[:, None]
    alone = [
        (table(torch.from_numpy(IDS[a : a + n]).long()) * weights[a : a + n]).sum(0)
        for a, n in zip(starts, LENGTHS, strict=True)
    ]
    torch.testing.assert_close(rows_ND, torch.stack(alone), rtol=0, atol=1e-12)
    scale = torch.arange(1.0, 7.0, dtype=torch.float64)[:, None]
    [mine] = torch.autograd.grad((rows_ND * scale).sum(), table.weight)
    [expected] = torch.autograd.grad((torch.stack(alone) * scale).sum(), table.weight)
    torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)
    assert sums.shapes == {1: [(1, n) for n in (7, 5, 3, 2, 2, 1)], 6: [(1, 7), (1, 5), (1, 3), (3, 2)], 1000: [(6, 7)]}[budget]
