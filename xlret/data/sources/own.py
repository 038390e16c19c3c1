"""The user's own rows: files with columns `group_id, lang, query, title, text` in any common form."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, field_validator

from xlret.config import PathSetting
from xlret.data.columns import RecordForm, RecordRows
from xlret.data.read import read_records
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings


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
        records = RecordRows()
        for file in self.files:
            for row in records.rows(read_records(file.path, report), file, str(file.path), report):
                if self.cluster_until and row.cluster is None and isinstance(row.group_id, str):
                    row = replace(row, cluster=row.group_id.split(self.cluster_until)[0])
                yield row
