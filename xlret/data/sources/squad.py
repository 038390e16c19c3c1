"""SQuAD's form (Rajpurkar et al. 2016), in translations that keep the question ids: MLQA's translate-train, for one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator

from xlret.config import PathSetting, Settings
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings
from xlret.errors import DataError, UserError
from xlret.text.languages import language


class SquadFile(Settings):
    """One translation."""

    path: PathSetting
    """A JSON file of SQuAD's form."""
    lang: str
    """Its language."""

    @field_validator("lang")
    @classmethod
    def _known(cls, code: str) -> str:
        return language(code)


class Question(NamedTuple):
    """A question with the paragraph that it was asked about."""

    where: str
    id: str
    text: str
    title: str
    """Of the article; may be empty."""
    context: str
    is_impossible: bool
    """SQuAD 2: the paragraph does not answer it."""


class SquadSource(SourceSettings):
    """SQuAD JSON files, one for each language: a question and its paragraph are a pair, equal ids are translations."""

    format: Literal["squad"]
    files: tuple[SquadFile, ...] = Field(min_length=1)
    """One for each language, with `path` and `lang`."""

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """A row for each question; a file is held in memory while it is read. Questions without an answer are noted, not used.

        Raises:
            DataError: a file is not in SQuAD's form.
        """
        for file in self.files:
            unanswerable = 0
            for question in squad_questions(file.path, report):
                if question.is_impossible:
                    unanswerable += 1
                else:
                    yield Row(question.id, file.lang, question.text, question.title, question.context, None, question.where)
            if unanswerable:
                report.note(f"{file.path}: {unanswerable:,} questions that their paragraph does not answer left out")


def squad_questions(path: Path, report: ReadingReport) -> Iterator[Question]:
    """The questions of a file, which is held in memory whole.

    Raises:
        DataError: it is not in SQuAD's form.
        UserError: it cannot be read.
    """
    for article in _list(path, _document(path), "data"):
        title = str(article.get("title") or "").replace("_", " ")
        for paragraph in _list(path, article, "paragraphs"):
            for question in _list(path, paragraph, "qas"):
                given_id, text, context = question.get("id"), question.get("question"), paragraph.get("context")
                where = f"{path}: question {given_id!r:.60}"
                if not isinstance(given_id, str | int) or not isinstance(text, str) or not isinstance(context, str):
                    report.bad(where, "no id, question or context")
                else:
                    yield Question(where, str(given_id), text, title, context, bool(question.get("is_impossible")))


def _document(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from error


def _list(path: Path, value: object, key: str) -> list[dict[str, Any]]:
    entries = value.get(key) if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{path}: not in SQuAD's form: no list {key!r} where a list belongs")
    return entries
