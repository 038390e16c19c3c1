"""MS MARCO's layout (Bajaj et al. 2016), in translations that keep the ids: each relevant pair becomes a group."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator

from xlret.config import PathSetting, Settings
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings
from xlret.data.sources.pairs import judged_rows, relevant_pairs
from xlret.data.sources.qrels import are_triples, read_qrels
from xlret.data.sources.texts import tsv_texts
from xlret.text.languages import language


class Translation(Settings):
    """One language of an MS MARCO collection."""

    lang: str
    """Its language."""
    queries: PathSetting
    """`id TAB text`, a query a line."""
    collection: PathSetting
    """`id TAB text`, a passage a line."""

    @field_validator("lang")
    @classmethod
    def _known(cls, code: str) -> str:
        return language(code)


class MsMarcoSource(SourceSettings):
    """MS MARCO's form: `collection.tsv` and `queries.tsv` (`id TAB text`) in some languages, and qrels or triples of ids."""

    format: Literal["msmarco"]
    qrels: PathSetting
    """Judgements or triples of ids."""
    triples: bool | None = None
    """Whether `qrels` holds triples of ids (query, relevant, not relevant); by default where its name says `triples`."""
    translations: tuple[Translation, ...] = Field(min_length=1)
    """The languages, each with its files."""

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair, in every language."""
        triples = are_triples(self.qrels) if self.triples is None else self.triples
        relevant = relevant_pairs(read_qrels(self.qrels, report, triples=triples), self.qrels)
        for translation in self.translations:
            queries, passages = tsv_texts(translation.queries, report), tsv_texts(translation.collection, report)
            lang = translation.lang
            yield from judged_rows(relevant, queries, passages, lang, lang, self.qrels, report)
