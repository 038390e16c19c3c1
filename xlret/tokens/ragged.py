"""Token ids of texts of different lengths: cutting them into batches, and padding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """Token ids of several texts, one after the other, without padding."""

    ids: NDArray[np.int32]  # [sum of lengths]
    lengths: NDArray[np.int32]  # [texts]


def chunks(sorted_lengths: NDArray[np.int32], budget: int) -> Iterator[slice]:
    """Slices of texts, shortest first, of at most `budget` padded tokens each (at least one text).

    >>> list(chunks(np.array([1, 2, 3, 9], np.int32), 6))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    start = 0
    for row, length in enumerate(sorted_lengths):
        if row > start and (row - start + 1) * int(length) > budget:
            yield slice(start, row)
            start = row
    if start < len(sorted_lengths):
        yield slice(start, len(sorted_lengths))


def padded_tokens(lengths: NDArray[np.int32], budget: int) -> int:
    """Tokens of texts of these lengths after sorting, cutting into chunks and padding.

    >>> padded_tokens(np.array([9, 1, 2, 3], np.int32), 6)
    16
    """
    ordered = np.sort(lengths)
    return sum(int(ordered[rows].max()) * len(ordered[rows]) for rows in chunks(ordered, budget))


def padded(ids: NDArray[np.int32], lengths: NDArray[np.int32], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and attention mask, both [texts, longest], padded on the right, from ids that stand one text after the other.

    >>> padded(np.array([5, 6, 7], np.int32), np.array([1, 2], np.int32), 0)[0].tolist()
    [[5, 0], [6, 7]]
    """
    mask = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
    rows = np.full(mask.shape, pad_id, np.int64)
    rows[mask] = ids
    return rows, mask.astype(np.int64)
