"""Parts of the input through Ray Data: tokenised in tasks on CPUs, encoded by a pool of actors on CPUs or GPUs."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from numpy.typing import NDArray
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xlret.errors import UserError
from xlret.search.vectors.parts import EncoderWorkers, Part, loaded_here
from xlret.search.vectors.spool import texts_to_encode
from xlret.tokens.texts import Tokeniser

if TYPE_CHECKING:
    from xlret.model.encoder import Encoder

_CPUS_PER_TASK = 0.25


def cluster(gpu: bool) -> int:
    """How many whole CPUs (GPUs) Ray has here.

    Raises:
        UserError: it has no GPU and one is wanted.
    """
    count = int(ray.cluster_resources().get("GPU" if gpu else "CPU", 0))
    if count < 1:
        raise UserError(f"Ray has no {'GPU' if gpu else 'CPU'} here" + ("; encode on CPUs (gpu: false)" if gpu else ""))
    return count


def encoded_parts(parts: Sequence[Part], encoder: Path, pool: EncoderWorkers) -> Iterator[tuple[Part, NDArray[np.float32]]]:
    """The parts in their order, each with the vectors [U, D] of its U texts that did not come before.

    The cluster's machines must all see the files, unless `pool.shared` is false: then they are read on this one.
    Memory: a few parts for each actor, whatever their number.

    Args:
        parts: what to encode.
        encoder: directory of the encoder.
        pool: actors and tasks.

    Raises:
        UserError: the encoder cannot be loaded. (It travels as a row: an error raised in a task reaches us as a text of Ray's.)
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it warns that it draws no bars
    cpus = cluster(gpu=False)
    share = max(0.1, min(pool.threads, (cpus - _CPUS_PER_TASK * pool.tasks) / pool.encoders))
    need = {"num_gpus": 1.0} if pool.gpu else {"num_cpus": share}
    rows = [{"part": position, "file": str(part.file), "start": part.start} for position, part in enumerate(parts)]
    encoded = (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .map_batches(
            _tokenise,
            batch_size=None,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(pool.tasks),
            **({"num_cpus": _CPUS_PER_TASK} if pool.shared else _on_this_machine()),
            fn_kwargs={"encoder": str(encoder)},
        )
        .map_batches(
            _Encode,
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=min(pool.encoders, len(rows)), max_tasks_in_flight_per_actor=2),
            fn_constructor_kwargs={"encoder": str(encoder), "pool": pool},
            **need,
        )
    )
    expected = 0
    for block in encoded.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for row in block.to_pylist():
            if row["error"] is not None:
                raise UserError(row["error"])
            assert row["part"] == expected, f"expected part {expected}, got {row['part']}"
            vectors = np.frombuffer(row["vectors"], np.float32)
            yield parts[expected], vectors.reshape(-1, row["dimension"])
            expected += 1
    assert expected == len(parts), f"the stream ended at part {expected} of {len(parts)}"


def _on_this_machine() -> dict[str, Any]:
    """Where tasks run that read this machine's disk; they ask for no CPU, which a head may not give away."""
    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


_tokenisers: dict[str, Tokeniser] = {}


def _tokenise(rows: pa.Table, encoder: str) -> pa.Table:
    """Token ids and lengths of each part's texts that did not come before."""
    ids, lengths, errors = [], [], []
    for row in rows.to_pylist():
        ragged, error = (np.empty(0, np.int32), np.empty(0, np.int32)), None
        try:
            if encoder not in _tokenisers:
                _tokenisers[encoder] = Tokeniser.load(Path(encoder))
            ragged = _tokenisers[encoder].ragged(texts_to_encode(Path(row["file"]), row["start"]), "passage")
        except UserError as reason:
            error = str(reason)
        ids.append(ragged[0].tobytes())
        lengths.append(ragged[1].tobytes())
        errors.append(error)
    binary = pa.large_binary()
    return pa.table(
        {
            "part": rows["part"],
            "ids": pa.array(ids, binary),
            "lengths": pa.array(lengths, binary),
            "error": pa.array(errors, pa.string()),
        }
    )


class _Encode:
    """An actor that holds the encoder."""

    def __init__(self, encoder: str, pool: EncoderWorkers) -> None:
        import torch

        torch.set_num_threads(pool.threads)
        self._directory, self._pool = Path(encoder), pool
        self._encoder: Encoder | None = None

    def __call__(self, rows: pa.Table) -> pa.Table:
        vectors, dimensions, errors = [], [], []
        for row in rows.to_pylist():
            vectors_UD = np.empty((0, 1), np.float32)
            error: str | None = row["error"]
            if error is None:
                try:
                    vectors_UD = self._vectors(np.frombuffer(row["ids"], np.int32), np.frombuffer(row["lengths"], np.int32))
                except UserError as reason:
                    error = str(reason)
            vectors.append(vectors_UD.tobytes())
            dimensions.append(vectors_UD.shape[1])
            errors.append(error)
        return pa.table(
            {
                "part": rows["part"],
                "vectors": pa.array(vectors, pa.large_binary()),
                "dimension": pa.array(dimensions, pa.int64()),
                "error": pa.array(errors, pa.string()),
            }
        )

    def _vectors(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> NDArray[np.float32]:
        if self._encoder is None:
            self._encoder = loaded_here(self._directory, self._pool.gpu)
        return self._encoder.encode_ragged(
            ids, lengths, tokens_per_batch=self._pool.tokens_per_batch, precision=self._pool.precision
        )
