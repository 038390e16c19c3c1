"""Writing a ParallelCorpus from rows in any order: spooled part by part, gathered to groups, written side by side."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from xlret.artifacts import FileEntry, entry_of
from xlret.calls import Calls, in_turn
from xlret.data.gather import Gathered, called_by_place, gathered, joined_clusters, ordered
from xlret.data.manifest import GROUPS, CorpusManifest, SideEntry, side_file, write_manifest
from xlret.data.mapped import MappedTable
from xlret.data.pool import GroupPool
from xlret.data.rows import MAX_CHARACTERS, ReadingReport, Row
from xlret.data.spool import ROWS, SideKey, SpoolTask, spool_part
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.shapes import IntArray

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

    Memory holds a few numbers for each group and each text of one language, never ids or texts: those go through a spool
    beside `path`, so that the disk needs twice their size meanwhile.

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
        about = Provenance(source, licence, revision, made_by)
        [manifest] = fill_corpora(fresh, [partial(_given, rows)], report, max_characters, in_turn, [(fresh, about)], None)
        return manifest


class Provenance(NamedTuple):
    """What the manifest of a corpus says of where it is from."""

    source: str
    licence: str
    revision: str
    made_by: str


Parts = Sequence[Callable[[ReadingReport], Iterator[Row]]]
"""Each gives its rows and reports what it cannot use."""
Split = Callable[[IntArray], list[IntArray]]
"""From the cluster of each group of a corpus to the groups of each of its parts, ascending."""


def fill_corpora(
    directory: Path,
    parts: Parts,
    report: ReadingReport,
    max_characters: int | None,
    calls: Calls,
    corpora: Sequence[tuple[Path, Provenance]],
    split: Split | None,
) -> list[CorpusManifest]:
    """Writes rows as the files and manifests of one corpus, or of the parts that it is split into.

    A call reads and spools a part of the input, compares the texts of a side, or writes a side, or the groups, of one corpus.

    Args:
        directory: empty; a spool is made in it and removed.
        parts: of the input, in order.
        report: told of all that was met, in the order of the input.
        max_characters: longest text allowed; None: rows are checked already.
        calls: where parts are read and files written.
        corpora: the directory of each, which is made, and where it is from.
        split: what each of them holds; None: there is one, with everything.

    Raises:
        DataError, UserError: as `write_corpus` and `split`.
    """
    spool = directory / "spool"
    spool.mkdir()
    tasks = [
        SpoolTask(part, spool / f"part-{number:06d}", report.on_bad_row, report.option, max_characters)
        for number, part in enumerate(parts)
    ]
    whole = gathered(calls(spool_part, tasks), spool, report)
    if not whole.sides:
        raise UserError(f"{corpora[0][1].source or 'the input'} holds no usable row, so there is no corpus to write")
    equal = calls(_equal_texts, [(whole, side) for side in sorted(whole.sides)])
    roots = joined_clusters(whole.n_groups, [whole.same_cluster, *equal])
    order = ordered(whole, np.arange(whole.n_groups))
    chosen = [order]
    if split is not None:
        chosen = [ordered(whole, order[rows]) for rows in split(called_by_place(roots, order))]
    manifests = []
    for number, ((path, about), groups) in enumerate(zip(corpora, chosen, strict=True)):
        path.mkdir(exist_ok=True)
        final = np.full(whole.n_groups, -1, np.int64)
        final[groups] = np.arange(len(groups))
        clusters = called_by_place(roots, groups)
        for name, numbers in (("final", final), ("order", groups), ("clusters", clusters)):
            np.save(spool / f"{name}-{number}.npy", numbers)
        numbers_of = {name: spool / f"{name}-{number}.npy" for name in ("final", "order", "clusters")}
        keys: list[SideKey | None] = [*sorted(whole.sides), None]
        written = [file for file in calls(_write, [_File(whole, key, path, numbers_of) for key in keys]) if file is not None]
        manifest = CorpusManifest(
            n_groups=len(groups),
            n_clusters=len(np.unique(clusters)),
            sides=tuple(side for side, _, _ in written if side is not None),
            files=dict(sorted((name, entry) for _, name, entry in written)),
            **about._asdict(),
        )
        write_manifest(path, manifest)
        manifests.append(manifest)
    shutil.rmtree(spool)
    return manifests


@dataclass(frozen=True)
class _File:
    """A file of a corpus that is to be written."""

    whole: Gathered
    side: SideKey | None
    """Of the texts; None: the file of the groups."""
    directory: Path
    numbers: dict[str, Path]
    """`final`: place of each ordinal in this corpus, -1 for none; `order`: the ordinals by place; `clusters` by place."""


_Written = tuple[SideEntry | None, str, FileEntry]


def _given(rows: Iterable[Row], report: ReadingReport) -> Iterator[Row]:
    return iter(rows)


def _equal_texts(task: tuple[Gathered, SideKey]) -> IntArray:
    """Pairs of groups (ordinals) whose texts of a side are equal, [P, 2]."""
    whole, side = task
    ordinals = whole.ordinals(side)
    keys = np.concatenate([table.whole("key") for table in _tables(whole, side)])
    kept = np.flatnonzero(ordinals >= 0)
    by_key = kept[np.argsort(keys[kept], kind="stable")]
    equal = keys[by_key][1:] == keys[by_key][:-1]
    groups = ordinals[by_key]
    return np.stack([groups[:-1][equal], groups[1:][equal]], axis=1)


def _tables(whole: Gathered, side: SideKey) -> list[MappedTable]:
    paths = [part / side_file(*side) for part in whole.parts]
    return [MappedTable(path) for path in paths if path.exists()]


def _write(file: _File) -> _Written | None:
    """Writes one file of a corpus; None where the corpus has nothing of that side."""
    return _write_groups(file) if file.side is None else _write_side(file, file.side)


def _write_side(file: _File, key: SideKey) -> _Written | None:
    """Writes the texts of one side in the order of their groups, and says which groups those are."""
    ordinals = file.whole.ordinals(key)
    groups = np.where(ordinals >= 0, np.load(file.numbers["final"], mmap_mode="r")[ordinals], -1)
    order = np.flatnonzero(groups >= 0)
    if not len(order):
        return None
    order = order[np.argsort(groups[order])]
    name = side_file(*key)
    with open(file.directory / name, "wb") as target, pa.ipc.new_file(target, _TEXT) as writer:
        for texts in _batches_of_texts(_tables(file.whole, key), order):
            writer.write_batch(pa.record_batch([pa.array(texts, pa.large_string())], schema=_TEXT))
    pool = GroupPool.from_members(groups[order])
    ranges = tuple(zip(pool.starts.tolist(), pool.stops.tolist(), strict=True))
    return SideEntry(side=key[0], lang=key[1], rows=len(order), ranges=ranges), name, entry_of(file.directory / name)


def _batches_of_texts(tables: Sequence[MappedTable], order: IntArray) -> Iterator[list[str]]:
    """The texts at `order`, counted over all tables, in lists of bounded length and size."""
    texts: list[str] = []
    characters = 0
    for start in range(0, len(order), 1024):
        for text in _texts_at(tables, "text", order[start : start + 1024]):
            texts.append(text)
            characters += len(text)
            if characters > _BATCH_CHARACTERS or len(texts) == _BATCH_ROWS:
                yield texts
                texts, characters = [], 0
    if texts:
        yield texts


def _texts_at(tables: Sequence[MappedTable], column: str, rows: IntArray) -> list[str]:
    """The texts of some rows, which are counted over all tables."""
    starts = np.cumsum([0, *map(len, tables)])
    number_of = np.searchsorted(starts, rows, side="right") - 1
    texts: list[str] = [""] * len(rows)
    for number in np.unique(number_of).tolist():
        inside = np.flatnonzero(number_of == number)
        for position, text in zip(inside.tolist(), tables[number].texts(column, rows[inside] - starts[number]), strict=True):
            texts[position] = text
    return texts


def _write_groups(file: _File) -> _Written:
    """Writes the ids of the groups and their clusters."""
    order, clusters = (np.load(file.numbers[name], mmap_mode="r") for name in ("order", "clusters"))
    tables = [MappedTable(part / ROWS) for part in file.whole.parts]
    with open(file.directory / GROUPS, "wb") as target, pa.ipc.new_file(target, _GROUP) as writer:
        for start in range(0, len(order), _BATCH_ROWS):
            batch = slice(start, start + _BATCH_ROWS)
            group_ids = _texts_at(tables, "group_id", file.whole.first_rows[order[batch]])
            arrays = [pa.array(group_ids, pa.large_string()), pa.array(np.array(clusters[batch]))]
            writer.write_batch(pa.record_batch(arrays, schema=_GROUP))
    return None, GROUPS, entry_of(file.directory / GROUPS)
