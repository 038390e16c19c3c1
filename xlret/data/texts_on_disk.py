"""Texts of a large set: in a temporary file that is mapped into memory, where lists of strings would fill it."""

import errno
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import index
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa

from xlret.data.mapped import MappedTable
from xlret.errors import UserError

IN_MEMORY = 1 << 26
"""Characters of a set up to which its texts stay strings in memory: some 100,000 Wikipedia passages."""
_SCHEMA = pa.schema([("text", pa.large_string())])
_ROWS = 4096


def hold_texts(texts: Iterable[str]) -> Sequence[str]:
    """All texts, read once and in their order: a list up to `IN_MEMORY` characters, `TextsOnDisk` above.

    >>> hold_texts(iter(["a", "b"]))
    ['a', 'b']

    Raises:
        UserError: the disk is full.
        UnicodeEncodeError: a text that goes to disk has half of a surrogate pair.
    """
    first: list[str] = []
    characters, rest = 0, iter(texts)
    for text in rest:
        first.append(text)
        characters += len(text)
        if characters > IN_MEMORY:
            return TextsOnDisk(chain(first, rest))
    return first


class TextsOnDisk(Sequence[str]):
    """Texts in a file that has no name any more: it goes with this object, at the latest with the process.

    It is an Arrow file in the system's directory for temporary files (`TMPDIR`, else /tmp), which must be a disk (of a tmpfs
    every byte is memory) with room for the texts in UTF-8 and 8 bytes each: 22 GB for 33 million of 650 bytes. A process
    that is killed while it writes leaves a directory `xlret-texts-*` there. Memory holds some 2 KB for every 4,096 texts.
    It cannot be pickled: other processes get the texts that they need.

    Cost: some microseconds a text; iterating and slicing, which gives a list, read thousands at once.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="xlret-texts-") as directory:
            path = Path(directory) / "texts.arrow"
            try:
                with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as file:
                    remaining = iter(texts)
                    while block := list(islice(remaining, _ROWS)):
                        file.write_batch(pa.record_batch([pa.array(block, pa.large_string())], schema=_SCHEMA))
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise UserError(
                    f"{tempfile.gettempdir()} is full: the texts of a large set are held there; set TMPDIR to a directory of "
                    "a disk with more room"
                ) from error
            self._table = MappedTable(path)

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return self._table.texts("text", np.arange(len(self))[row])
        number = index(row)
        return self._table.texts("text", np.array([number + len(self) if number < 0 else number]))[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _ROWS):
            yield from self[start : start + _ROWS]
