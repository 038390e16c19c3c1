"""The user's own rows: files with columns `group_id, lang, query, title, text` in any common form."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from pydantic import Field, field_validator

from xlret.calls import Calls
from xlret.config import PathSetting
from xlret.data.columns import RecordForm, RecordRows
from xlret.data.read import Slice, read_records, slices_of
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import Part, SourceSettings


class OwnFile(RecordForm):
    """One file, and what it does not say itself."""

    path: PathSetting
    """JSON lines, CSV, TSV or Parquet, perhaps gzipped."""


class OwnSource(SourceSettings):
    """Rows of files in the user's own form; rows of one group may come from several files (queries here, passages there)."""

    format: Literal["rows"]
    files: tuple[OwnFile, ...] = Field(min_length=1)
    """Paths, or mappings with `path`, `lang`, `passage_lang`, `columns`."""
    cluster_until: str | None = Field(None, min_length=1)
    """Groups whose ids are equal up to this (`#`: the same page) make one cluster."""

    @field_validator("files", mode="before")
    @classmethod
    def _paths(cls, files: Any) -> Any:
        if not isinstance(files, list | tuple):
            return files
        return [{"path": file} if isinstance(file, str) else file for file in files]

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """All rows, file by file.

        Raises:
            DataError: the first record of a file lacks a column that is needed.
        """
        return self._rows([(file, None) for file in self.files], report)

    def parts(self, report: ReadingReport, calls: Calls) -> list[Part]:
        """The files, large ones of JSON lines in slices. With `passage_lang` there is one part: all records decide whether a
        passage came before.

        Raises:
            UserError: a file cannot be opened.
        """
        if any(file.passage_lang is not None for file in self.files):
            return [self.rows]
        return [partial(self._rows, [(file, part)]) for file in self.files for part in slices_of(file.path, calls)]

    def _rows(self, pieces: Sequence[tuple[OwnFile, Slice | None]], report: ReadingReport) -> Iterator[Row]:
        records = RecordRows()
        for file, part in pieces:
            read, check_first = read_records(file.path, report, part), part is None or part.start == 0
            for row in records.rows(read, file, str(file.path), report, check_first=check_first):
                if self.cluster_until and row.cluster is None and isinstance(row.group_id, str):
                    row = replace(row, cluster=row.group_id.split(self.cluster_until)[0])
                yield row
