"""TREC's layout: topics, passages and qrels in files of their own; each relevant pair becomes a group."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from xlret.config import PathSetting
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.judged_settings import JudgedSettings
from xlret.data.sources.pairs import judged_rows, relevant_pairs
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import texts_of
from xlret.data.sources.topics import topics


class TrecSource(JudgedSettings):
    """TREC topics and qrels, with passages as records (`docid`, `title`, `text`) or lines `id TAB text`."""

    format: Literal["trec"]
    topics: PathSetting
    """SGML `<top>` blocks, XML `<topic>` elements, records, or lines `id TAB text`."""
    qrels: PathSetting
    """Judgements."""
    passages: tuple[PathSetting, ...] = Field(min_length=1)
    """Files of passages."""

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair."""
        relevant = relevant_pairs(read_qrels(self.qrels, report), self.qrels, self.at_least)
        passages = (text for path in self.passages for text in texts_of(path, report))
        queries, passage_lang = topics(self.topics, report), self.passage_lang or self.lang
        yield from judged_rows(relevant, queries, passages, self.lang, passage_lang, self.qrels, report)
