"""One pass over all passages: those of each shard are put together, so that a shard is made from its part alone.

Some thousand passages make a block, an Arrow file with one record batch for each shard: a task maps the file and reads its
batch, and nothing else of it comes from the disk. What training looks at is gathered on the way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xlret.artifacts import table_writer
from xlret.errors import CorruptError
from xlret.files import write_text
from xlret.keys import generator
from xlret.search.vectors.store import Vectors, vectors_of
from xlret.search.write import hashes, joined

Pieces = Callable[[], Iterator[tuple[pa.Table, Vectors]]]
"""Gives all passages anew each time, some thousand at once: rows without vectors, and vectors."""
_BLOCK_ROWS = 65_536
_BLOCK_BYTES = 1 << 27
_WHOLE = "whole"


class TrainingRows:
    """Gathers the vectors that an index is trained on while all passages go by, in their order.

    Args:
        languages: passages in each language, over all.
        wanted: about how many; see `training_ranks`.
        dimension: numbers of a vector.
        seed: of the draw.
    """

    def __init__(self, languages: Mapping[str, int], wanted: int, dimension: int, seed: int) -> None:
        self._ranks = training_ranks(languages, wanted, seed)
        self._seen = dict.fromkeys(languages, 0)
        self.vectors_TD = np.empty((sum(map(len, self._ranks.values())), dimension), np.float32)
        """As far as they came by."""
        self._gathered = 0

    def look(self, table: pa.Table, vectors_ND: Vectors) -> None:
        """Takes what is wanted of the next passages."""
        langs = table.column("lang").combine_chunks().dictionary_encode()
        codes = langs.indices.to_numpy()
        chosen = np.zeros(len(codes), bool)
        for number, code in enumerate(langs.dictionary.to_pylist()):
            rows, ranks, seen = np.flatnonzero(codes == number), self._ranks[code], self._seen[code]
            first, last = np.searchsorted(ranks, (seen, seen + len(rows)))
            chosen[rows[ranks[first:last] - seen]] = True
            self._seen[code] += len(rows)
        rows = np.flatnonzero(chosen)
        self.vectors_TD[self._gathered : self._gathered + len(rows)] = vectors_ND[rows]
        self._gathered += len(rows)


def training_ranks(languages: Mapping[str, int], wanted: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Which of each language's passages are trained on, counted in their order: together about `wanted`, each language by its
    share, but at least a quarter of an equal part, or all it has.

    >>> {code: len(ranks) for code, ranks in training_ranks({"de": 900, "en": 90, "sw": 10}, 100, seed=0).items()}
    {'de': 90, 'en': 9, 'sw': 8}
    """
    floor, total = max(1, wanted // (4 * len(languages))), sum(languages.values())
    return {
        code: np.sort(generator(seed, "train", code).permutation(count)[: min(count, max(floor, wanted * count // total))])
        for code, count in languages.items()
    }


def partitioned(pieces: Pieces, shards: int, directory: Path, training: TrainingRows | None = None) -> list[Path]:
    """Writes all passages into blocks, each with a record batch for each shard; a passage's shard is its id's hash modulo their
    number. One pass; a block is written while the next is read. Memory: two blocks.

    Args:
        pieces: all passages with their vectors.
        shards: how many.
        directory: where to.
        training: is shown everything.

    Returns:
        The blocks in their order.

    Raises:
        UserError: the disk is full.
    """
    blocks: list[Path] = []
    with ThreadPoolExecutor(1) as pool:
        writing: Future[None] | None = None
        for table, vectors_ND in _gathered(pieces()):
            if training is not None:
                training.look(table, vectors_ND)
            if writing is not None:
                writing.result()
            blocks.append(directory / f"block-{len(blocks):06d}.arrow")
            writing = pool.submit(_write_block, blocks[-1], table, vectors_ND, shards)
        if writing is not None:
            writing.result()
    write_text(directory / _WHOLE, f"{len(blocks)}\n")
    return blocks


def blocks_in(directory: Path) -> list[Path] | None:
    """The blocks that `partitioned` wrote, or None where it did not come to its end."""
    return sorted(directory.glob("block-*.arrow")) if (directory / _WHOLE).exists() else None


def _write_block(path: Path, table: pa.Table, vectors_ND: Vectors, shards: int) -> None:
    shard_N = (hashes(table.column("id").to_pylist()) % np.uint64(shards)).astype(np.int64)
    order = np.argsort(shard_N, kind="stable")
    flat = pa.array(np.ascontiguousarray(vectors_ND[order]).ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors_ND.shape[1])
    table = table.take(pa.array(order)).append_column("vector", column).combine_chunks()
    ends = np.cumsum(np.bincount(shard_N, minlength=shards)).tolist()
    with table_writer(path, table.schema) as writer:
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            batches = table.slice(start, end - start).to_batches()
            writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema))


def shard_rows(blocks: Sequence[Path], batch: int) -> tuple[pa.Table, Vectors]:
    """The passages of one shard and their vectors, in the order of all passages.

    Args:
        blocks: as `partition` wrote them; or parts of a store, which are one batch each.
        batch: number of the shard.

    Raises:
        CorruptError: a block cannot be read.
    """
    tables, vectors = [], []
    for path in blocks:
        try:
            with pa.memory_map(str(path)) as file:
                table = pa.Table.from_batches([pa.ipc.open_file(file).get_batch(batch)])
        except (pa.ArrowInvalid, OSError) as error:
            raise CorruptError(f"{path} is damaged: it cannot be read as an Arrow file ({error}); begin again") from error
        tables.append(table.drop_columns(["vector"]))
        vectors.append(vectors_of(table))
    return joined(tables), cast(Vectors, np.concatenate(vectors))


def _gathered(pieces: Iterator[tuple[pa.Table, Vectors]]) -> Iterator[tuple[pa.Table, Vectors]]:
    """Pieces put together to blocks of about the same size."""
    tables: list[pa.Table] = []
    vectors: list[Vectors] = []
    for table, vectors_ND in pieces:
        tables.append(table)
        vectors.append(vectors_ND)
        rows, size = sum(map(len, vectors)), sum(part.nbytes for part in (*tables, *vectors))
        if rows >= _BLOCK_ROWS or size >= _BLOCK_BYTES:
            yield joined(tables), cast(Vectors, np.concatenate(vectors))
            tables, vectors = [], []
    if tables:
        yield joined(tables), cast(Vectors, np.concatenate(vectors))
