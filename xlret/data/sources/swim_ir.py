"""SWIM-IR (Thakur et al. 2024): synthetic queries in 33 languages for Wikipedia passages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from xlret.config import PathSetting
from xlret.data.read import read_records
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import HubSource
from xlret.text.languages import LanguageCodes


class SwimIrSource(HubSource):
    """Files with records `_id, title, text, query, lang, code`, one or more for each language.

    In the cross-lingual parts the query is in `code` and the passage is English; in the monolingual part both are in `code`.
    Records of different languages are different pairs, even where they share a passage.
    """

    format: Literal["swim_ir"]
    files: tuple[PathSetting, ...] = ()
    """JSON lines or Parquet as published; or else `hub`."""
    languages: LanguageCodes | None = None
    """With `hub`: only the folders of these languages."""
    part: Literal["cross_lingual", "monolingual"]
    """Which of the two data sets the files are of."""
    source: str = "SWIM-IR, https://huggingface.co/datasets/nthakur/swim-ir-cross-lingual and swim-ir-monolingual"
    licence: str = "CC BY-SA 4.0"

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """The rows of each record: one, or one for the query and one for its English passage."""
        for path in self.files if self.hub is None else self._from_hub(self.hub, report):
            for where, record in read_records(path, report):
                values: list[Any] = [record.get(name) for name in ("_id", "code", "query", "text")]
                if None in values:
                    report.bad(where, f"no _id, code, query or text; found: {', '.join(record)}")
                    continue
                given_id, code, query, text = values
                group_id = f"swim-ir/{self.part}/{code}/{given_id}"
                passage_lang = code if self.part == "monolingual" or code == "en" else "en"
                if passage_lang == code:
                    yield Row(group_id, code, query, record.get("title"), text, None, where)
                else:
                    yield Row(group_id, code, query, None, None, None, where)
                    yield Row(group_id, passage_lang, None, record.get("title"), text, None, where)

    @model_validator(mode="after")
    def _files_or_hub(self) -> "SwimIrSource":
        if bool(self.files) == (self.hub is not None):
            raise ValueError("give either files or hub")
        if self.languages is not None and self.hub is None:
            raise ValueError("languages choose the folders of hub; list the files of the languages instead")
        return self

    def _from_hub(self, name: str, report: ReadingReport) -> list[Path]:
        folders = ["*"] if self.languages is None else self.languages
        return sorted(self.fetched(name, [f"{folder}/*.parquet" for folder in folders], report).glob("*/*.parquet"))
