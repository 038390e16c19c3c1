"""A whole index in one process: all shards of one version, searched and merged."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlret.search.manifest import IndexManifest, current_version, read_manifest, verify
from xlret.search.merge import Hits, ShardHits, merge
from xlret.search.passages import Passage
from xlret.search.probing import ProbingPlan
from xlret.search.query import SearchOptions, options_of_each
from xlret.search.shard import Shard
from xlret.search.trial_reading import try_reading


def merged(
    parts: Sequence[ShardHits],
    vectors_QD: NDArray[np.float32],
    options: Sequence[SearchOptions],
    search: Callable[[NDArray[np.float32], list[SearchOptions]], Hits],
) -> Hits:
    """The answers of all shards as those of the index; queries that remain short of hits are searched again, exactly.

    Args:
        parts: what the shards answered.
        vectors_QD: the queries.
        options: of each.
        search: searches the whole index.
    """
    hits = merge(parts, [asked.top_k for asked in options])
    if short := [query for query, is_short in enumerate(hits.short) if is_short]:
        again = search(vectors_QD[short], [replace(options[query], exact=True) for query in short])
        for position, query in enumerate(short):
            lists: tuple[tuple[Any, Any], ...] = tuple(zip(hits, again, strict=True))
            for of_all, of_short in lists:
                of_all[query] = of_short[position]
    return hits


class SearchIndex:
    """All shards of one version; many threads may search at once.

    Example:
        index = SearchIndex.open(Path("index"))
        hits = index.search(encoder.encode(["Wo liegt Bern?"], side="query"), SearchOptions(top_k=5))
        index.passages(hits, 0)
    """

    def __init__(self, path: Path, manifest: IndexManifest, shards: Sequence[Shard]) -> None:
        self.path = path
        self.manifest = manifest
        self.shards = list(shards)

    @classmethod
    def open(cls, path: Path, *, verify_files: bool = True) -> "SearchIndex":
        """Opens an index directory (its current version) or a version directory.

        Args:
            path: the directory.
            verify_files: compare the checksums of all files first (about 1 s per GB), and read them on trial (`trial_reading`).

        Raises:
            UserError: there is no index.
            CorruptError: a file is missing, damaged or foreign; the message names it.
        """
        version_dir = current_version(path)
        if verify_files:
            manifest = verify(version_dir)
            try_reading(version_dir, manifest)
        else:
            manifest = read_manifest(version_dir)
        return cls.from_manifest(version_dir, manifest)

    @classmethod
    def from_manifest(cls, version_dir: Path, manifest: IndexManifest) -> "SearchIndex":
        """Opens files that are known to be what the manifest says."""
        plan = ProbingPlan.open(version_dir, manifest)
        numbers = range(len(manifest.shards))
        shards = [Shard.open(version_dir, number, manifest, plan, verify=False) for number in numbers]
        return cls(version_dir, manifest, shards)

    def search(self, vectors_QD: NDArray[np.float32], options: SearchOptions | Sequence[SearchOptions]) -> Hits:
        """The best passages for Q queries: `min(top_k, passages in question)` each, best first, ties by id.

        Args:
            vectors_QD: query vectors of length 1; of an index that carries a language component, without it
                (`search.debias.read_component(...).remove`).
            options: for all queries, or one each.

        Raises:
            UserError: vectors or options that this index cannot be asked with.
        """
        each = options_of_each(options, len(vectors_QD))
        return merged([shard.search(vectors_QD, each) for shard in self.shards], vectors_QD, each, self.search)

    def check_files(self) -> None:
        """See `Shard.check_files`, for all shards."""
        for shard in self.shards:
            shard.check_files()

    def passages(self, hits: Hits, query: int) -> list[Passage]:
        """The passages that were found for one query, in the order of its hits."""
        shard_rows = list(zip(hits.shards[query].tolist(), hits.rows[query].tolist(), strict=True))
        passages: dict[tuple[int, int], Passage] = {}
        for number in {shard for shard, _ in shard_rows}:
            rows = [row for shard, row in shard_rows if shard == number]
            passages |= {(number, row): passage for row, passage in zip(rows, self.shards[number].passages(rows), strict=True)}
        return [passages[shard_row] for shard_row in shard_rows]
