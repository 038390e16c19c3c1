"""What every source of rows has: where the data comes from, its licence, and its rows."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from pydantic import Field

from xlret.config import Settings
from xlret.data.rows import ReadingReport, Row
from xlret.errors import UserError
from xlret.text.languages import language


class Source(Protocol):
    """Something that `prepare` can make a corpus of."""

    source: str
    licence: str
    revision: str

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """All rows; what cannot be used goes to the report."""


class SourceSettings(Settings):
    """Provenance that ends in the manifest of the corpus; each public data set has its own defaults."""

    source: str = Field("the user's own files", min_length=1)
    """Where the data is from."""
    licence: str = Field("not stated", min_length=1)
    """Under what terms."""
    revision: str = Field("not stated", min_length=1)
    """Which version of it."""


def wanted(available: Iterable[str], languages: Iterable[str] | None, exclude: Iterable[str], source: object) -> list[str]:
    """The languages to read of those that a data set has, sorted.

    Raises:
        UserError: one that is asked for or excluded is not there, or none is left.
    """
    available = set(available)
    chosen = available if languages is None else {language(code) for code in languages}
    excluded = {language(code) for code in exclude}
    missing = (chosen | excluded) - available
    listed = ", ".join(sorted(available)) or "none at all"
    if missing:
        raise UserError(f"{source} has no {', '.join(sorted(missing))}; it has {listed}")
    if not chosen - excluded:
        raise UserError(f"{source}: no language is left; it has {listed}")
    return sorted(chosen - excluded)
