"""What a benchmark is: a closed description and a reader of its published files."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from xlret.data.opened import opened
from xlret.errors import UserError
from xlret.evaluation.sets import RetrievalSet
from xlret.files import local
from xlret.hub import HubRepository, download
from xlret.text.languages import language


@dataclass(frozen=True)
class Benchmark:
    """A public evaluation set. Its texts are never trained on."""

    name: str
    """How it is called on the command line."""
    title: str
    languages: tuple[str, ...]
    """Those that it has; none where each directory has its own."""
    metric: str
    """The metric it is usually reported by, as `Evaluation` calls it."""
    licence: str
    source: str
    """Where its files come from."""
    revision: str
    files: str
    """What a directory of it holds."""
    citation: str
    """BibTeX."""
    read: Callable[[Path, tuple[str, ...]], Iterator[RetrievalSet]]
    """Its retrieval sets, for a directory and some of its languages."""
    measures: tuple[str, ...] = ()
    """What it is reported by besides the numbers of every table, by the names of `ir_measures`."""

    size: str = "not counted"
    """Its published counts, or those of our own reading; of files that nobody had here and no list tells: `not counted`."""

    hub: tuple[HubRepository, ...] = ()
    """Where the hub has these files in a form that is read; none: they are fetched by hand."""
    by_hand: str = ""
    """What to download and where to put it, in a sentence, where the hub has not all of it."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Names of files -> the checksum of their content, unpacked; of copies whose counts are the published ones."""
    task: Literal["retrieval", "bitext retrieval", "bitext mining", "entity retrieval", "reranking"] = "retrieval"

    def load(self, directory: Path, languages: Iterable[str] | None = None) -> Iterator[RetrievalSet]:
        """The retrieval sets of a directory with the published files, one at a time.

        Raises:
            UserError: no such directory, a language that the benchmark or the directory lacks, or a damaged file.
        """
        files = local(Path(directory))
        if not files.exists():
            raise UserError(f"{self.name}: no such directory: {directory}; it should hold {self.files} from {self.source}")
        return self._with_version(files, self.read(files, self.chosen(languages)))

    def _with_version(self, directory: Path, sets: Iterator[RetrievalSet]) -> Iterator[RetrievalSet]:
        """The sets, with a caution where the files are of another version."""
        caution = self.other_version(directory)
        for retrieval_set in sets:
            yield retrieval_set if caution is None else replace(retrieval_set, caution=caution)

    def other_version(self, directory: Path) -> str | None:
        """Which files of a directory are not those whose checksums are known, in a sentence; None where all are.

        Cost: reads these files once more.
        """
        others = []
        for name, checksum in self.sha256.items():
            path = next((path for end in ("", ".gz") for path in directory.rglob(name + end)), None)
            if path is not None:
                with opened(path) as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != checksum:  # type: ignore[arg-type]
                        others.append(path.name)
        if not others:
            return None
        listed = ", ".join(sorted(others)[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        return f"not the published files by their checksums: {listed}"

    def load_from_hub(self, languages: Iterable[str] | None = None, revision: str | None = None) -> Iterator[RetrievalSet]:
        """The same with the files of the hub, whose commits stand in `read_from` of each set.

        Args:
            languages: only these; whole repositories can be tens of gigabytes.
            revision: another commit than the pinned one, of a benchmark that is one repository.

        Raises:
            UserError: the hub does not have it, a language that it lacks, or see `hub.download`.
        """
        if not self.hub:
            raise UserError(f"{self.name} is not on the hub in this form; {self.how_to_fetch}, give --data")
        if revision is not None and len(self.hub) > 1:
            raise UserError(f"{self.name} is {len(self.hub)} repositories of the hub; a revision can be given for one alone")
        repositories = self.hub if revision is None else (replace(self.hub[0], revision=revision),)
        chosen = self.chosen(languages)
        files = download(repositories, chosen)
        read_from = ", ".join(f"{name}@{commit}" for name, commit in files.commits.items())
        for retrieval_set in self.load(files.directory, chosen):
            yield replace(retrieval_set, read_from=read_from)

    @property
    def how_to_fetch(self) -> str:
        """What to do by hand, without a full stop."""
        return self.by_hand or f"fetch {self.files} from {self.source}"

    def chosen(self, languages: Iterable[str] | None) -> tuple[str, ...]:
        """The languages to read, sorted; all by default.

        Raises:
            UserError: one that the benchmark lacks, or none at all.
        """
        chosen = self.languages if languages is None else tuple(sorted({language(code) for code in languages}))
        unknown = sorted(set(chosen) - set(self.languages))
        if self.languages and (unknown or not chosen):
            wrong = ", ".join(unknown) or "empty list of languages"
            raise UserError(f"{self.name} has no {wrong}; it has {', '.join(self.languages)}")
        return chosen


def first_existing(directory: Path, *names: str) -> Path:
    """The first of these files that exists.

    Raises:
        UserError: none does.
    """
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise UserError(f"there is no {' or '.join(names)} in {directory}")
