"""MIRACL (Zhang et al. 2023): native queries and judged Wikipedia passages within each of 18 languages."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from xlret.config import PathSetting
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import HubSource, wanted
from xlret.data.sources.pairs import judged_rows, relevant_pairs
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import json_texts, tsv_texts
from xlret.errors import UserError


class MiraclSource(HubSource):
    """The folders of `miracl/miracl` (topics, qrels) and `miracl/miracl-corpus` (passages), one below each for a language."""

    format: Literal["miracl"]
    path: PathSetting | None = None
    """Holds `miracl-v1.0-LANG/topics` and `/qrels`; or else `hub`, such as miracl/miracl."""
    corpus: PathSetting | None = None
    """Holds `miracl-corpus-v1.0-LANG/docs-N.jsonl.gz`; with `hub` they are those of NAME-corpus."""
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
        questions, corpus = self._folders(report)
        available = {path.name.removeprefix(start) for path in questions.glob(f"{start}*") if path.is_dir()}
        for lang in wanted(available, self.languages, self.exclude, questions):
            name = f"{start}{lang}-{self.split}.tsv"
            folder = questions / f"{start}{lang}"
            qrels = folder / "qrels" / f"qrels.{name}"
            parts = sorted((corpus / f"miracl-corpus-v1.0-{lang}").glob("docs-*.jsonl*"))
            if not parts:
                raise UserError(f"no passages for {lang}: {corpus}/miracl-corpus-v1.0-{lang}/docs-*.jsonl.gz")
            relevant = relevant_pairs(read_qrels(qrels, report), qrels)
            passages = (text for part in parts for text in json_texts(part, report))
            queries = tsv_texts(folder / "topics" / f"topics.{name}", report)
            for row in judged_rows(relevant, queries, passages, lang, lang, qrels, report):
                yield replace(row, group_id=f"miracl/{lang}/{row.group_id}")

    @model_validator(mode="after")
    def _folders_or_hub(self) -> "MiraclSource":
        if (self.hub is None) == (self.path is None or self.corpus is None):
            raise ValueError("give either path and corpus, or hub")
        if self.hub_revision is not None:
            raise ValueError("hub is two repositories here, and hub_revision can name a commit of one alone")
        return self

    def _folders(self, report: ReadingReport) -> tuple[Path, Path]:
        """Where the questions are, and the passages."""
        if self.path is not None and self.corpus is not None:
            return self.path, self.corpus
        assert self.hub is not None, "folders or the hub"
        langs = ("*",) if self.languages is None else self.languages
        questions = self.fetched(self.hub, [f"miracl-v1.0-{lang}/*/*-{self.split}.tsv" for lang in langs], report)
        return questions, self.fetched(f"{self.hub}-corpus", [f"miracl-corpus-v1.0-{lang}/*" for lang in langs], report)
