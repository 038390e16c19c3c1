"""Reading a few rows of a large Arrow file: memory-mapped, by offsets, never a whole column."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xlret.errors import CorruptError
from xlret.shapes import IntArray

_ROWS_HELD = 16
"""Rows read before their pages are given back: Linux maps up to 2 MB around each byte that is touched."""


class MappedTable:
    """Rows of an uncompressed Arrow IPC file by number, straight out of the mapped file.

    Opening maps the file and reads the position of each record batch; a row costs a few microseconds once its
    part of the file is in the system's cache. Mapped pages count as memory of this process although the system
    can take them back at any time, so they are given back as reading goes on, unless the file is small.

    Args:
        path: the file.
        keep_pages: whether touched pages stay mapped, which spares about a microsecond a row.

    Raises:
        CorruptError: the file is not an Arrow IPC file.
    """

    def __init__(self, path: Path, *, keep_pages: bool = False) -> None:
        self.path = path
        self._keep_pages = keep_pages
        try:
            with open(path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            reader = pa.ipc.open_file(pa.py_buffer(self._map))
            self._batches: list[Any] = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except (pa.ArrowInvalid, ValueError, OSError) as error:
            raise CorruptError(f"{path} is damaged: it cannot be read as an Arrow file ({error})") from error
        self._first: IntArray = np.cumsum([0, *(batch.num_rows for batch in self._batches)], dtype=np.int64)
        self._texts: dict[str, list[tuple[memoryview, memoryview]]] = {}
        self.release()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._batches[0].schema.names) if self._batches else ()

    def __len__(self) -> int:
        return int(self._first[-1])

    def texts(self, column: str, rows: IntArray) -> list[str]:
        """The texts of a large_string column at these rows, in their order.

        Raises:
            CorruptError: a text is not UTF-8.
            IndexError: a row is outside the file.
        """
        if column not in self._texts:
            self._texts[column] = [_text_buffers(batch.column(column)) for batch in self._batches]
        buffers, texts = self._texts[column], []
        try:
            for batch, row in self._positions(rows):
                offsets, data = buffers[batch]
                texts.append(str(data[offsets[row] : offsets[row + 1]], "utf-8"))
        except UnicodeDecodeError as error:
            raise CorruptError(f"{self.path} is damaged: a text is not UTF-8; prepare the corpus again") from error
        return texts

    def integers(self, column: str, rows: IntArray) -> IntArray:
        """The values of an int64 column at these rows, in their order; cheap for many rows too."""
        rows = self._checked(rows)
        batches = np.searchsorted(self._first, rows, side="right") - 1
        integers = np.empty(len(rows), dtype=np.int64)
        for batch in np.unique(batches):
            inside = batches == batch
            values = self._batches[batch].column(column).to_numpy(zero_copy_only=True)
            integers[inside] = values[rows[inside] - self._first[batch]]
            self.release()
        return integers

    def lists(self, column: str, rows: IntArray) -> list[Any]:
        """The lists of a large_list column of numbers at these rows, in their order, each as an array of numpy."""
        lists = []
        for batch, row in self._positions(rows):
            values = self._batches[batch].column(column)
            start, stop = values.offsets[row].as_py(), values.offsets[row + 1].as_py()
            lists.append(values.values[start:stop].to_numpy(zero_copy_only=True).copy())
        return lists

    def vectors(self, column: str, rows: IntArray) -> NDArray[np.float32]:
        """The rows of a column of lists of D numbers each, [len(rows), D], in their order."""
        rows = self._checked(rows)
        batches = np.searchsorted(self._first, rows, side="right") - 1
        dimension = self._batches[0].column(column).type.list_size
        vectors_ND = np.empty((len(rows), dimension), dtype=np.float32)
        for batch in np.unique(batches):
            inside = batches == batch
            values = self._batches[batch].column(column).flatten().to_numpy(zero_copy_only=True)
            vectors_ND[inside] = values.reshape(-1, dimension)[rows[inside] - self._first[batch]]
            self.release()
        return vectors_ND

    def whole(self, column: str) -> IntArray:
        """A whole int64 column, copied into memory: 8 bytes a row."""
        values = np.empty(len(self), dtype=np.int64)
        for first, batch in zip(self._first, self._batches, strict=False):
            values[first : first + batch.num_rows] = batch.column(column).to_numpy(zero_copy_only=True)
            self.release()
        return values

    def release(self) -> None:
        """Unmaps the touched pages; they stay in the system's cache and come back when needed."""
        if not self._keep_pages:
            self._map.madvise(mmap.MADV_DONTNEED)

    def _positions(self, rows: IntArray) -> Iterator[tuple[int, int]]:
        """(batch, row within it) of each row; pages are given back between a few of them."""
        rows = self._checked(rows)
        batches = np.searchsorted(self._first, rows, side="right") - 1
        positions = list(zip(batches.tolist(), (rows - self._first[batches]).tolist(), strict=True))
        for start in range(0, len(positions), _ROWS_HELD):
            yield from positions[start : start + _ROWS_HELD]
            self.release()

    def _checked(self, rows: IntArray) -> IntArray:
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {self.path}, which has {len(self)}")
        return rows


def _text_buffers(array: Any) -> tuple[memoryview, memoryview]:
    """Offsets (int64, one more than rows) and UTF-8 bytes of a large_string array that starts its buffers."""
    assert array.type == pa.large_string(), array.type
    assert array.offset == array.null_count == 0, "not a column that xlret wrote"
    _, offsets, data = array.buffers()
    return memoryview(offsets).cast("B").cast("q"), memoryview(data) if data is not None else memoryview(b"")
