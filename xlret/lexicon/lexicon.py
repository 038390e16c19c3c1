"""Bilingual lexicons: words of a source language and their candidate translations, compact and shared through mapped files."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlret.errors import CorruptError, UserError
from xlret.files import directory_beside, local
from xlret.lexicon.build import table_from_pairs
from xlret.lexicon.files import Entry, languages_of, pair_files, read_pairs
from xlret.text.case import fold
from xlret.text.languages import language, languages_meant, primary
from xlret.text.spelling import loose

ARROW_ENDING = ".arrow"
_BLOCK = 64
_SCHEMA = b"xlret lexicon 1"


@dataclass(frozen=True)
class Candidates:
    """Translations of one word into one language, best first, with their scores."""

    texts: tuple[str, ...]
    scores: tuple[float, ...]


class Table:
    """All entries of one source language, as columns of one Arrow record batch (made by `lexicon_build`).

    Columns: `word` (sorted by its UTF-8 bytes, each once), and per target language `xx` (list of texts), `xx score` (list
    of float32) and `xx rank` (the place of the word among those given for this language, -1 if it was not; files of
    older versions have none).
    """

    def __init__(self, source: str, batch: Any) -> None:
        self.source = source
        self.batch = batch
        self.targets = tuple(name for name in batch.schema.names[1:] if " " not in name)
        self._words = _Texts(batch.column(0))
        self._signposts = [self._words.bytes_at(row) for row in range(0, batch.num_rows, _BLOCK)]
        self._columns = {target: _Lists(batch.column(target), batch.column(f"{target} score")) for target in self.targets}

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def row_of(self, word: str) -> int:
        """The row of a folded word, or of one that is spelt otherwise (see `loose`), or -1; about 5 microseconds."""
        row = self._row_of(word)
        return row if row >= 0 else self._row_of_spelling(loose(word, self.source))

    def begins(self, start: str) -> bool:
        """Whether a word of the table goes on after this start, as it is written or in its loose form."""
        return self._begins(start) or self._begins(loose(start, self.source))

    def _row_of(self, word: str) -> int:
        key = word.encode("utf-8", "surrogatepass")
        row = self._position_of(key)
        return row if row < len(self) and self._words.bytes_at(row) == key else -1

    def _row_of_spelling(self, spelling: str) -> int:
        """The row of a word with this loose form, or -1."""
        row = self._row_of(spelling)
        return row if row >= 0 else self._spellings.get(spelling, -1)

    @cached_property
    def _spellings(self) -> dict[str, int]:
        """Loose forms of the words that are written otherwise; the first word of a form. About 3 microseconds a word that is
        not ASCII, at the first look-up that needs it."""
        rows = np.flatnonzero(~pc.string_is_ascii(self.batch.column(0)).to_numpy(zero_copy_only=False)).tolist()
        spellings: dict[str, int] = {}
        for row in rows:
            word = self.word(row)
            if (spelling := loose(word, self.source)) != word:
                spellings.setdefault(spelling, row)
        return spellings

    def _begins(self, start: str) -> bool:
        key = start.encode("utf-8", "surrogatepass")
        row = self._position_of(key)
        while row < len(self) and self._words.bytes_at(row) == key:
            row += 1
        return row < len(self) and self._words.bytes_at(row).startswith(key)

    def word(self, row: int) -> str:
        """The folded word in this row."""
        return self._words.bytes_at(row).decode("utf-8")

    def candidates(self, row: int, target: str) -> Candidates:
        """The translations of the word in this row; none if the language has none."""
        return self._columns[target].at(row)

    def rows(self, target: str) -> list[int]:
        """The rows with a translation into `target`, in the order in which the words were given: word lists have the
        commonest first. By word where an older file holds no ranks."""
        rows = np.flatnonzero(pc.list_value_length(self.batch.column(target)).to_numpy())
        if f"{target} rank" in self.batch.schema.names:
            rows = rows[np.argsort(self.batch.column(f"{target} rank").to_numpy()[rows])]
        in_order: list[int] = rows.tolist()
        return in_order

    def entries(self, target: str) -> Iterator[Entry]:
        """All pairs of one target language, the words in the order of `rows`, each word's best candidate first."""
        for row in self.rows(target):
            word, candidates = self.word(row), self.candidates(row, target)
            yield from (Entry(word, text, score) for text, score in zip(candidates.texts, candidates.scores, strict=True))

    def only(self, targets: Collection[str]) -> "Table":
        """The same words with those of its target languages that are among `targets`; nothing is copied."""
        names = [name for name in self.batch.schema.names if name == "word" or name.split(" ")[0] in targets]
        return Table(self.source, self.batch.select(names))

    def _position_of(self, key: bytes) -> int:
        """The first row whose word is not below `key`."""
        block = bisect_left(self._signposts, key)
        low, high = max(block - 1, 0) * _BLOCK, min(block * _BLOCK, len(self))
        return bisect_left(range(high), key, lo=low, key=self._words.bytes_at)


@dataclass(frozen=True)
class Lexicon:
    """Candidate translations from one or more source languages into several target languages.

    >>> lexicon = Lexicon.from_entries({("en", "de"): [Entry("dog", "Hund", 1.0)]})
    >>> lexicon.translations("Dog", "en", "de").texts
    ('Hund',)
    """

    tables: Mapping[str, Table] = field(repr=False)

    @classmethod
    def load(cls, paths: Sequence[Path], languages: Sequence[str] | None = None) -> "Lexicon":
        """Reads pair files (`en-de.txt`, tab or space, gzipped or not), xlret's own `.arrow` files, and directories of either.

        Arrow files are memory-mapped: loading takes milliseconds and processes share the memory. Of pair files, only those
        into `languages` are read (about 0.2 s for 100,000 lines); several files of one pair are merged.

        Args:
            paths: files or directories.
            languages: target languages to keep, BCP-47; all by default.

        Raises:
            UserError: no path, nothing there, an unreadable name, or a language that none of the files has.
            DataError: a bad line; names file and line.
            CorruptError: an Arrow file that is damaged or not a lexicon.
        """
        wanted = None if languages is None else tuple(language(code) for code in languages)
        files = [file for path in paths for file in lexicon_files(Path(path))]
        if not files:
            raise UserError("no lexicon was given; name at least one file or directory")
        tables: dict[str, list[Table]] = {}
        pairs: dict[tuple[str, str], list[Path]] = {}
        for file in files:
            if file.suffix == ARROW_ENDING:
                table = open_table(file)
                tables.setdefault(table.source, []).append(table if wanted is None else table.only(wanted))
            else:
                pair = languages_of(file)
                if wanted is None or pair[1] in wanted:
                    pairs.setdefault(pair, []).append(file)
        read = {pair: (entry for file in files for entry in read_pairs(file)) for pair, files in pairs.items()}
        if read:
            for source, table in cls.from_entries(read).tables.items():
                tables.setdefault(source, []).append(table)
        lexicon = cls({source: _joined(parts) for source, parts in sorted(tables.items())})
        if wanted is None:
            return lexicon
        missing = sorted(set(wanted) - set(lexicon.targets))
        if missing:
            names, known = ", ".join(map(str, paths)), ", ".join(_into(files)) or "nothing"
            raise UserError(f"no lexicon into {', '.join(missing)} in {names}; there is {known}")
        return lexicon.only(wanted)

    @classmethod
    def from_entries(cls, entries: Mapping[tuple[str, str], Iterable[Entry]]) -> "Lexicon":
        """A lexicon in memory from entries by (source, target) language.

        Words are folded (NFC, lower case); of equal pairs the best score counts; candidates come by falling score and,
        where scores are equal, in order of appearance.

        Raises:
            UserError: there is no entry at all, or a pair of a language with itself.
        """
        by_source: dict[str, dict[str, Iterable[Entry]]] = {}
        for (source, target), listed in entries.items():
            if source == target:
                raise UserError(f"a lexicon from {source} into {source} itself is of no use")
            by_source.setdefault(source, {})[target] = listed
        tables = {source: Table(source, table_from_pairs(source, listed)) for source, listed in sorted(by_source.items())}
        tables = {source: table for source, table in tables.items() if table.targets}
        if not tables:
            raise UserError("the lexicon has no entry")
        return cls(tables)

    def only(self, languages: Collection[str]) -> "Lexicon":
        """The same entries into these languages; nothing is copied. Sources that have none of them go."""
        tables = {source: table.only(languages) for source, table in self.tables.items()}
        return Lexicon({source: table for source, table in tables.items() if table.targets})

    def save(self, directory: Path, *, replace: bool = False) -> None:
        """Writes a directory with one `SOURCE.arrow` per source language, which `load` maps in milliseconds.

        Raises:
            UserError: the directory exists and `replace` is false, or it cannot be written.
        """
        with directory_beside(directory, replace=replace) as fresh:
            for source, table in self.tables.items():
                schema = table.batch.schema.with_metadata({b"schema": _SCHEMA, b"source": source.encode()})
                with pa.ipc.new_file(str(fresh / f"{source}{ARROW_ENDING}"), schema) as writer:
                    writer.write_batch(table.batch)

    @property
    def sources(self) -> tuple[str, ...]:
        """The languages that it translates from, sorted."""
        return tuple(sorted(self.tables))

    @property
    def source(self) -> str:
        """The language that it translates from, where that is one.

        Raises:
            UserError: it has several.
        """
        if len(self.tables) != 1:
            raise UserError(f"the lexicon has the source languages {', '.join(self.sources)}; one is needed here")
        return next(iter(self.tables))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The languages that it translates into, sorted."""
        return tuple(sorted({target for table in self.tables.values() for target in table.targets}))

    def table(self, lang: str) -> Table | None:
        """The entries for texts of `lang`; those of `en` serve `en-US` too. None if there are none."""
        meant = languages_meant(lang, self.tables)
        return self.tables[meant[0]] if len(meant) == 1 else self.tables.get(primary(lang))

    def translations(self, word: str, lang: str, target: str) -> Candidates:
        """The translations of a word as written in a text; none if it is not in the lexicon."""
        table = self.table(lang)
        row = -1 if table is None or target not in table.targets else table.row_of(fold(word, lang))
        return table.candidates(row, target) if table is not None and row >= 0 else Candidates((), ())


def open_table(path: Path) -> Table:
    """Maps one of xlret's Arrow lexicons; a few milliseconds whatever its size.

    Raises:
        UserError: it cannot be read.
        CorruptError: it is damaged or not a lexicon of xlret.
    """
    try:
        with pa.memory_map(str(path)) as mapped:
            reader = pa.ipc.open_file(mapped)
            metadata = reader.schema.metadata or {}
            if metadata.get(b"schema") != _SCHEMA or reader.num_record_batches != 1:
                raise CorruptError(f"{path} is not a lexicon of xlret; make one with: xlret lexicon convert")
            return Table(metadata[b"source"].decode(), reader.get_batch(0))
    except pa.ArrowInvalid as error:
        raise CorruptError(f"{path} is damaged: it cannot be read as an Arrow file ({error})") from error
    except OSError as error:
        raise UserError(f"cannot read lexicon {path}: {error.strerror or error}") from error


def lexicon_files(path: Path) -> list[Path]:
    """The files of a lexicon: the file itself, or those of a directory.

    Raises:
        UserError: there is no such path, or no lexicon in the directory.
    """
    path = local(path)
    if not path.exists():
        raise UserError(f"no lexicon at {path}; it must be a file or a directory of files such as en-de.txt")
    if not path.is_dir():
        return [path]
    files = [*sorted(path.glob("*" + ARROW_ENDING)), *pair_files(path)]
    if not files:
        raise UserError(f"the directory {path} holds no lexicon; files such as en-de.txt, en-de.tsv.gz or en.arrow are read")
    return files


def _into(files: Iterable[Path]) -> list[str]:
    targets: set[str] = set()
    for file in files:
        targets.update(open_table(file).targets if file.suffix == ARROW_ENDING else languages_of(file)[1:])
    return sorted(targets)


def _joined(tables: Sequence[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    targets = sorted({target for table in tables for target in table.targets})
    entries = {target: _entries_of(tables, target) for target in targets}
    return Table(tables[0].source, table_from_pairs(tables[0].source, entries))


def _entries_of(tables: Sequence[Table], target: str) -> Iterator[Entry]:
    for table in tables:
        if target in table.targets:
            yield from table.entries(target)


class _Texts:
    """A large_string array by number, as bytes, without Arrow's cost of making a scalar."""

    def __init__(self, array: Any) -> None:
        assert array.type == pa.large_string(), array.type
        assert array.offset == array.null_count == 0, "not a column that xlret wrote"
        _, offsets, data = array.buffers()
        self._offsets = memoryview(offsets).cast("B").cast("q") if offsets else memoryview(bytes(8)).cast("q")
        self._data = memoryview(data) if data else memoryview(b"")

    def bytes_at(self, row: int) -> bytes:
        return bytes(self._data[self._offsets[row] : self._offsets[row + 1]])


class _Lists:
    """Lists of texts with lists of scores, by number."""

    def __init__(self, texts: Any, scores: Any) -> None:
        self._offsets = memoryview(texts.buffers()[1]).cast("B").cast("q")
        self._texts = _Texts(texts.values)
        self._scores = scores.values.to_numpy(zero_copy_only=True)

    def at(self, row: int) -> Candidates:
        start, stop = self._offsets[row], self._offsets[row + 1]
        texts = tuple(self._texts.bytes_at(i).decode("utf-8") for i in range(start, stop))
        return Candidates(texts, tuple(self._scores[start:stop].tolist()))
