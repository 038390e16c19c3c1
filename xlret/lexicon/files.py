"""Reading bilingual word lists as others write them: MUSE, PanLex, xling-eval, exports of dictionary programs."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from xlret.errors import DataError, UserError
from xlret.lexicon.lines import utf8_lines
from xlret.text.languages import language

PAIR_ENDINGS = (".txt", ".tsv", ".dic", ".txt.gz", ".tsv.gz", ".dic.gz")
"""How names of pair files end."""


_BLANKS = " \t\r\n\ufeff"


class Entry(NamedTuple):
    """One line of a pair file, as written there (stripped)."""

    word: str
    translation: str
    score: float


def languages_of(path: Path) -> tuple[str, str]:
    """Source and target language from a file's name: the last `xx-yy` between dots.

    Raises:
        UserError: the name holds no pair of language codes.

    >>> languages_of(Path("muse/en-zh.txt.gz")), languages_of(Path("yacle.train.freq.1k.en-de.tsv"))
    (('en', 'zh'), ('en', 'de'))
    >>> languages_of(Path("eng-pt_BR.0-5000.txt"))
    ('en', 'pt-BR')
    """
    for part in reversed(path.name.split(".")):
        source, dash, target = part.partition("-")
        if dash and source.replace("_", "").isalpha() and target[:1].isalpha():
            try:
                return language(source), language(target)
            except UserError:
                continue
    raise UserError(f"{path}: the file's name must hold its languages as source-target, such as en-de.txt or x.en-de.tsv")


def read_pairs(path: Path) -> Iterator[Entry]:
    """The entries of a pair file: `word TAB translation [TAB score]` or `word SPACE translation`; gzipped if it ends in .gz.

    A line with a tab is cut at tabs, any other at its first space; no-break and ideographic spaces are part of a word. Fields
    after the score are ignored. Blank lines are skipped. Without a score an entry has 1.

    Raises:
        UserError: no such file, or it cannot be read.
        DataError: a line with one field, bytes that are not UTF-8, a score that is no number; names file and line.
    """
    for number, line in _lines(path):
        fields = [field.strip(_BLANKS) for field in (line.split("\t") if "\t" in line else line.split(" ", maxsplit=1))]
        word, translation = fields[0], fields[1] if len(fields) > 1 else ""
        if not word or not translation:
            raise DataError(f"{path}:{number}: {line[:80]!r} must be a word, a tab or space, and its translation")
        yield Entry(word, translation, _score(path, number, fields[2]) if len(fields) > 2 and fields[2] else 1.0)


def read_export(path: Path, *, words_at_most: int = 3) -> Iterator[Entry]:
    """The entries of a tab file as dictionary programs export it from FreeDict or StarDict: `headword TAB definition`.

    Markup, pronunciation between slashes and remarks in brackets are dropped; the rest is cut at line ends (`\\n` in the
    file), semicolons, commas and bars. Pieces of more than `words_at_most` words explain rather than translate: dropped.
    Earlier pieces score higher: 1, 1/2, 1/3, ...

    Raises:
        UserError, DataError: as `read_pairs`.
    """
    for number, line in _lines(path):
        headword, tab, definition = line.partition("\t")
        word = _plain(headword)
        if not tab:
            raise DataError(f"{path}:{number}: {line[:80]!r} must be a headword, a tab and its definition")
        pieces = (piece.strip(" .") for piece in re.split(r"[;,|\n、；，]", _plain(definition)))
        kept = [piece for piece in dict.fromkeys(pieces) if piece and len(piece.split()) <= words_at_most]
        for rank, piece in enumerate(kept if word else [], start=1):
            yield Entry(word, piece, 1 / rank)


def pair_files(directory: Path) -> list[Path]:
    """The pair files of a directory, sorted by name; files that begin with README or LICENSE are none."""
    return sorted(
        path
        for path in directory.iterdir()
        if path.is_file()
        and path.name.endswith(PAIR_ENDINGS)
        and not path.name.startswith(".")
        and not path.name.upper().startswith(("README", "LICENSE"))
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in utf8_lines(path, "lexicon"):
        if line is None:
            raise DataError(f"{path}:{number}: not UTF-8; convert the file to UTF-8, or leave this line out")
        if line := line.strip(_BLANKS):
            yield number, line


def _score(path: Path, number: int, field: str) -> float:
    try:
        score = float(field)
    except ValueError:
        raise DataError(f"{path}:{number}: the third field {field[:40]!r} must be a score, a number of at least 0") from None
    if not 0 <= score < float("inf"):
        raise DataError(f"{path}:{number}: the score {field[:40]!r} must be a number of at least 0")
    return score


def _plain(text: str) -> str:
    text = text.replace("\\n", "\n").replace("\\t", " ")
    text = re.sub(r"<br\s*/?>|</(?:div|p|li)>", "\n", text)
    text = html.unescape(re.sub(r"<[^<>]*>", "", text))
    text = re.sub(r"/[^/\n]*/|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}", " ", text)
    text = re.sub(r"(?m)^\s*\d+[.)]\s*", "", text)
    return "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
