"""Writing a ParallelCorpus from rows in any order: spool by side and language, then put in the order of the groups."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from xlret.artifacts import FileEntry
from xlret.data.manifest import GROUPS, CorpusManifest, SideEntry, file_entries, side_file, write_manifest
from xlret.data.mapped import MappedTable
from xlret.data.pool import GroupPool
from xlret.data.rows import MAX_CHARACTERS, ReadingReport, Row, checked_rows
from xlret.data.spool import Spool
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.shapes import IntArray
from xlret.text.sides import Side

_BATCH_CHARACTERS = 1 << 23
_BATCH_ROWS = 1 << 16
_TEXT = pa.schema([("text", pa.large_string())])
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
    spool = Spool(directory / "spool")
    try:
        spool.take(rows, report)
    finally:
        spool.close()
    if not spool.ordinal_of:
        raise UserError(f"{source or 'the input'} holds no usable row, so there is no corpus to write")
    order, final = spool.order()
    clusters = spool.clusters(final)
    sides = tuple(_write_side(directory, spool, side, final) for side in sorted(spool.sides))
    _write_groups(directory, list(spool.ordinal_of), order, clusters)
    shutil.rmtree(spool.directory)
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


def _write_side(directory: Path, spool: Spool, key: tuple[Side, str], final: IntArray) -> SideEntry:
    """Writes the texts of one side in the order of their groups, and says which groups those are."""
    side, lang = key
    table = MappedTable(spool.sides[key].path)
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
