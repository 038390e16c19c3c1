"""ParallelCorpus: (query, passage) facts in as many languages as exist, read from disk a few rows at a time."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus_write import fill_corpus, write_corpus
from xlret.data.manifest import GROUPS, HARD_NEGATIVES, CorpusManifest, read_manifest, side_file
from xlret.data.mapped import MappedTable
from xlret.data.pool import GroupPool
from xlret.data.rows import ReadingReport, Row
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.keys import generator
from xlret.shapes import IntArray
from xlret.text.sides import SIDES, Side

__all__ = ["CorpusManifest", "ParallelCorpus", "Row", "Side", "split_corpus", "write_corpus"]

_KEPT_BYTES = 64 << 20
"""Corpora up to this size may stay in memory."""
_ROWS_AT_ONCE = 1024


class ParallelCorpus:
    """A prepared corpus on disk. Groups are numbered 0 to n_groups - 1, those with the same languages side by side.

    Opening reads the manifest alone (and every file once for its checksum); a file is mapped when first asked for.
    Rows cost a few microseconds each, and resident memory does not grow with the corpus or with what was read of it.
    Use `open`.
    """

    def __init__(self, path: Path, manifest: CorpusManifest) -> None:
        self.path = path
        self.manifest = manifest
        self.fingerprint: str = manifest.fingerprint
        self.n_groups: int = manifest.n_groups
        self._sides: dict[tuple[str, str], GroupPool] = {(entry.side, entry.lang): entry.pool() for entry in manifest.sides}
        self.query_languages: tuple[str, ...] = tuple(sorted(lang for side, lang in self._sides if side == "query"))
        self.passage_languages: tuple[str, ...] = tuple(sorted(lang for side, lang in self._sides if side == "passage"))
        self.languages: tuple[str, ...] = tuple(sorted({*self.query_languages, *self.passage_languages}))
        self.has_hard_negatives: bool = HARD_NEGATIVES in manifest.files
        self._pairs: dict[tuple[str, str], GroupPool] = {}
        self._tables: dict[str, MappedTable] = {}
        self._keep_pages = sum(entry.size for entry in manifest.files.values()) <= _KEPT_BYTES

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> "ParallelCorpus":
        """Opens a corpus directory.

        Args:
            path: a directory written by `write_corpus`.
            verify: read every file and compare its checksum (about 1 s per GB); sizes are always compared.

        Raises:
            UserError: there is no whole corpus at `path`.
            CorruptError: a file or the manifest is damaged; the message names it.
        """
        path = Path(path).absolute()
        return cls(path, read_manifest(path, verify=verify))

    def __repr__(self) -> str:
        return f"ParallelCorpus({self.path}, {self.n_groups} groups, {len(self.languages)} languages)"

    def side(self, side: Side, lang: str) -> GroupPool:
        """The groups that have a query (or passage) in a language; empty if none."""
        return self._sides.get((side, lang)) or GroupPool.empty()

    def pool(self, query_lang: str, passage_lang: str) -> GroupPool:
        """The groups that have a query in one language and a passage in the other; computed once."""
        pair = (query_lang, passage_lang)
        if pair not in self._pairs:
            self._pairs[pair] = self.side("query", query_lang) & self.side("passage", passage_lang)
        return self._pairs[pair]

    def queries(self, lang: str, groups: IntArray) -> list[str]:
        """The queries of these groups in one language, in their order.

        Raises:
            UserError: a group has none.
        """
        return self._texts("query", lang, groups)

    def passages(self, lang: str, groups: IntArray) -> list[str]:
        """The passages (title and text joined by one space) of these groups in one language, in their order.

        Raises:
            UserError: a group has none.
        """
        return self._texts("passage", lang, groups)

    def group_ids(self, groups: IntArray) -> list[str]:
        """The user's ids of these groups."""
        return self._table(GROUPS).texts("group_id", groups)

    def clusters(self, groups: IntArray) -> IntArray:
        """The cluster of each group; groups of equal cluster answer each other's queries and are no negatives of each other.

        Groups are joined where their queries, or their passages, are equal in some language (after NFC, white space
        aside) or where the user's cluster column says so; transitively. A cluster is called by its smallest group.
        """
        return self._table(GROUPS).integers("cluster", groups)

    def hard_negatives(self, groups: IntArray, count: int) -> IntArray:
        """Hard negatives of each group as group ordinals, best first, shape [len(groups), count], -1 where there are fewer.

        Raises:
            UserError: the corpus holds none.
        """
        if not self.has_hard_negatives:
            raise UserError(f"{self.path} holds no hard negatives; mine them first")
        hard = np.full((len(groups), count), -1, dtype=np.int64)
        for row, negatives in enumerate(self._table(HARD_NEGATIVES).lists("negatives", groups)):
            hard[row, : len(negatives)] = negatives[:count]
        return hard

    def rows(self, groups: IntArray) -> Iterator[Row]:
        """Everything the corpus holds of these groups, language by language; titles are part of the texts."""
        for lang in self.languages:
            for start in range(0, len(groups), _ROWS_AT_ONCE):
                part = np.asarray(groups[start : start + _ROWS_AT_ONCE])
                ids, clusters = self.group_ids(part), self.clusters(part).tolist()
                texts: list[dict[int, str]] = []
                for side in SIDES:
                    have = np.flatnonzero(self.side(side, lang).rank_of(part) >= 0)
                    texts.append(dict(zip(have.tolist(), self._texts(side, lang, part[have]), strict=True)))
                for row, group_id in enumerate(ids):
                    if row in texts[0] or row in texts[1]:
                        yield Row(group_id, lang, texts[0].get(row), None, texts[1].get(row), str(clusters[row]))

    def _texts(self, side: Side, lang: str, groups: IntArray) -> list[str]:
        groups = np.asarray(groups, dtype=np.int64)
        if not groups.size:
            return []
        rows = self.side(side, lang).rank_of(groups)
        if rows.min() < 0:
            missing = groups[rows < 0][:1]
            if not 0 <= missing[0] < self.n_groups:
                raise UserError(f"{self.path} has no group {missing[0]}; its groups are 0 to {self.n_groups - 1}")
            raise UserError(f"{self.path}: group {self.group_ids(missing)[0]!r} has no {side} in {lang}")
        return self._table(side_file(side, lang)).texts("text", rows)

    def _table(self, name: str) -> MappedTable:
        if name not in self._tables:
            self._tables[name] = MappedTable(self.path / name, keep_pages=self._keep_pages)
        return self._tables[name]


def split_corpus(
    corpus: ParallelCorpus, path_train: Path, path_dev: Path, dev: int, seed: int, replace: bool = False
) -> tuple[CorpusManifest, CorpusManifest]:
    """Writes a corpus as two: about `dev` held-out groups, and the rest. Never part of a cluster on either side.

    Clusters are drawn in an order that depends on `seed` alone, and taken while they fit into `dev` groups.

    Raises:
        UserError: `dev` leaves nothing to train on or no cluster is that small, hard negatives (mine them after
            splitting), or one of the paths exists and `replace` is false.
    """
    if corpus.has_hard_negatives:
        raise UserError(f"{corpus.path} holds hard negatives, which a split would break; split first, then mine")
    held_out = held_out_groups(corpus.clusters(np.arange(corpus.n_groups)), dev, seed)
    if not held_out.any() or held_out.all():
        raise UserError(
            f"cannot hold out {dev} of {corpus.n_groups} groups in {corpus.manifest.n_clusters} clusters of {corpus.path}; "
            "allowed is at least the smallest cluster and less than all groups"
        )
    origin, manifests = corpus.manifest, []
    with ExitStack() as directories:
        for path, chosen in ((path_train, ~held_out), (path_dev, held_out)):
            fresh = directories.enter_context(directory_beside(path, replace=replace))
            part = "dev" if path is path_dev else "train"
            made_by = f"{origin.made_by}; {part} part of a split with dev {dev}, seed {seed}"
            rows = corpus.rows(np.flatnonzero(chosen))
            manifests.append(fill_corpus(fresh, rows, ReadingReport(), origin.source, origin.licence, origin.revision, made_by))
    return manifests[0], manifests[1]


def held_out_groups(clusters: IntArray, dev: int, seed: int) -> NDArray[np.bool_]:
    """Which groups are held out: whole clusters, drawn in an order of `seed`, taken while they fit into `dev` groups.

    >>> held_out_groups(np.array([0, 0, 0, 3, 4]), 2, seed=1).tolist()
    [False, False, False, True, True]
    """
    _, cluster, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    taken = np.zeros(len(sizes), dtype=np.bool_)
    for number in generator(seed, "dev split").permutation(len(sizes)):
        if sizes[number] <= dev:
            taken[number] = True
            dev -= int(sizes[number])
    held_out: NDArray[np.bool_] = taken[cluster]
    return held_out
