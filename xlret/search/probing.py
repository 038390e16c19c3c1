"""How a query is searched: exactly or not, and which lists. Decided from the whole index, never from what one shard holds,
so that the answer is the same however the passages are spread over shards."""

import math
import threading
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cachetools import LRUCache, cachedmethod
from cachetools.keys import methodkey
from numpy.typing import NDArray

from xlret.artifacts import open_table
from xlret.errors import CorruptError
from xlret.search.filters import Filter, matching
from xlret.search.manifest import LISTS, REMEDY, SAMPLE, IndexManifest
from xlret.search.mapped import MappedFiles
from xlret.search.query import SearchOptions

_MOST_TIMES = 16
_ROWS_PER_HIT = 2
_REMEMBERED = 256


class ProbingPlan:
    """What is known of a whole index: passages per language and list, and a sample of the metadata."""

    def __init__(
        self, manifest: IndexManifest, lists_LN: NDArray[np.int32] | None, sample: pa.Table | None, mapped: MappedFiles
    ) -> None:
        self.manifest = manifest
        self.languages = list(manifest.languages)
        self._lists_LN = lists_LN
        self._sample = sample
        self.mapped = mapped
        """The files behind both."""
        self._remembered: LRUCache[Any, Any] = LRUCache(_REMEMBERED)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, version_dir: Path, manifest: IndexManifest) -> "ProbingPlan":
        """Reads the files of a version that are about the whole index; they are checked already."""
        lists, sample = None, None
        if manifest.kind == "ivf":
            try:
                lists = np.load(version_dir / LISTS, mmap_mode="r", allow_pickle=False)
            except (ValueError, OSError, EOFError) as error:
                raise CorruptError(f"{version_dir / LISTS} is damaged: {error!s:.200}; build the index again") from error
            if lists.shape != (len(manifest.languages), manifest.nlist) or lists.dtype != np.int32:
                raise CorruptError(f"{version_dir / LISTS} is foreign: shape {list(lists.shape)}; build the index again")
        if "sample" in manifest.files:
            sample = open_table(version_dir / SAMPLE, REMEDY)
        files = [(file.file, file) for file in manifest.files.values() if file.file in (LISTS, SAMPLE)]
        return cls(manifest, lists, sample, MappedFiles(version_dir, files))

    def eligible(self, options: SearchOptions) -> float:
        """About how many passages of the whole index the languages and the filter let through."""
        return self._eligible(options.languages, options.filter)

    def exact(self, options: SearchOptions) -> bool:
        """Whether all passages in question are compared, not only likely ones."""
        manifest = self.manifest
        if options.exact or (manifest.kind == "flat" and manifest.lossless):
            return True
        restricted = options.languages is not None or options.filter is not None
        if (
            manifest.kind == "flat"
            and "PQ" in manifest.factory
            and (restricted or any(shard.deleted for shard in manifest.shards))
        ):
            return True  # FAISS scans flat PQ codes all or none
        return restricted and self.eligible(options) <= manifest.exact_rows

    def depth(self, options: SearchOptions) -> int:
        """How many candidates by code are compared by their vectors, over all shards."""
        return options.top_k * (1 if self.exact(options) else self.manifest.refine)

    def ef(self, options: SearchOptions) -> int:
        """Candidates that an HNSW index keeps; more where few passages come into question."""
        return math.ceil((options.ef or self.manifest.default_dial) * self._times(options))

    def probes(
        self, quantizer: Any, vector_1D: NDArray[np.float32], options: SearchOptions
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The lists to look into, nearest first, and their centroids' scores, both [1, P].

        As many lists that hold a passage in one of the languages as nprobe says, more where a filter leaves few passages
        in each, and at least so many that `top_k` hits are to be expected.
        """
        nlist = self.manifest.nlist or 1
        counts_N = self._counts(options.languages)
        wanted = min(nlist, math.ceil((options.nprobe or self.manifest.default_dial) * self._times(options)))
        of_languages = max(1, int(counts_N.sum()))
        share = min(1.0, max(self.eligible(options), 1.0) / of_languages) if options.filter is not None else 1.0
        rows = _ROWS_PER_HIT * (options.top_k + len(options.exclude_ids)) / share
        look = min(nlist, max(64, 2 * wanted))
        while True:
            scores, lists = quantizer.search(vector_1D, look)
            inside = lists[0] >= 0
            counts = np.where(inside, counts_N[lists[0]], 0)
            enough = (np.cumsum(counts > 0) >= wanted) & (np.cumsum(counts) >= rows)
            if enough.any() or look == nlist:
                break
            look = min(nlist, 4 * look)
        end = int(np.argmax(enough)) + 1 if enough.any() else look
        kept = np.flatnonzero(counts[:end] > 0)
        return np.ascontiguousarray(lists[:, kept]), np.ascontiguousarray(scores[:, kept])

    def _times(self, options: SearchOptions) -> float:
        """How much harder to look where only a share of the passages counts."""
        share = max(self.eligible(options), 1.0) / max(1, self.manifest.count)
        return min(float(_MOST_TIMES), 1 / math.sqrt(min(1.0, share)))

    @cachedmethod(attrgetter("_remembered"), key=partial(methodkey, method="eligible"), lock=attrgetter("_lock"))
    def _eligible(self, languages: tuple[str, ...] | None, filter: Filter | None) -> float:
        """The share of each language's sampled passages that fits, times the language's passages."""
        counts = self.manifest.languages
        wanted = list(counts) if languages is None else sorted(set(languages))
        if filter is None or self._sample is None:
            return float(sum(counts[code] for code in wanted))
        fits = matching(filter, self._sample)
        langs = np.array(self._sample.column("lang").to_pylist(), dtype=np.str_)
        return sum(counts[code] * float(fits[langs == code].mean()) for code in wanted if (langs == code).any())

    @cachedmethod(attrgetter("_remembered"), key=partial(methodkey, method="counts"), lock=attrgetter("_lock"))
    def _counts(self, languages: tuple[str, ...] | None) -> NDArray[np.int64]:
        assert self._lists_LN is not None
        rows = range(len(self.languages)) if languages is None else sorted({self.languages.index(code) for code in languages})
        counts: NDArray[np.int64] = self._lists_LN[list(rows)].sum(axis=0, dtype=np.int64)
        return counts
