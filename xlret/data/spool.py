"""Rows of a corpus on their way: texts on disk by side and language, and in memory what decides the order of the groups."""

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from xlret.data.cluster import joined
from xlret.data.manifest import side_file
from xlret.data.mapped import MappedTable
from xlret.data.rows import ReadingReport, Row, folded
from xlret.shapes import IntArray
from xlret.text.sides import Side

_SPOOL_CHARACTERS = 1 << 19
_SPOOL = pa.schema([("group", pa.int64()), ("key", pa.int64()), ("text", pa.large_string())])


class SideSpool:
    """The spool file of one side and language: texts as they come, each with its group and a hash of its folded form."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._file = open(path, "wb")  # noqa: SIM115  closed in close()
        self._writer = pa.ipc.new_file(self._file, _SPOOL)
        self._groups, self._keys = array("q"), array("q")
        self._texts: list[str] = []
        self._characters = 0

    def add(self, group: int, text: str) -> None:
        self._groups.append(group)
        self._keys.append(int.from_bytes(blake2b(folded(text).encode(), digest_size=8).digest(), "little", signed=True))
        self._texts.append(text)
        self._characters += len(text)
        self.rows += 1
        if self._characters > _SPOOL_CHARACTERS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if self._texts:
            columns = [
                pa.array(np.array(self._groups)),
                pa.array(np.array(self._keys)),
                pa.array(self._texts, pa.large_string()),
            ]
            self._writer.write_batch(pa.record_batch(columns, schema=_SPOOL))
            self._groups, self._keys, self._texts, self._characters = array("q"), array("q"), [], 0


class Spool:
    """All rows on disk, and in memory what decides the order of groups: their ids, signatures and given clusters."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.ordinal_of: dict[str, int] = {}
        """Group id to ordinal of appearance."""
        self.sides: dict[tuple[Side, str], SideSpool] = {}
        self._bit_of: dict[tuple[Side, str], int] = {}
        self._signature = array("q")  # of each group: index into _signatures
        self._signatures: list[int] = [0]  # bit s: has side number s
        self._index_of: dict[int, int] = {0: 0}
        self._first_of_cluster: dict[str, int] = {}
        self._same_cluster = array("q")  # pairs of ordinals, flat

    def take(self, rows: Iterable[Row], report: ReadingReport) -> None:
        """Spools all rows; a side that a group already has in that language is a bad row."""
        for row in rows:
            group = self.ordinal_of.get(row.group_id)
            signature = self._signatures[self._signature[group]] if group is not None else 0
            texts = [(self._bit(side, row.lang), side, text) for side, text in _texts(row)]
            repeated = next((side for bit, side, _ in texts if signature & bit), None)
            if repeated:
                report.bad(
                    row.where, f"group {row.group_id!r} has a {repeated} in {row.lang} already; each language may come once"
                )
                continue
            if group is None:
                group = self.ordinal_of[row.group_id] = len(self.ordinal_of)
                self._signature.append(0)
            for bit, side, text in texts:
                signature |= bit
                self.sides[side, row.lang].add(group, text)
            self._signature[group] = self._signature_index(signature)
            if row.cluster is not None:
                first = self._first_of_cluster.setdefault(row.cluster, group)
                if first != group:
                    self._same_cluster.extend((first, group))

    def close(self) -> None:
        """Finishes the spool files; a side that every row was refused for is forgotten."""
        for spool in self.sides.values():
            spool.close()
        self.sides = {key: spool for key, spool in self.sides.items() if spool.rows}

    def order(self) -> tuple[IntArray, IntArray]:
        """Groups by signature, ties as they appeared: (appearance of final, final of appearance).

        The side that most groups have decides first, so that it is one range, the next at most two, and so on.
        """
        bits = [self._bit_of[side] for side in sorted(self.sides, key=lambda side: (-self.sides[side].rows, side))]
        used = sorted(set(self._signature), key=lambda index: [not self._signatures[index] & bit for bit in bits])
        rank = np.zeros(len(self._signatures), dtype=np.int64)
        rank[used] = np.arange(len(used))
        order = np.argsort(rank[np.array(self._signature)], kind="stable")
        final = np.empty_like(order)
        final[order] = np.arange(len(order))
        return order, final

    def clusters(self, final: IntArray) -> IntArray:
        """Cluster of each group in final order: joined where texts are equal or the user said so."""
        pairs = [final[np.array(self._same_cluster, dtype=np.int64).reshape(-1, 2)]]
        for spool in self.sides.values():
            table = MappedTable(spool.path)
            keys = table.whole("key")
            by_key = np.argsort(keys, kind="stable")
            groups = final[table.whole("group")[by_key]]
            equal = keys[by_key][1:] == keys[by_key][:-1]
            pairs.append(np.stack([groups[:-1][equal], groups[1:][equal]], axis=1))
        return joined(len(final), np.concatenate(pairs))

    def _bit(self, side: Side, lang: str) -> int:
        """The bit that stands for a side and language in signatures; its spool file is opened at its first text."""
        bit = self._bit_of.get((side, lang))
        if bit is None:
            bit = self._bit_of[side, lang] = 1 << len(self._bit_of)
            self.sides[side, lang] = SideSpool(self.directory / side_file(side, lang))
        return bit

    def _signature_index(self, signature: int) -> int:
        index = self._index_of.get(signature)
        if index is None:
            index = self._index_of[signature] = len(self._signatures)
            self._signatures.append(signature)
        return index


def _texts(row: Row) -> list[tuple[Side, str]]:
    texts: list[tuple[Side, str | None]] = [("query", row.query), ("passage", row.passage)]
    return [(side, text) for side, text in texts if text is not None]
