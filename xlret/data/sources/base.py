"""What every source of rows has: where the data comes from, its licence, and its rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import Field

from xlret.calls import Calls
from xlret.config import Settings
from xlret.data.foresee import Foreseen, foreseen_of_files
from xlret.data.rows import ReadingReport, Row
from xlret.errors import UserError
from xlret.hub import PINNED, HubRepository, download
from xlret.text.languages import language

Part = Callable[[ReadingReport], Iterator[Row]]
"""Gives some of the rows of a source."""


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

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """All rows; what cannot be used goes to the report."""
        raise NotImplementedError

    def parts(self, report: ReadingReport, calls: Calls) -> list[Part]:
        """What gives the rows part by part, each in a call of its own, in the order of `rows`; cut by the data alone, never by
        how many calls run side by side. By default there is one part.

        Args:
            report: told of what is met before any rows are read.
            calls: where the cutting is done.
        """
        return [self.rows]

    def foreseen(self) -> Foreseen:
        """What preparing would take; nothing is fetched, and of files only the beginnings are read.

        Raises:
            UserError: a file is not there.
        """
        return foreseen_of_files(self)


class HubSource(SourceSettings):
    """A public data set that can be fetched from the Hugging Face hub by name."""

    hub: str | None = None
    """The data set's name there, in place of a folder; the cache of the hub is used, and `HF_HUB_OFFLINE` honoured."""
    hub_revision: str | None = None
    """Its commit; by default the one that `xlret.hub.PINNED` has, else the newest. Which it was is said in a note."""

    def foreseen(self) -> Foreseen:
        """As `SourceSettings.foreseen`."""
        foreseen = foreseen_of_files(self)
        if self.hub is not None:
            foreseen.notes.append(f"what is fetched of the hub's {self.hub} is not in these figures")
        return foreseen

    def commit(self, name: str) -> str | None:
        """At which commit a repository is read; None: the newest."""
        return self.hub_revision or PINNED.get(name)

    def fetched(self, name: str, patterns: Sequence[str], report: ReadingReport) -> Path:
        """The directory with the files of a repository that match patterns.

        Raises:
            UserError: see `xlret.hub.download`, or nothing matches.
        """
        files = download([HubRepository(name, self.commit(name), lambda _: patterns)], ())
        for repository, commit in files.commits.items():
            report.note(f"read from the hub: {repository}@{commit}")
        if not any(path for pattern in patterns for path in files.directory.glob(pattern)):
            raise UserError(f"the hub's {name} has no {' or '.join(patterns)}")
        return files.directory


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
