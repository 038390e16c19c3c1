"""SQuAD's form (Rajpurkar et al. 2016), in translations that keep the question ids: MLQA's translate-train, for one."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from xlret.config import PathSetting, Settings
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings
from xlret.errors import DataError, UserError
from xlret.text.languages import language


class SquadFile(Settings):
    """One translation."""

    path: PathSetting
    lang: str

    @field_validator("lang")
    @classmethod
    def _known(cls, code: str) -> str:
        return language(code)


class SquadSource(SourceSettings):
    """SQuAD JSON files, one for each language: a question and its paragraph are a pair, equal ids are translations."""

    format: Literal["squad"]
    files: tuple[SquadFile, ...] = Field(min_length=1)

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """A row for each question; a file is held in memory while it is read.

        Raises:
            DataError: a file is not in SQuAD's form.
        """
        for file in self.files:
            for article in _articles(file):
                for paragraph in _list(file, article, "paragraphs"):
                    for question in _list(file, paragraph, "qas"):
                        given_id, text, context = question.get("id"), question.get("question"), paragraph.get("context")
                        where = f"{file.path}: question {given_id!r}"
                        if given_id is None or text is None or context is None:
                            report.bad(where, "no id, question or context")
                        else:
                            title = str(article.get("title") or "").replace("_", " ")
                            yield Row(str(given_id), file.lang, text, title, context, None, where)


def _articles(file: SquadFile) -> list[dict[str, Any]]:
    try:
        whole = json.loads(file.path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {file.path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{file.path}: not JSON: {error}") from error
    return _list(file, whole, "data")


def _list(file: SquadFile, value: object, key: str) -> list[dict[str, Any]]:
    entries = value.get(key) if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{file.path}: not in SQuAD's form: no list {key!r} where a list belongs")
    return entries
