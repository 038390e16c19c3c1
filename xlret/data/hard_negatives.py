"""Adding mined hard negatives to a prepared corpus, as a new directory."""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from xlret.artifacts import link_or_copy
from xlret.data.corpus import ParallelCorpus
from xlret.data.manifest import HARD_NEGATIVES, CorpusManifest, file_entries, write_manifest
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.shapes import IntArray


class Mined(NamedTuple):
    """The hard negatives of one group."""

    group: int
    negatives: Sequence[int]
    """Group ordinals, best first."""
    scores: Sequence[float]
    """Of each negative."""
    positive: float | None = None
    """What the group's own passage scored, where it was scored; losses that distil a reranker need it."""


_ROWS = 1 << 14
_SCHEMA = pa.schema(
    [
        ("negatives", pa.large_list(pa.int64())),
        ("scores", pa.large_list(pa.float32())),
        ("positive", pa.large_list(pa.float32())),
    ]
)
"""Row g is of group g; lists are empty where it has none."""


def write_hard_negatives(
    corpus_path: Path,
    path: Path,
    mined: Iterable[Mined],
    *,
    made_by: str,
    replace: bool = False,
) -> CorpusManifest:
    """Writes a copy of a corpus that also holds hard negatives; the corpus it came from stays as it is.

    Unchanged files are hard links to the old ones where the file system allows it, else copies.

    Args:
        corpus_path: the corpus; its own hard negatives, if any, are replaced.
        path: the new directory; may be `corpus_path` with `replace`.
        mined: at most one entry for each group, in any order; groups without one have no negatives.
        made_by: what mined them, added to the manifest.

    Raises:
        UserError: a group comes twice or does not exist, a negative is the group itself, of its cluster or does not exist,
            scores do not match or do not fall, or `path` exists and `replace` is false.
    """
    corpus = ParallelCorpus.open(corpus_path)
    clusters = corpus.clusters(np.arange(corpus.n_groups))
    lists = _Lists(corpus.n_groups)
    for group, negatives, scores, positive in mined:
        _check(corpus, clusters, group, negatives, scores)
        if lists.has(group):
            raise UserError(f"hard negatives of {corpus.path}: group {group} comes twice")
        lists.add(group, negatives, scores, positive)
    with directory_beside(path, replace=replace) as fresh:
        kept = [name for name in corpus.manifest.files if name != HARD_NEGATIVES]
        for name in kept:
            link_or_copy((corpus.path / name).resolve(), fresh / name)
        with open(fresh / HARD_NEGATIVES, "wb") as file, pa.ipc.new_file(file, _SCHEMA) as writer:
            for batch in lists.batches():
                writer.write_batch(batch)
        files = {name: corpus.manifest.files[name] for name in kept} | file_entries(fresh, [HARD_NEGATIVES])
        manifest = corpus.manifest.model_copy(update={"files": files, "made_by": f"{corpus.manifest.made_by}; {made_by}"})
        write_manifest(fresh, manifest)
    return manifest


class _Lists:
    """Lists of negatives end to end, 12 bytes for each negative and 20 for each group."""

    def __init__(self, n_groups: int) -> None:
        self._list_of = np.full(n_groups, -1, dtype=np.int64)
        self._stops = array("q", [0])
        self._negatives, self._scores, self._positives = array("q"), array("f"), array("f")

    def has(self, group: int) -> bool:
        return bool(self._list_of[group] >= 0)

    def add(self, group: int, negatives: Sequence[int], scores: Sequence[float], positive: float | None) -> None:
        self._list_of[group] = len(self._stops) - 1
        self._negatives.extend(map(int, negatives))
        self._scores.extend(map(float, scores))
        self._positives.append(math.nan if positive is None else positive)
        self._stops.append(len(self._negatives))

    def batches(self) -> Iterator[Any]:
        """Row g is the list of group g, empty where it has none."""
        stops, negatives, scores, positives = map(np.array, (self._stops, self._negatives, self._scores, self._positives))
        for start in range(0, len(self._list_of), _ROWS):
            lists = self._list_of[start : start + _ROWS]
            first, last = np.where(lists >= 0, stops[lists], 0), np.where(lists >= 0, stops[lists + 1], 0)
            offsets = np.concatenate([[0], np.cumsum(last - first)])
            taken = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], last - first)
            columns = [pa.LargeListArray.from_arrays(offsets, values[taken]) for values in (negatives, scores)]
            of_group = positives[np.maximum(lists, 0)] if len(positives) else np.empty(len(lists), np.float32)
            scored = (lists >= 0) & ~np.isnan(of_group)
            columns.append(pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(scored)]), of_group[scored]))
            yield pa.record_batch(columns, schema=_SCHEMA)


def _check(corpus: ParallelCorpus, clusters: IntArray, group: int, negatives: Sequence[int], scores: Sequence[float]) -> None:
    subject, values = f"hard negatives of {corpus.path}: group {group}", np.asarray(negatives, dtype=np.int64)
    if not 0 <= group < corpus.n_groups or (values.size and not (values.min() >= 0 and values.max() < corpus.n_groups)):
        raise UserError(f"{subject} or one of its negatives does not exist; groups are 0 to {corpus.n_groups - 1}")
    if (clusters[values] == clusters[group]).any():
        raise UserError(f"{subject} has a negative of its own cluster, which answers its query; leave those out")
    if len(scores) != len(values) or not (np.diff(np.asarray(scores, dtype=np.float64)) <= 0).all():
        raise UserError(f"{subject} has {len(values)} negatives and {len(scores)} scores; give one score each, best first")
