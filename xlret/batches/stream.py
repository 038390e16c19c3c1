"""Batches assembled by Ray Data ahead of the training worker that asks for them.

Each worker runs data sets of its own: a row is a step, a block is `steps_per_block` consecutive steps, a task assembles one
block. Consecutive steps keep a plan's window and a lexicon's cache warm, and a worker that restarts simply begins at the step
of its checkpoint. A data set covers a few blocks only and is executed whole, in the background, while the one before is
consumed: an executor that waits for its consumer spins, and inside a training process it takes the interpreter from the
training thread (measured: docs/LOG.md).

The tasks ask Ray for no CPU, and a worker has one of them at a time, on its own node: its CPU is reserved with the worker's.
Ray Data shares out what a training leaves of a node among its data sets in whole CPUs: of two that begin at once where one CPU
is left neither gets any, and both wait for ever (measured: docs/LOG.md). Nor can a task without CPUs wait for those that Tune
has reserved for something else.

What a task assembles is a function of the step alone. So a worker does not depend on its tasks: where one hangs, straggles or
fails (its machine is gone, the object store and the disk behind it are full), the worker assembles the steps itself and says
so in its log.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.data import DataContext
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xlret.batches.assemble import Assembled, Batch, Inputs, assembler
from xlret.batches.pairs import AssembledPairs
from xlret.errors import DataError, UserError
from xlret.tokens.ragged import Ragged

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamOptions:
    """How much is assembled at once, how far ahead, and what Ray reserves for it."""

    steps_per_block: int = 32
    blocks_ahead: int = 4
    """Blocks of a data set; up to two data sets wait while one is consumed."""
    straggle_s: float = 120.0
    """How long a worker waits for a data set that it needs now before it assembles the steps itself."""


def batches(inputs: Inputs, rank: int, world: int, start: int, stop: int, options: StreamOptions) -> Iterator[Batch]:
    """Worker `rank`'s share of the steps from `start` up to `stop`, in order.

    Raises:
        DataError: a batch cannot be made. (It travels as a row: an error raised in a task reaches us as a text of Ray's.)
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    kind: type[Batch] = Assembled if inputs.negatives is None else AssembledPairs
    expected = start
    spans = _spans(start, stop, options)
    node = ray.get_runtime_context().get_node_id()
    tasks = _in_background()
    coming: deque[tuple[tuple[int, int], Future[list[pa.Table]]]] = deque()

    def submitted(span: tuple[int, int]) -> "tuple[tuple[int, int], Future[list[pa.Table]]]":
        return span, tasks.submit(_execute, inputs, rank, world, *span, options, node)

    try:
        coming.extend(map(submitted, _take(spans, 2)))
        while coming:
            made: Iterator[Batch]
            span, executed = coming.popleft()
            coming.extend(map(submitted, _take(spans, 1)))
            try:
                tables = executed.result(options.straggle_s)
            except Exception as error:  # Ray raises many kinds; a fault of the assembling itself comes again below
                reason = f"{type(error).__name__} {error}".strip().splitlines()[0]
                _LOG.warning("worker %d assembles steps %d to %d itself, its task did not: %.200s", rank, *span, reason)
                if not executed.done():  # what waits behind it would wait with it
                    tasks.shutdown(wait=False, cancel_futures=True)
                    tasks = _in_background()
                    coming = deque(submitted(waiting) for waiting, _ in coming)
                made = map(partial(assembler(inputs), rank=rank, world=world), range(*span))
            else:
                made = (from_row(table, row, kind) for table in tables for row in range(table.num_rows))
            for batch in made:
                assert (batch.step, batch.rank) == (expected, rank), f"expected step {expected}, got {batch.step}"
                expected += 1
                yield batch
    finally:
        tasks.shutdown(wait=False, cancel_futures=True)
        wait((executed for _, executed in coming), options.straggle_s)  # a data set that outlives its Ray ends the process
    assert expected == stop or start >= stop, f"the stream ended at step {expected} of {stop}"


def _in_background() -> ThreadPoolExecutor:
    """Executes data sets, one after the other."""
    return ThreadPoolExecutor(1, thread_name_prefix="xlret-stream")


def _spans(start: int, stop: int, options: StreamOptions) -> Iterator[tuple[int, int]]:
    """The steps of each data set: one block first, so that training begins soon, then `blocks_ahead` blocks each."""
    blocks = 1
    while start < stop:
        end = min(stop, start + blocks * options.steps_per_block)
        yield start, end
        start, blocks = end, options.blocks_ahead


def _take(spans: Iterator[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    return [span for _, span in zip(range(count), spans, strict=False)]


def _execute(inputs: Inputs, rank: int, world: int, start: int, stop: int, options: StreamOptions, node: str) -> list[pa.Table]:
    """The assembled blocks of these steps, in order; waits until all are made."""

    def assemble_block(numbered: pa.Table) -> pa.Table:
        steps = numbered["step"].to_pylist()
        made: list[Batch] = []
        try:
            made.extend(assembler(inputs)(step, rank, world) for step in steps)
        except UserError as error:
            return to_table([*made, None], str(error))
        return to_table(made)

    # The rows are made here: to make them of a range or of tables Ray Data would run tasks of a CPU each.
    steps = [{"step": step} for step in range(start, stop)]
    data = ray.data.from_items(steps, override_num_blocks=-(-len(steps) // options.steps_per_block)).map_batches(
        assemble_block,
        batch_format="pyarrow",
        batch_size=None,
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=1),
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
    )
    # Not materialised: after that Ray asks each process of each machine for its memory, and waits a minute for one that hangs.
    return list(data.iter_batches(prefetch_batches=0, batch_size=None, batch_format="pyarrow"))


def to_table(batches: Sequence[Batch | None], error: str | None = None) -> pa.Table:
    """Batches of one type as rows of an Arrow table, a column or two for each field; ragged arrays are lists.

    The last may be None, for a batch that could not be made: its row carries `error`.
    """
    columns = {"error": pa.array([*[None] * (len(batches) - 1), error], pa.string())}
    first = batches[0]
    for name in [] if first is None else [column.name for column in fields(first)]:
        values = [None if batch is None else getattr(batch, name) for batch in batches]
        if isinstance(values[0], Ragged):
            columns[f"{name}.ids"] = _lists([None if ragged is None else ragged.ids for ragged in values])
            columns[f"{name}.lengths"] = _lists([None if ragged is None else ragged.lengths for ragged in values])
        else:
            columns[name] = _lists(values) if isinstance(values[0], np.ndarray) else pa.array(values)
    return pa.table(columns)


def from_row(table: pa.Table, row: int, kind: type[Batch]) -> Batch:
    """The inverse of `to_table` for one row.

    Raises:
        DataError: the row carries an error.
    """
    if (error := table["error"][row].as_py()) is not None:
        raise DataError(error)

    def value(name: str) -> Any:
        if f"{name}.ids" in table.column_names:
            return Ragged(value(f"{name}.ids"), value(f"{name}.lengths"))
        cell = table[name][row]
        return cell.values.to_numpy(zero_copy_only=False) if pa.types.is_list(cell.type) else cell.as_py()

    return kind(**{column.name: value(column.name) for column in fields(kind)})


def _lists(arrays: Sequence[np.ndarray | None]) -> pa.Array:
    present = [array for array in arrays if array is not None]
    offsets = np.zeros(len(arrays) + 1, np.int32)
    np.cumsum([0 if array is None else len(array) for array in arrays], out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(present)))
