"""What a benchmark is: a closed description and a reader of its published files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xlret.errors import UserError
from xlret.evaluation.sets import RetrievalSet
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
    read: Callable[[Path, tuple[str, ...]], Iterator[RetrievalSet]]
    """Its retrieval sets, for a directory and some of its languages."""
    measures: tuple[str, ...] = ()
    """What it is reported by besides the numbers of every table, by the names of `ir_measures`."""

    def load(self, directory: Path, languages: Iterable[str] | None = None) -> Iterator[RetrievalSet]:
        """The retrieval sets of a directory with the published files, one at a time.

        Raises:
            UserError: no such directory, a language that the benchmark or the directory lacks, or a damaged file.
        """
        if not Path(directory).exists():
            raise UserError(f"{self.name}: no such directory: {directory}; it should hold {self.files} from {self.source}")
        chosen = self.languages if languages is None else tuple(sorted({language(code) for code in languages}))
        unknown = sorted(set(chosen) - set(self.languages))
        if self.languages and (unknown or not chosen):
            wrong = ", ".join(unknown) or "empty list of languages"
            raise UserError(f"{self.name} has no {wrong}; it has {', '.join(self.languages)}")
        return self.read(Path(directory), chosen)


def first_existing(directory: Path, *names: str) -> Path:
    """The first of these files that exists.

    Raises:
        UserError: none does.
    """
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise UserError(f"there is no {' or '.join(names)} in {directory}")
