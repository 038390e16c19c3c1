"""One shard of an index: its passages sorted by language and id, their vectors, and what finds the nearest of them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from cachetools import LRUCache, cachedmethod
from numpy.typing import NDArray

from xlret.artifacts import open_table
from xlret.errors import CorruptError, UserError
from xlret.search.faiss_files import NO_BLAS, codes_of, faiss, inner_ivf, read_index, rotations, unwrapped
from xlret.search.filters import matching
from xlret.search.manifest import REMEDY, IndexManifest, ShardEntry, check_file
from xlret.search.mapped import MappedFiles
from xlret.search.merge import ShardHits, best
from xlret.search.passages import Passage
from xlret.search.probing import ProbingPlan
from xlret.search.query import SearchOptions, check_options, checked_vectors, options_of_each
from xlret.search.vectors.store import passages_of

__all__ = ["Shard", "ShardHits"]

_REMEMBERED = 64
ScoredRows = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Scores, highest first, and rows."""


@dataclass(frozen=True)
class _Selection:
    """Rows in question: how many, and how FAISS is told of them (None: all)."""

    count: int
    selector: Any
    kept: Any = None
    """What the selector points to."""


def _asked_rows(shard: "Shard", options: SearchOptions) -> tuple[object, ...]:
    return (None if options.languages is None else frozenset(options.languages), options.filter)


class Shard:
    """Searched by many threads at once; nothing in it changes."""

    def __init__(
        self,
        number: int,
        manifest: IndexManifest,
        plan: ProbingPlan,
        table: pa.Table,
        vectors: Any,
        index: Any,
        mapped: MappedFiles,
    ) -> None:
        self.number = number
        self.manifest = manifest
        self.entry: ShardEntry = manifest.shards[number]
        self._plan = plan
        self._mapped = mapped
        self._table = table
        self._ids = table.column("id").combine_chunks()
        self._vectors = vectors
        self._index = index
        self._inner = cast(Any, None if index is None else unwrapped(index))
        self._rotations = [] if index is None else rotations(index)
        self._quantizer = faiss.downcast_index(self._inner.quantizer) if manifest.kind == "ivf" else None
        self._stored_ND = codes_of(vectors).view(manifest.dtype)
        self._langs = sorted(self.entry.languages)
        self._ends = np.array([self.entry.languages[code][1] for code in self._langs], dtype=np.int64)
        self.deleted_N: NDArray[np.bool_] | None = None
        """Which rows are deleted; None: none is."""
        self._selections: LRUCache[Any, _Selection] = LRUCache(_REMEMBERED)
        self._lock = threading.Lock()
        faiss.cvar.distance_compute_blas_threshold = NO_BLAS

    @classmethod
    def open(
        cls, version_dir: Path, number: int, manifest: IndexManifest, plan: ProbingPlan | None = None, *, verify: bool = True
    ) -> "Shard":
        """Opens one shard of a version: checksums first, then the readers.

        Args:
            version_dir: the version's directory; its files must never be written to again.
            number: which shard.
            manifest: of the version.
            plan: of the version, where it is open already.
            verify: compare checksums (about 1 s per GB).

        Raises:
            UserError: there is no such shard.
            CorruptError: a file is missing, damaged or foreign; the message names it.
        """
        version_dir = Path(version_dir)
        if not 0 <= number < len(manifest.shards):
            raise UserError(f"no shard {number}: the index has {len(manifest.shards)}, numbered from 0")
        entry = manifest.shards[number]
        for file in (*entry.files(), *manifest.files.values()) if plan is None else entry.files():
            if verify:
                check_file(version_dir, file)
        table = open_table(version_dir / entry.rows.file, REMEDY)
        if table.num_rows != entry.count or {"id", "lang", "title", "text"} - set(table.column_names):
            raise CorruptError(f"{version_dir / entry.rows.file} is foreign: {table.num_rows} rows of {table.column_names}")
        vectors = read_index(version_dir / entry.vectors.file, mapped=True)
        _check(version_dir / entry.vectors.file, vectors, manifest, entry.count)
        if not isinstance(vectors, _stored_as(manifest.dtype)):
            raise CorruptError(f"{version_dir / entry.vectors.file} holds no {manifest.dtype} vectors; build the index again")
        index = None
        if entry.index is not None:
            index = read_index(version_dir / entry.index.file)
            _check(version_dir / entry.index.file, index, manifest, entry.count)
            if (manifest.kind == "ivf") != (inner_ivf(index) is not None):
                raise CorruptError(f"{version_dir / entry.index.file} is not of the kind {manifest.factory}")
        elif not (manifest.kind == "flat" and manifest.lossless):
            raise CorruptError(f"{version_dir}: shard {number} has no index file; build the index again")
        mapped = MappedFiles(version_dir, [(file.file, file) for file in (entry.rows, entry.vectors)])
        shard = cls(number, manifest, plan or ProbingPlan.open(version_dir, manifest), table, vectors, index, mapped)
        if entry.tombstones is not None:
            bits = np.frombuffer((version_dir / entry.tombstones.file).read_bytes(), dtype=np.uint8)
            if len(bits) != -(-entry.count // 8):
                raise CorruptError(f"{version_dir / entry.tombstones.file} is foreign: {len(bits)} bytes")
            shard.deleted_N = np.unpackbits(bits, count=entry.count, bitorder="little").astype(bool)
        return shard

    def search(self, vectors_QD: NDArray[np.float32], options: SearchOptions | Sequence[SearchOptions]) -> ShardHits:
        """The shard's part of the answers to Q queries; `merge` makes answers of it.

        Costs are those of FAISS and about 0.1 ms a query; may be called from many threads (the GIL is free inside FAISS).

        Args:
            vectors_QD: query vectors of length 1.
            options: for all queries, or one each.

        Raises:
            UserError: vectors or options that this index cannot be asked with.
            MappedFileError: as `check_files`.
        """
        vectors = checked_vectors(vectors_QD, self.manifest.dimension)
        each = options_of_each(options, len(vectors))
        for asked in set(each):
            check_options(asked, self.manifest.languages, self.manifest.fields)
        faiss.omp_set_num_threads(1)  # of this thread
        hits = ShardHits([], [], [], [], [], [], [], self.number)
        # One by one: then no sum depends on what is asked beside.
        for vector, asked in zip(vectors, each, strict=True):
            self.check_files()
            self._search(vector[None], asked, hits)
        return hits

    def check_files(self) -> None:
        """Checks that nobody wrote to the files that are mapped; some microseconds. `search` and `passages` do so themselves.

        Raises:
            MappedFileError: somebody did. Once a file is whole again, it is noticed within the time that reading it takes.
        """
        self._mapped.check()
        self._plan.mapped.check()

    def passages(self, rows: Sequence[int]) -> list[Passage]:
        """The passages of rows, in that order.

        Raises:
            UserError: a row that the shard has not.
            MappedFileError: as `check_files`.
        """
        self.check_files()
        wanted = np.asarray(rows, dtype=np.int64)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < self.entry.count):
            raise UserError(f"rows {wanted.min()} to {wanted.max()} of shard {self.number}, which has {self.entry.count}")
        return passages_of(self._table.take(pa.array(wanted))) if wanted.size else []

    @property
    def table(self) -> pa.Table:
        """id, lang, title, text and metadata of all rows, mapped; deleted ones among them."""
        return self._table

    @property
    def vectors(self) -> NDArray[Any]:
        """The vectors of all rows as they are stored, mapped; the shard must outlive them."""
        return self._stored_ND

    @property
    def index(self) -> Any:
        """The FAISS index that is searched; None where that is the vectors themselves."""
        return self._index

    def _search(self, vector_1D: NDArray[np.float32], options: SearchOptions, hits: ShardHits) -> None:
        selection, exact, keep = self._select(options), self._plan.exact(options), self._plan.depth(options)
        keys, scores, rows = self._candidates(vector_1D, options, selection, keep + len(options.exclude_ids))
        seen = len(rows)
        ids = self._ids.take(pa.array(rows)).to_pylist()
        if options.exclude_ids:
            inside = [position for position, name in enumerate(ids) if name not in options.exclude_ids]
            precise = keys is scores
            ids, scores, rows = [ids[position] for position in inside], scores[inside], rows[inside]
            keys = scores if precise else keys[inside]
        order = best(keys, ids, keep)
        if keys is not scores:
            order = order[best(scores[order], [ids[position] for position in order], keep)]
        hits.ids.append([ids[position] for position in order])
        hits.rows.append(rows[order])
        hits.scores.append(scores[order])
        hits.langs.append([self._langs[number] for number in np.searchsorted(self._ends, rows[order], side="right").tolist()])
        hits.keys.append(keys[order])
        hits.depths.append(keep)
        hits.unseen.append(0 if exact else max(0, selection.count - seen))

    def _candidates(
        self, vector_1D: NDArray[np.float32], options: SearchOptions, selection: _Selection, wanted: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Keys, scores and rows of the best `wanted` by key, and of all whose key may equal the last one's."""
        if selection.count == 0:
            return np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, np.int64)
        precise = self.manifest.lossless or self._plan.exact(options)
        # Sums in another order differ by less than this: FAISS adds at least 8 lanes up separately.
        slack = (self.manifest.dimension / 4 + 16) * 2.0**-24 * float(np.linalg.norm(vector_1D)) if precise else 0.0
        find = self._finder(vector_1D, options, selection)
        size = min(selection.count, wanted + 16 + wanted // 8)
        while True:
            near, rows = find(size)
            scores = self._scores(vector_1D, rows)
            keys = scores if precise else near
            if len(rows) < size or size == selection.count:
                break
            if near[-1] < np.partition(keys, len(keys) - wanted)[len(keys) - wanted] - slack:
                break
            size = min(selection.count, 2 * size)  # FAISS cuts ties anyhow
        return keys, scores, rows

    def _finder(
        self, vector_1D: NDArray[np.float32], options: SearchOptions, selection: _Selection
    ) -> Callable[[int], ScoredRows]:
        """What finds the best so many candidates."""
        if self._index is None or self._plan.exact(options):
            return lambda size: _plain(self._vectors, vector_1D, size, faiss.SearchParameters(sel=selection.selector))
        inner, inside = self._inner, vector_1D
        for rotation in self._rotations:
            inside = rotation.apply(inside)
        if self.manifest.kind == "ivf":
            lists, scores = self._plan.probes(self._quantizer, inside, options)
            return lambda size: _in_lists(inner, inside, size, lists, scores, selection.selector)
        if self.manifest.kind == "hnsw":
            ef = self._plan.ef(options)
            return lambda size: _plain(
                inner, inside, size, faiss.SearchParametersHNSW(sel=selection.selector, efSearch=max(ef, size))
            )
        selector = selection.selector
        return lambda size: _plain(inner, inside, size, None if selector is None else faiss.SearchParameters(sel=selector))

    def _scores(self, vector_1D: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products with the stored vectors of rows; the same bits whatever else is asked for."""
        near = np.ascontiguousarray(self._stored_ND[rows], dtype=np.float32)
        scores, positions = np.empty(len(rows), np.float32), np.arange(len(rows), dtype=np.int64)
        if len(rows):
            arrays = [faiss.swig_ptr(array) for array in (scores, vector_1D, near, positions)]
            faiss.fvec_inner_products_by_idx(*arrays, self.manifest.dimension, 1, len(rows))
        return scores

    @cachedmethod(attrgetter("_selections"), key=_asked_rows, lock=attrgetter("_lock"))
    def _select(self, options: SearchOptions) -> _Selection:
        """The rows in question; those of the last few languages and filters are remembered."""
        count = self.entry.count
        if options.languages is None and options.filter is None and self.deleted_N is None:
            return _Selection(count, None)
        ranges = [self.entry.languages[code] for code in set(options.languages or self._langs) & set(self._langs)]
        if len(ranges) == 1 and options.filter is None and self.deleted_N is None:
            (start, end) = ranges[0]
            return _Selection(end - start, faiss.IDSelectorRange(start, end))
        fits = np.zeros(count, dtype=bool)
        for start, end in ranges:
            fits[start:end] = True
        if options.filter is not None:
            fits &= matching(options.filter, self._table)
        if self.deleted_N is not None:
            fits &= ~self.deleted_N
        bits = np.packbits(fits, bitorder="little")
        return _Selection(int(fits.sum()), faiss.IDSelectorBitmap(bits), bits)


def _plain(index: Any, vector_1D: NDArray[np.float32], size: int, parameters: Any) -> ScoredRows:
    scores, rows = index.search(vector_1D, size, params=parameters)
    return _real(scores[0], rows[0])


def _in_lists(
    ivf: Any,
    vector_1D: NDArray[np.float32],
    size: int,
    lists: NDArray[np.int64],
    centroid_scores: NDArray[np.float32],
    selector: Any,
) -> ScoredRows:
    scores, rows = np.empty((1, size), np.float32), np.empty((1, size), np.int64)
    if lists.size == 0:
        return scores[0, :0], rows[0, :0]
    parameters = faiss.SearchParametersIVF(sel=selector, nprobe=lists.shape[1])
    arrays = [faiss.swig_ptr(array) for array in (lists, centroid_scores, scores, rows)]
    ivf.search_preassigned_c(1, faiss.swig_ptr(vector_1D), size, *arrays, False, parameters)
    return _real(scores[0], rows[0])


def _real(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> ScoredRows:
    """Without the places that FAISS had nothing for."""
    real = rows >= 0
    return (scores, rows) if real.all() else (scores[real], rows[real])


def _stored_as(dtype: str) -> Any:
    return faiss.IndexScalarQuantizer if dtype == "float16" else faiss.IndexFlat


def _check(path: Path, index: Any, manifest: IndexManifest, count: int) -> None:
    ivf = inner_ivf(index)
    if (
        index.d != manifest.dimension
        or index.ntotal != count
        or index.metric_type != faiss.METRIC_INNER_PRODUCT
        or not index.is_trained
        or (ivf is not None and (ivf.nlist != manifest.nlist or unwrapped(index).ntotal != count))
    ):
        raise CorruptError(
            f"{path} does not fit the manifest: {index.ntotal} vectors of {index.d} numbers; build the index again"
        )
