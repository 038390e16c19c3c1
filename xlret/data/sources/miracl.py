"""MIRACL (Zhang et al. 2023): native queries and judged Wikipedia passages within each of 18 languages."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from xlret.config import PathSetting
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings, wanted
from xlret.data.sources.pairs import judged_rows, relevant_pairs
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import json_texts, tsv_texts
from xlret.errors import UserError


class MiraclSource(SourceSettings):
    """The folders of `miracl/miracl` (topics, qrels) and `miracl/miracl-corpus` (passages), one below each for a language."""

    format: Literal["miracl"]
    path: PathSetting
    """Holds `miracl-v1.0-LANG/topics` and `/qrels`."""
    corpus: PathSetting
    """Holds `miracl-corpus-v1.0-LANG/docs-N.jsonl.gz`."""
    split: Literal["train"] = "train"
    """The dev split is for evaluation."""
    languages: tuple[str, ...] | None = None
    """Only these; all that are there by default."""
    exclude: tuple[str, ...] = ()
    """All but these."""
    source: str = "MIRACL v1.0, https://huggingface.co/datasets/miracl/miracl"
    licence: str = "Apache 2.0"

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair; languages share none, since their queries and passages were written apart.

        Raises:
            UserError: a language that is asked for is not there, or its passages are not.
        """
        start = "miracl-v1.0-"
        available = {path.name.removeprefix(start) for path in self.path.glob(f"{start}*") if path.is_dir()}
        for lang in wanted(available, self.languages, self.exclude, self.path):
            name = f"{start}{lang}-{self.split}.tsv"
            folder = self.path / f"{start}{lang}"
            qrels = folder / "qrels" / f"qrels.{name}"
            parts = sorted((self.corpus / f"miracl-corpus-v1.0-{lang}").glob("docs-*.jsonl*"))
            if not parts:
                raise UserError(f"no passages for {lang}: {self.corpus}/miracl-corpus-v1.0-{lang}/docs-*.jsonl.gz")
            relevant = relevant_pairs(read_qrels(qrels, report), qrels)
            passages = (text for part in parts for text in json_texts(part, report))
            queries = tsv_texts(folder / "topics" / f"topics.{name}", report)
            for row in judged_rows(relevant, queries, passages, lang, lang, qrels, report):
                yield replace(row, group_id=f"miracl/{lang}/{row.group_id}")
