"""Arithmetic that gives the same bits each time."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def exact_arithmetic(device: torch.device, threads: int) -> Iterator[None]:
    """Computes alike each time within the block; torch's settings and random state are as before afterwards.

    Args:
        device: on which is computed. Kernels that differ from run to run are ruled out on CPUs, where none is missed.
        threads: of torch, which decide how sums are rounded.
    """
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )
    try:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=device.type == "cpu", warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a check for bugs that costs a tenth of the time
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(mode=before[1], warn_only=before[2])
        torch.utils.deterministic.fill_uninitialized_memory = before[3]  # type: ignore[attr-defined]
