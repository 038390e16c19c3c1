"""`xlret lexicon`: make, change and measure bilingual lexicons."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from xlret.commands.frame import Languages, new_app
from xlret.data.corpus import ParallelCorpus
from xlret.files import expand_path, local
from xlret.lexicon import titles, transform
from xlret.lexicon.coverage import coverage, sizes
from xlret.lexicon.files import languages_of, pair_files, read_export
from xlret.lexicon.lexicon import Lexicon
from xlret.shapes import IntArray
from xlret.storage.url import path_of
from xlret.text.languages import language
from xlret.text.sides import Side

EPILOGUE = """\
examples:
  xlret lexicon convert muse/ my/en-sw.tsv --into lexicons/all
  xlret lexicon invert lexicons/all --into lexicons/to-english
  xlret lexicon pivot lexicons/all --pairs de-fr,fr-de --into lexicons/de-fr
  xlret lexicon filter lexicons/all --top 3 --longest 4 --drop-identical \\
      --into lexicons/small
  xlret lexicon statistics lexicons/all --corpus corpora/atlas/train --lang en
  xlret lexicon induce wiki.en.vec wiki.de.vec --pair en-de \\
      --seed train.en-de.tsv --test test.en-de.tsv --into lexicons/induced
  xlret lexicon titles --page enwiki-page.sql.gz \\
      --langlinks enwiki-langlinks.sql.gz --languages de,ar --into lexicons/titles

What is written is a directory that recipes name under switch.lexicons;
processes of a machine share its memory.
"""
app: App = new_app("lexicon", "Make, change and measure bilingual lexicons.", EPILOGUE)

Paths = Annotated[tuple[Path, ...], Parameter(help="lexicon files or directories")]
Targets = Annotated[Languages | None, Parameter(help="target languages to keep, such as de,ar; all by default")]
Into = Annotated[Path, Parameter(help="the directory to write")]
Replace = Annotated[bool, Parameter(help="replace it if it exists")]
_CORPUS_ROWS = 20_000


@app.command
def convert(
    paths: Paths,
    /,
    *,
    into: Into,
    languages: Targets = None,
    style: Literal["pairs", "export", "titles"] = "pairs",
    replace: Replace = False,
) -> None:
    """Read lexicons of any form and merge them into one.

    Args:
        style: what the files are: word pairs, an export of a dictionary, or pairs of page titles
    """
    if style == "pairs":
        lexicon = _load(paths, languages)
    elif style == "titles":
        lexicon = _only(titles.titles_from_pairs([local(expand_path(path)) for path in paths]), languages)
    else:
        expanded = [local(expand_path(path)) for path in paths]
        files = [file for path in expanded for file in (pair_files(path) if path.is_dir() else [path])]
        exports = [Lexicon.from_entries({languages_of(file): read_export(file)}) for file in files]
        lexicon = _only(transform.merged(exports), languages)
    _save(lexicon, into, replace)


@app.command
def invert(paths: Paths, /, *, into: Into, languages: Targets = None, replace: Replace = False) -> None:
    """Turn en->xx into xx->en."""
    _save(transform.inverted(_load(paths, languages)), into, replace)


@app.command
def pivot(
    paths: Paths,
    /,
    *,
    into: Into,
    pairs: str | None = None,
    min_score: float = 0.05,
    languages: Targets = None,
    replace: Replace = False,
) -> None:
    """Make xx->yy from en->xx and en->yy.

    Args:
        pairs: such as de-fr,fr-de; all by default
        min_score: leave out candidates less probable than this
    """
    chosen = None if pairs is None else [languages_of(Path(pair.strip())) for pair in pairs.split(",")]
    _save(transform.pivoted(_load(paths, languages), chosen, min_score=min_score), into, replace)


@app.command(name="filter")
def filter_entries(
    paths: Paths,
    /,
    *,
    into: Into,
    min_score: float = 0.0,
    top: int | None = None,
    longest: float | None = None,
    drop_identical: bool = False,
    drop_numbers: bool = False,
    languages: Targets = None,
    replace: Replace = False,
) -> None:
    """Keep the entries that pass tests.

    Args:
        min_score: drop candidates less probable than this
        top: at most so many candidates a word
        longest: drop candidates so many times as long as the shortest of their word
        drop_identical: drop words that translate to themselves
        drop_numbers: drop what holds digits
    """
    lexicon = transform.filtered(
        _load(paths, languages),
        min_score=min_score,
        top=top,
        longest=longest,
        drop_identical=drop_identical,
        drop_numbers=drop_numbers,
    )
    _save(lexicon, into, replace)


@app.command
def statistics(paths: Paths, /, *, corpus: Path | None = None, lang: str = "en", languages: Targets = None) -> None:
    """Count entries, and the share of a corpus covered.

    Args:
        corpus: a directory made by `xlret prepare`
        lang: the corpus's texts in this language
    """
    lexicon, source = _load(paths, languages), language(lang)
    _print_sizes(lexicon)
    if corpus is None:
        return
    table = Table("into", "words covered", "running words covered", "running words that can change")
    for share in coverage(lexicon, _texts(expand_path(corpus), source), source):
        table.add_row(share.target, f"{share.types:.1%}", f"{share.tokens:.1%}", f"{share.switchable:.1%}")
    Console().print(table)


@app.command
def induce(
    source: Path,
    target: Path,
    /,
    *,
    into: Into,
    pair: str,
    seed: Path | None = None,
    rounds: int = 5,
    test: Path | None = None,
    limit: int = 200_000,
    method: Literal["csls", "cosine"] = "csls",
    top: int = 1,
    mutual: bool = False,
    min_similarity: float | None = None,
    replace: Replace = False,
) -> None:
    """Find translations as nearest neighbours of word vectors.

    Args:
        source: word vectors in text form (.vec, .vec.gz)
        target: word vectors of the other language
        pair: the languages of the two files, such as en-de
        seed: a pair file to align the spaces with; leave out if they are aligned
        rounds: refinements of the alignment
        test: a held-out pair file: precision@1 and @5 are printed
        limit: read so many words a file
        method: how nearness is measured; csls corrects for words that are near to everything
        top: candidates a word
        mutual: only pairs that are each other's nearest; not with --top
        min_similarity: drop candidates of a smaller cosine
    """
    from xlret.lexicon import induce as induction
    from xlret.lexicon.align import aligned
    from xlret.lexicon.word_vectors import read_vectors

    source_lang, target_lang = languages_of(Path(pair))
    induction.check_candidates(top, mutual=mutual)
    source_vectors = read_vectors(local(expand_path(source)), source_lang, limit=limit)
    target_vectors = read_vectors(local(expand_path(target)), target_lang, limit=limit)
    if seed is not None:
        pairs = induction.seed_pairs(Lexicon.load([expand_path(seed)], [target_lang]), source_lang, target_lang)
        source_vectors = aligned(source_vectors, target_vectors, pairs, rounds=rounds)
    if test is not None:
        held_out = Lexicon.load([expand_path(test)], [target_lang])
        print(f"held out: {induction.precision(source_vectors, target_vectors, held_out, method)}")
    entries = induction.induce(
        source_vectors, target_vectors, method=method, top=top, mutual=mutual, min_similarity=min_similarity
    )
    _save(Lexicon.from_entries({(source_lang, target_lang): entries}), into, replace)


@app.command(name="titles")
def titles_of_dumps(
    *, page: Path, langlinks: Path, languages: Languages, into: Into, source: str = "en", replace: Replace = False
) -> None:
    """Make a title lexicon from two Wikipedia dumps.

    Args:
        page: WIKI-page.sql.gz
        langlinks: WIKI-langlinks.sql.gz of the same day
        languages: target languages, such as de,ar
        source: the language of that Wikipedia
    """
    _save(titles.titles_from_dumps(local(expand_path(page)), local(expand_path(langlinks)), source, languages), into, replace)


def _load(paths: tuple[Path, ...], languages: tuple[str, ...] | None) -> Lexicon:
    return Lexicon.load([expand_path(path) for path in paths], languages)


def _only(lexicon: Lexicon, languages: tuple[str, ...] | None) -> Lexicon:
    return lexicon if languages is None else lexicon.only(languages)


def _save(lexicon: Lexicon, into: Path, replace: bool) -> None:
    lexicon.save(expand_path(into), replace=replace)
    _print_sizes(lexicon)
    print(f"written to {path_of(into)}")


def _print_sizes(lexicon: Lexicon) -> None:
    table = Table("from", "into", "words", "pairs", "candidates a word", "identical")
    for size in sizes(lexicon):
        numbers = (f"{size.words:,}", f"{size.pairs:,}", f"{size.candidates_per_word:.2f}", f"{size.identical:.1%}")
        table.add_row(size.source, size.target, *numbers)
    Console().print(table)


def _texts(path: Path, lang: str) -> Iterator[str]:
    """Queries and passages of a corpus in one language, the first thousands of each."""
    corpus = ParallelCorpus.open(path, verify=False)
    sides: tuple[tuple[Side, Callable[[str, IntArray], list[str]]], ...] = (
        ("query", corpus.queries),
        ("passage", corpus.passages),
    )
    for side, fetch in sides:
        pool = corpus.side(side, lang)
        for start in range(0, min(len(pool), _CORPUS_ROWS), 1000):
            ranks = np.arange(start, min(start + 1000, len(pool), _CORPUS_ROWS))
            yield from fetch(lang, pool.take(ranks))
