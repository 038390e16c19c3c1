"""Writing a ParallelCorpus from rows in any order: spooled by side and language, then put in the order of the groups."""

import shutil
from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from xlret.data.cluster import joined
from xlret.data.manifest import GROUPS, CorpusManifest, FileEntry, SideEntry, file_entries, side_file, write_manifest
from xlret.data.mapped import MappedTable
from xlret.data.pool import GroupPool
from xlret.data.rows import MAX_CHARACTERS, ReadingReport, Row, checked_rows, folded
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.shapes import IntArray
from xlret.text.sides import Side

_SPOOL_CHARACTERS = 1 << 19
_BATCH_CHARACTERS = 1 << 23
_BATCH_ROWS = 1 << 16
_TEXT = pa.schema([("text", pa.large_string())])
_SPOOL = pa.schema([("group", pa.int64()), ("key", pa.int64()), ("text", pa.large_string())])
_GROUP = pa.schema([("group_id", pa.large_string()), ("cluster", pa.int64())])


def write_corpus(
    path: Path,
    rows: Iterable[Row],
    *,
    source: str,
    licence: str,
    revision: str,
    made_by: str,
    replace: bool = False,
    report: ReadingReport | None = None,
    max_characters: int = MAX_CHARACTERS,
) -> CorpusManifest:
    """Writes rows, in any order, as the corpus directory `path`, which appears when it is whole.

    Memory holds the group ids and a few numbers for each group and each text of one language, never the texts:
    those go through a spool beside `path`, so that the disk needs twice their size meanwhile.

    Args:
        rows: rows of equal `group_id` make one group; each language of a group may give each side once.
        source, licence, revision, made_by: provenance, kept in the manifest.
        replace: whether an existing directory gives way.
        report: what to do with bad rows and where to count them; by default the first one is an error.
        max_characters: longest text allowed.

    Raises:
        DataError: a bad row, unless `report` skips them.
        UserError: no usable row at all, `path` exists and `replace` is false, or the disk is full.
    """
    report = report or ReadingReport()
    with directory_beside(path, replace=replace) as fresh:
        return fill_corpus(fresh, checked_rows(rows, report, max_characters), report, source, licence, revision, made_by)


def fill_corpus(
    directory: Path, rows: Iterable[Row], report: ReadingReport, source: str, licence: str, revision: str, made_by: str
) -> CorpusManifest:
    """Writes checked rows as the files and the manifest of a corpus into an empty directory that the caller renames."""
    spooled = _Spooled(directory / "spool")
    try:
        spooled.take(rows, report)
    finally:
        spooled.close()
    if not spooled.ordinal_of:
        raise UserError(f"{source or 'the input'} holds no usable row, so there is no corpus to write")
    order, final = spooled.order()
    clusters = spooled.clusters(final)
    sides = tuple(_write_side(directory, spooled, side, final) for side in sorted(spooled.sides))
    _write_groups(directory, list(spooled.ordinal_of), order, clusters)
    shutil.rmtree(spooled.directory)
    files: dict[str, FileEntry] = file_entries(directory, [GROUPS, *(entry.file for entry in sides)])
    manifest = CorpusManifest(
        n_groups=len(order),
        n_clusters=len(np.unique(clusters)),
        sides=sides,
        files=files,
        source=source,
        licence=licence,
        revision=revision,
        made_by=made_by,
    )
    write_manifest(directory, manifest)
    return manifest


class _Side:
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


class _Spooled:
    """All rows on disk, and in memory what decides the order of groups: their ids, signatures and given clusters."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.ordinal_of: dict[str, int] = {}
        """Group id to ordinal of appearance."""
        self.sides: dict[tuple[Side, str], _Side] = {}
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
            self.sides[side, lang] = _Side(self.directory / side_file(side, lang))
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


def _write_side(directory: Path, spooled: _Spooled, key: tuple[Side, str], final: IntArray) -> SideEntry:
    """Writes the texts of one side in the order of their groups, and says which groups those are."""
    side, lang = key
    table = MappedTable(spooled.sides[key].path)
    groups = final[table.whole("group")]
    order = np.argsort(groups)
    with open(directory / side_file(side, lang), "wb") as file, pa.ipc.new_file(file, _TEXT) as writer:
        for texts in _batches_of_texts(table, order):
            writer.write_batch(pa.record_batch([pa.array(texts, pa.large_string())], schema=_TEXT))
    pool = GroupPool.from_members(groups)
    ranges = tuple(zip(pool.starts.tolist(), pool.stops.tolist(), strict=True))
    return SideEntry(side=side, lang=lang, rows=len(groups), ranges=ranges)


def _batches_of_texts(table: MappedTable, order: IntArray) -> Iterator[list[str]]:
    """The texts at `order` in lists of bounded length and size."""
    texts: list[str] = []
    characters = 0
    for start in range(0, len(order), 1024):
        for text in table.texts("text", order[start : start + 1024]):
            texts.append(text)
            characters += len(text)
            if characters > _BATCH_CHARACTERS or len(texts) == _BATCH_ROWS:
                yield texts
                texts, characters = [], 0
    if texts:
        yield texts


def _write_groups(directory: Path, ids: list[str], order: IntArray, clusters: IntArray) -> None:
    with open(directory / GROUPS, "wb") as file, pa.ipc.new_file(file, _GROUP) as writer:
        for start in range(0, len(order), _BATCH_ROWS):
            batch = slice(start, start + _BATCH_ROWS)
            group_ids = pa.array([ids[group] for group in order[batch]], pa.large_string())
            writer.write_batch(pa.record_batch([group_ids, pa.array(clusters[batch])], schema=_GROUP))
