"""AfriQA (Ogundepo et al. 2023): questions in African languages, answered by English or French passages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from xlret.config import PathSetting
from xlret.data.read import read_records
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings, wanted
from xlret.errors import UserError
from xlret.text.languages import language

_START = "gold_span_passages.afriqa."


class AfriqaSource(SourceSettings):
    """The gold passages: files `gold_span_passages.afriqa.LANG.PIVOT.SPLIT.json` with one record a line.

    A group has the question in its own language and, as people translated it, in that of the passage. The test split is for
    evaluation and is not read. Questions without a passage, which the data set has, are left out and counted in a note.
    """

    format: Literal["afriqa"]
    path: PathSetting
    """Directory of its files."""
    splits: tuple[Literal["train", "dev"], ...] = ("train",)
    """Which parts."""
    languages: tuple[str, ...] | None = None
    """Only these; all that are there by default."""
    exclude: tuple[str, ...] = ()
    """All but these."""
    source: str = "AfriQA gold passages, https://github.com/masakhane-io/afriqa"
    licence: str = "CC BY 4.0"

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """Two rows for each question.

        Raises:
            UserError: no such folder or language.
        """
        files: dict[str, list[tuple[Path, str]]] = {}
        for path in sorted(self.path.glob(f"{_START}*.json")):
            lang, pivot, split = path.name.removeprefix(_START).split(".")[:3]
            if split in self.splits:
                files.setdefault(language(lang), []).append((path, pivot))
        if not files:
            raise UserError(f"no {_START}LANG.PIVOT.SPLIT.json of the splits {', '.join(self.splits)} in {self.path}")
        for lang in wanted(files, self.languages, self.exclude, self.path):
            for path, pivot in files[lang]:
                yield from _rows_of(path, lang, pivot, report)


def _rows_of(path: Path, lang: str, pivot: str, report: ReadingReport) -> Iterator[Row]:
    without = 0
    for where, record in read_records(path, report):
        if record.get("question_lang") is None or record.get("id") is None:
            report.bad(where, f"no id or question_lang; found: {', '.join(record)}")
        elif not record.get("context"):
            without += 1
        else:
            group_id = f"afriqa/{path.name.removeprefix(_START).removesuffix('.json')}/{record['id']}"
            yield Row(group_id, lang, record["question_lang"], None, None, None, where)
            yield Row(group_id, pivot, record.get("question_translated"), record.get("title"), record["context"], None, where)
    if without:
        report.note(f"{path}: {without} questions without a passage left out")
