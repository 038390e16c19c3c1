"""Texts of different lengths through a model with little padding: sorted, cut by a token budget, padded, and back in order."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from xlret.tokens.ragged import chunks, padded

Column = tuple[NDArray[np.int32], int]
"""What a model reads of each token (its id, say), one text after the other, [sum of lengths], and what pads it."""


def run_batched(
    model: Callable[..., Tensor],
    columns: Sequence[Column],
    lengths_N: NDArray[np.int32],
    tokens_per_batch: int,
    *,
    device: torch.device,
    to_cpu: bool = False,
    progress: str | None = None,
    agree: Callable[[int], int] | None = None,
) -> Tensor:
    """What a model gives for each of N texts, [N, ...], in their order; with gradient where that is enabled.

    Texts of like length go together, the longest first (what does not fit into memory shows at once), so that a short query is
    not padded to the longest passage. The result is that of any other batching, up to rounding.

    Args:
        model: called with a tensor [B, T] for each column and the attention mask [B, T], all int64; gives [B, ...].
        columns: the tokens' columns.
        lengths_N: tokens of each of the N >= 1 texts.
        tokens_per_batch: padded tokens that go through the model at once (at least one text does).
        device: where the model is.
        to_cpu: bring each batch's result to the CPU, so that N texts may be more than the device has memory for.
        progress: a description to draw a progress bar under.
        agree: given the number of batches, says how many to make, that or more, at most N; workers that share a model make
            equally many.

    >>> ids, lengths = np.array([5, 7, 7, 2], np.int32), np.array([1, 2, 1], np.int32)
    >>> shapes = []
    >>> def sums(ids_BT, mask_BT):
    ...     shapes.append(tuple(ids_BT.shape))
    ...     return (ids_BT * mask_BT).sum(1)
    >>> run_batched(sums, [(ids, 0)], lengths, 2, device=torch.device("cpu")).tolist()
    [5, 14, 2]
    >>> shapes
    [(1, 2), (2, 1)]
    """
    starts_N = np.cumsum(lengths_N, dtype=np.int64) - lengths_N
    order_N = np.argsort(lengths_N, kind="stable")
    batches = [order_N[rows] for rows in chunks(lengths_N[order_N], tokens_per_batch)][::-1]
    for _ in range(0 if agree is None else agree(len(batches)) - len(batches)):
        largest = max(range(len(batches)), key=lambda number: len(batches[number]))
        half = len(batches[largest]) // 2
        batches[largest : largest + 1] = batches[largest][:half], batches[largest][half:]
    outputs = []
    for rows in batches if progress is None else track(batches, description=progress):
        lengths_B = lengths_N[rows]
        tokens = np.concatenate([np.arange(starts_N[row], starts_N[row] + lengths_N[row]) for row in rows])
        arrays = [padded(column[tokens], lengths_B, filler)[0] for column, filler in columns]
        mask_BT = (np.arange(int(lengths_B.max())) < lengths_B[:, None]).astype(np.int64)
        output = model(*(torch.from_numpy(array).to(device) for array in (*arrays, mask_BT)))
        outputs.append(output.cpu() if to_cpu else output)
    positions_N = np.empty_like(order_N)
    positions_N[np.concatenate(batches)] = np.arange(len(order_N))
    sorted_outputs = torch.cat(outputs)
    outputs.clear()
    return sorted_outputs[torch.from_numpy(positions_N).to(sorted_outputs.device)]
