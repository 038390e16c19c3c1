"""ParallelCorpus: (query, passage) facts in as many languages as exist, read from disk a few rows at a time."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus_write import write_corpus
from xlret.data.manifest import GROUPS, HARD_NEGATIVES, CorpusManifest, read_manifest, side_file
from xlret.data.mapped import MappedTable
from xlret.data.pool import GroupPool
from xlret.data.rows import Row
from xlret.errors import UserError
from xlret.files import local
from xlret.shapes import IntArray
from xlret.text.sides import SIDES, Side

__all__ = ["CorpusManifest", "ParallelCorpus", "Row", "write_corpus"]

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
    def from_rows(
        cls,
        rows: Any,
        directory: Path | None = None,
        *,
        lang: str | None = None,
        passage_lang: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> "ParallelCorpus":
        """A corpus of rows in memory: mappings, `Row`s, a `datasets.Dataset`, a table of pyarrow, pandas or polars.

        Columns are `group_id`, `lang`, `query`, `title`, `text`; rows of equal `group_id` are one fact in several
        languages. `corpus_from_rows` has more options.

        Args:
            rows: read once.
            directory: where the corpus is kept; by default in a temporary directory that goes with the returned object.
            lang, passage_lang: languages of queries and passages where the rows do not say theirs.
            columns: our column -> what it is called in `rows`.

        Raises:
            UserError, DataError: as for files, with the number of the row.
        """
        from xlret.data.from_rows import corpus_from_rows

        return corpus_from_rows(rows, directory, lang=lang, passage_lang=passage_lang, columns=columns)

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> "ParallelCorpus":
        """Opens a corpus directory.

        Args:
            path: a directory written by `write_corpus`, or its URL.
            verify: read every file and compare its checksum (about 1 s per GB); sizes are always compared.

        Raises:
            UserError: there is no whole corpus at `path`.
            CorruptError: a file or the manifest is damaged; the message names it.
        """
        path = local(Path(path)).absolute()
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
            raise UserError(f"{self.path} holds no hard negatives; mine them first (xlret mine)")
        hard = np.full((len(groups), count), -1, dtype=np.int64)
        for row, negatives in enumerate(self._table(HARD_NEGATIVES).lists("negatives", groups)):
            hard[row, : len(negatives)] = negatives[:count]
        return hard

    def hard_negative_scores(self, groups: IntArray, count: int) -> NDArray[np.float32]:
        """What mined the hard negatives scored, [len(groups), 1 + count]: the group's own passage, then each negative.

        NaN where there are fewer negatives, and for the own passage where nothing scored it.

        Raises:
            UserError: the corpus holds no hard negatives, or an earlier xlret wrote them, without scores of positives.
        """
        if not self.has_hard_negatives:
            raise UserError(f"{self.path} holds no hard negatives; mine them first (xlret mine)")
        table = self._table(HARD_NEGATIVES)
        if "positive" not in table.columns:
            raise UserError(f"the hard negatives of {self.path} have no scores of positives; mine them again (xlret mine)")
        scores = np.full((len(groups), 1 + count), np.nan, dtype=np.float32)
        lists = zip(table.lists("positive", groups), table.lists("scores", groups), strict=True)
        for row, (positive, negatives) in enumerate(lists):
            scores[row, : len(positive)] = positive
            scores[row, 1 : 1 + min(count, len(negatives))] = negatives[:count]
        return scores

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
