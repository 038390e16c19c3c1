"""One shard made from its part of the passages: what a task of Ray does, or this process, one shard after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xlret import monitoring
from xlret.artifacts import open_table, write_table
from xlret.calls import Calls
from xlret.files import write_text
from xlret.search.faiss_files import read_index
from xlret.search.manifest import TRAINED, File, ShardEntry
from xlret.search.partition import shard_rows
from xlret.search.vectors.store import vectors_of
from xlret.search.write import joined, sample_of, write_lists, write_shard

_REMEDY = "remove it and begin again"


class Work:
    """Where an index is being made: its files, all passages in blocks, and what is known of the shards that are done.

    Args:
        directory: in which equal builds go on where one was killed.
    """

    def __init__(self, directory: Path) -> None:
        self.version, self.blocks, self.records = (directory / name for name in ("version", "blocks", "records"))
        for part in (self.version, self.blocks, self.records):
            part.mkdir(exist_ok=True)

    @property
    def trained(self) -> Path:
        """The index before anything is added to it; where the stored vectors are searched as they are, there is none."""
        return self.version / TRAINED


@dataclass(frozen=True)
class ShardTask:
    """What decides a shard's files, and where everything is. On a cluster all machines see these paths."""

    number: int
    blocks: tuple[Path, ...]
    """What holds its passages, as batch `number` of each."""
    work: Work
    nlist: int
    languages: int
    """Of the whole index: how many passages of each the sample has depends on it."""
    threads: int

    @property
    def record(self) -> Path:
        """The shard's entry; it is there when the shard is whole."""
        return self.work.records / f"shard-{self.number:04d}.json"

    @property
    def lists(self) -> Path:
        """How many passages of each of its languages each inverted list holds."""
        return self.work.records / f"shard-{self.number:04d}.lists.npy"

    @property
    def sample(self) -> Path:
        """Its passages with the lowest hashes, of each language."""
        return self.work.records / f"shard-{self.number:04d}.sample.arrow"


def make_shard(task: ShardTask) -> None:
    """Writes a shard's files and records. Memory: the shard's texts and vectors, twice while they are sorted, and its index."""
    table, vectors_ND = shard_rows(task.blocks, task.number)
    trained = read_index(task.work.trained) if task.work.trained.exists() else None
    entry, lists = write_shard(task.work.version, task.number, table, vectors_ND, trained, trained is None, task.threads)
    if task.nlist:
        counts = [np.bincount(rows, minlength=task.nlist) for _, rows in lists]
        np.save(task.lists, np.array(counts, np.int32).reshape(len(lists), task.nlist), allow_pickle=False)
    write_table(task.sample, sample_of(table, vectors_ND, task.languages))
    write_text(task.record, entry.model_dump_json())


@dataclass(frozen=True)
class MadeShards:
    """What the manifest says of the shards, and the sample of the whole index."""

    entries: tuple[ShardEntry, ...]
    languages: dict[str, int]
    files: dict[str, File]
    sample: pa.Table

    def values(self) -> dict[str, Any]:
        """For the manifest."""
        count = sum(self.languages.values())
        return {"shards": self.entries, "languages": self.languages, "count": count, "files": dict(self.files)}


def made_shards(
    work: Work,
    blocks: Sequence[Path],
    shards: int,
    calls: Calls,
    say: Callable[[str], None],
    *,
    nlist: int | None,
    languages: int,
    threads: int,
    index: str,
) -> MadeShards:
    """Makes the shards that are not done yet, and the table of lists over all.

    Args:
        work: where.
        blocks: all passages, as `partition.shard_rows` reads them.
        shards: how many.
        calls: where each is made.
        say: told how many are done already.
        nlist: inverted lists of the index, if it has such.
        languages: how many languages the passages have.
        threads: for each shard.
        index: its name, for the metrics.
    """
    tasks = [ShardTask(number, tuple(blocks), work, nlist or 0, languages, threads) for number in range(shards)]
    todo = [task for task in tasks if not _is_made(task)]
    if len(todo) < len(tasks):
        say(f"{len(tasks) - len(todo)} of {len(tasks)} shards are there already")
    for _ in calls(make_shard, todo):
        monitoring.tell("xlret_index_shards_made", 1, index=index)
    entries = tuple(ShardEntry.model_validate_json(task.record.read_bytes()) for task in tasks)
    rows_of_each = language_counts(entries)
    files: dict[str, File] = {}
    if nlist:
        counts: dict[str, NDArray[np.int64]] = {}
        for task, entry in zip(tasks, entries, strict=True):
            for code, counted in zip(entry.languages, np.load(task.lists, allow_pickle=False), strict=True):
                counts[code] = counts.get(code, np.zeros(nlist, np.int64)) + counted
        files["lists"] = write_lists(work.version, np.array([counts[code] for code in rows_of_each]))
    drawn = joined([open_table(task.sample, _REMEDY) for task in tasks])
    return MadeShards(entries, rows_of_each, files, sample_of(drawn, vectors_of(drawn), languages))


def _is_made(task: ShardTask) -> bool:
    """Whether a shard is whole. (Of a call that was killed while it published, files may have left already.)"""
    if not task.record.exists():
        return False
    files = ShardEntry.model_validate_json(task.record.read_bytes()).files()
    paths = [task.work.version / file.file for file in files]
    return all(path.is_file() and path.stat().st_size == file.size for path, file in zip(paths, files, strict=True))


def language_counts(entries: Sequence[ShardEntry]) -> dict[str, int]:
    """Rows per language, languages in alphabetical order; right as long as none is deleted."""
    counts: dict[str, int] = {}
    for entry in entries:
        for code, (start, end) in entry.languages.items():
            counts[code] = counts.get(code, 0) + end - start
    return dict(sorted(counts.items()))
