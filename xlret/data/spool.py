"""Rows of a corpus on their way: of one part of the input the texts on disk, by side and language, and what is known of rows.

A part is read by one call and knows nothing of the others; `gather.py` puts them together.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from xlret.data.manifest import side_file
from xlret.data.rows import BadRowPolicy, ReadingReport, Row, checked_rows, folded
from xlret.data.seen import hashes_of
from xlret.errors import DataError, UserError
from xlret.text.sides import Side

SideKey = tuple[Side, str]
"""Query or passage, and its language."""
ROWS = "rows.arrow"
ORDINALS = "ordinals.npy"
_SPOOL_CHARACTERS = 1 << 19
_SPOOL_ROWS = 1 << 12
_SIDE = pa.schema([("row", pa.int64()), ("key", pa.int64()), ("text", pa.large_string())])
_HASHES = ("group_high", "group_low", "cluster_high", "cluster_low")
_ROW = pa.schema([("group_id", pa.large_string()), *((name, pa.int64()) for name in _HASHES), ("where", pa.large_string())])


class SpoolTask(NamedTuple):
    """A part of the input, and where its rows go. On a cluster all machines see the paths."""

    rows: Callable[[ReadingReport], Iterator[Row]]
    directory: Path
    on_bad_row: BadRowPolicy
    option: str
    max_characters: int | None
    """Longest text allowed; None: the rows are checked already."""


@dataclass
class PartReport(ReadingReport):
    """What was met in a part, and between which rows."""

    rows: int = 0
    """Rows taken so far."""
    positions: list[int] = field(default_factory=list)
    """Of each bad row in `sample`, how many rows were taken before it."""

    def bad(self, where: str, reason: str) -> None:
        """As `ReadingReport.bad`."""
        super().bad(where, reason)
        if len(self.positions) < len(self.sample):
            self.positions.append(self.rows)


@dataclass(frozen=True)
class SpooledPart:
    """One part of the input, spooled."""

    directory: Path
    sides: tuple[SideKey, ...]
    report: PartReport
    failure: Exception | None
    """What ended the reading after `report.rows` rows."""


def spool_part(task: SpoolTask) -> SpooledPart:
    """Reads, checks and spools the rows of one part. Memory: some thousand rows."""
    report, failure = PartReport(task.on_bad_row, option=task.option), None
    shutil.rmtree(task.directory, ignore_errors=True)  # of a call that was killed
    task.directory.mkdir()
    spool = _RowSpool(task.directory)
    try:
        rows = task.rows(report)
        for row in rows if task.max_characters is None else checked_rows(rows, report, task.max_characters):
            spool.add(row)
            report.rows += 1
    except (DataError, UserError) as error:  # it counts only if nothing that came before is bad
        failure = error
    finally:
        spool.close()
    return SpooledPart(task.directory, tuple(sorted(spool.sides)), report, failure)


class SideSpool:
    """The spool file of one side and language: texts as they come, each with its row and a hash of its folded form."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115  closed in close()
        self._writer = pa.ipc.new_file(self._file, _SIDE)
        self._rows: list[int] = []
        self._keys: list[int] = []
        self._texts: list[str] = []
        self._characters = 0

    def add(self, row: int, text: str) -> None:
        """Takes a text."""
        self._rows.append(row)
        self._keys.append(int.from_bytes(blake2b(folded(text).encode(), digest_size=8).digest(), "little", signed=True))
        self._texts.append(text)
        self._characters += len(text)
        if self._characters > _SPOOL_CHARACTERS:
            self._flush()

    def close(self) -> None:
        """Writes what is left."""
        self._flush()
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if self._texts:
            columns: list[Any] = [self._rows, self._keys, self._texts]
            arrays = [pa.array(column, kind.type) for column, kind in zip(columns, _SIDE, strict=True)]
            self._writer.write_batch(pa.record_batch(arrays, schema=_SIDE))
            self._rows, self._keys, self._texts, self._characters = [], [], [], 0


class _RowSpool:
    """The rows of a part: their groups and given clusters, hashed, and where they stood; and the spools of its sides."""

    def __init__(self, directory: Path) -> None:
        self.sides: dict[SideKey, SideSpool] = {}
        self._directory = directory
        self._file = open(directory / ROWS, "wb")  # noqa: SIM115  closed in close()
        self._writer = pa.ipc.new_file(self._file, _ROW)
        self._rows: list[tuple[str, str, str]] = []
        self._count = 0

    def add(self, row: Row) -> None:
        texts: list[tuple[Side, str | None]] = [("query", row.query), ("passage", row.passage)]
        for side, text in texts:
            if text is not None:
                key = (side, row.lang)
                if key not in self.sides:
                    self.sides[key] = SideSpool(self._directory / side_file(side, row.lang))
                self.sides[key].add(self._count, text)
        self._rows.append((row.group_id, "" if row.cluster is None else f"c{row.cluster}", row.where))
        self._count += 1
        if len(self._rows) == _SPOOL_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._file.close()
        for side in self.sides.values():
            side.close()

    def _flush(self) -> None:
        if self._rows:
            group_ids, clusters, wheres = zip(*self._rows, strict=True)
            groups_N2 = hashes_of(group_ids).view(np.int64)
            clusters_N2 = hashes_of(clusters).view(np.int64)
            clusters_N2 = np.where(np.array([not cluster for cluster in clusters])[:, None], 0, clusters_N2)
            hashes = [pa.array(np.ascontiguousarray(column)) for column in (*groups_N2.T, *clusters_N2.T)]
            columns = [pa.array(group_ids, pa.large_string()), *hashes, pa.array(wheres, pa.large_string())]
            self._writer.write_batch(pa.record_batch(columns, schema=_ROW))
            self._rows = []
