"""Lexicons that a process reads again and again: those of all runs of a sweep."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from xlret.lexicon.lexicon import Lexicon, lexicon_files

_Stamp = tuple[str, int, int]


def remembered_lexicon(paths: Sequence[Path], languages: Sequence[str] | None = None) -> Lexicon:
    """`Lexicon.load`, from memory where the same files were read before in this process and have not changed since.

    Raises:
        UserError, DataError, CorruptError: as `Lexicon.load`.
    """
    files = [file for path in paths for file in lexicon_files(Path(path))]
    stamps = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _loaded(tuple(map(Path, paths)), None if languages is None else tuple(languages), stamps)


@lru_cache(maxsize=4)
def _loaded(paths: tuple[Path, ...], languages: tuple[str, ...] | None, stamps: tuple[_Stamp, ...]) -> Lexicon:
    return Lexicon.load(paths, languages)
