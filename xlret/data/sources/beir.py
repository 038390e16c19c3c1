"""BEIR's layout (Thakur et al. 2021): each relevant (query, passage) pair becomes a group."""

from collections.abc import Iterator
from typing import Literal

from xlret.config import PathSetting
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.judged_settings import JudgedSettings
from xlret.data.sources.pairs import judged_rows, relevant_pairs
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import either, json_texts


class BeirSource(JudgedSettings):
    """A BEIR folder: `corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv` (each may end in .gz)."""

    format: Literal["beir"]
    path: PathSetting
    """The folder."""
    split: str = "train"
    """Which file of `qrels/`."""

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair of the split."""
        qrels = either(self.path / "qrels" / f"{self.split}.tsv")
        relevant = relevant_pairs(read_qrels(qrels, report), qrels, self.at_least)
        queries, passages = (json_texts(either(self.path / f"{name}.jsonl"), report) for name in ("queries", "corpus"))
        yield from judged_rows(relevant, queries, passages, self.lang, self.passage_lang or self.lang, qrels, report)
