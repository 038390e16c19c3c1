"""How fast batches are assembled: one bare process against Ray Data with one core, and where the time goes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import ray
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.batches.assemble import Assembler, Batch
from xlret.batches.stream import StreamOptions, batches
from xlret.switch.settings import SwitchSettings

STEPS = 512


def run(bench: Bench, console: Console) -> None:
    """Prints pairs/s, words/s and tokens/s, the share of switching, and Ray Data's speed per core as a ratio."""
    assemble = Assembler(bench.inputs)
    plain = Assembler(replace(bench.inputs, switch=SwitchSettings()))
    for assembler in (assemble, plain):  # fill the caches of words and windows
        _measure(_bare(assembler, 32), 0)
    bare = _measure(_bare(assemble, STEPS), 0)
    without = _measure(_bare(plain, STEPS), 0)
    batch = bench.job.plan.batch_size
    console.print(f"one process: {batch / bare.seconds:,.0f} pairs/s, {bare.words / bare.seconds:,.0f} words/s to switch")
    console.print(f"switching's share of assembly time: {1 - without.seconds / bare.seconds:.1%} (allowed: 25 %)")
    options = StreamOptions()
    ray.init(num_cpus=1, object_store_memory=2**30, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        began = time.perf_counter()
        streamed = _measure(batches(bench.inputs, 0, 1, 0, STEPS * 4, options), STEPS)
        total = (time.perf_counter() - began) / (STEPS * 4)
    finally:
        ray.shutdown()
    ratios = f"{bare.seconds / streamed.seconds:.2f} of the bare process steady (wanted: 0.70)"
    console.print(
        f"Ray Data, one core: {batch / streamed.seconds:,.0f} pairs/s, {ratios}, {bare.seconds / total:.2f} with start-up"
    )


@dataclass(frozen=True)
class _Speed:
    """Per step, over the steps measured."""

    seconds: float
    words: float


def _bare(assemble: Assembler, steps: int) -> Iterator[Batch]:
    return (assemble(step, 0, 1) for step in range(steps))


def _measure(stream: Iterator[Batch], skip: int) -> _Speed:
    """Seconds and words a step, after the first `skip` steps."""
    for _ in range(skip):
        next(stream)
    began, steps, words = time.perf_counter(), 0, 0
    for block in stream:
        steps += 1
        words += block.words
    return _Speed((time.perf_counter() - began) / steps, words / steps)
