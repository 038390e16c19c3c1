"""Makes, changes and measures bilingual lexicons: `python -m jobs.lexicon COMMAND`."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from jobs.cli import run_job
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.lexicon import titles, transform
from xlret.lexicon.align import aligned
from xlret.lexicon.coverage import coverage, sizes
from xlret.lexicon.files import languages_of, pair_files, read_export
from xlret.lexicon.induce import check_candidates, induce, precision, seed_pairs
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.word_vectors import read_vectors
from xlret.shapes import IntArray
from xlret.text.languages import language
from xlret.text.sides import Side

EXAMPLE = """\
examples:
  python -m jobs.lexicon convert muse/ my/en-sw.tsv --into lexicons/all
  python -m jobs.lexicon invert lexicons/all --into lexicons/to-english
  python -m jobs.lexicon pivot lexicons/all --pairs de-fr,fr-de --into lexicons/de-fr
  python -m jobs.lexicon filter lexicons/all --top 3 --longest 4 --drop-identical --into lexicons/small
  python -m jobs.lexicon statistics lexicons/all --corpus data/atlas/train --lang en
  python -m jobs.lexicon induce wiki.en.vec wiki.de.vec --pair en-de --seed train.en-de.tsv --test test.en-de.tsv \\
      --into lexicons/induced
  python -m jobs.lexicon titles --page enwiki-page.sql.gz --langlinks enwiki-langlinks.sql.gz --languages de,ar \\
      --into lexicons/titles

What is written is a directory that recipes name under switch.lexicons; processes of a machine share its memory.
"""
_CORPUS_ROWS = 20_000


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, writes its lexicon and prints its sizes."""
    arguments = _parser().parse_args(argv)
    made: Lexicon | None = arguments.make(arguments)
    if made is not None:
        made.save(expand_path(arguments.into), replace=arguments.replace)
        _print_sizes(made)
        print(f"written to {arguments.into}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.lexicon",
        description="Makes, changes and measures bilingual lexicons.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(
        name: str, what: str, make: Callable[[argparse.Namespace], Lexicon | None], *, writes: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what)
        added.set_defaults(make=make)
        if writes:
            added.add_argument("--into", type=Path, required=True, help="the directory to write")
            added.add_argument("--replace", action="store_true", help="replace it if it exists")
        return added

    def takes_lexicons(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument("paths", nargs="+", type=Path, help="lexicon files or directories")
        added.add_argument("--languages", help="target languages to keep, such as de,ar; all by default")
        return added

    convert = takes_lexicons(command("convert", "reads lexicons of any form and merges them into one", _convert))
    convert.add_argument("--style", choices=("pairs", "export", "titles"), default="pairs", help="what the files are")
    takes_lexicons(command("invert", "turns en->xx into xx->en", lambda given: transform.inverted(_load(given))))
    pivot = takes_lexicons(command("pivot", "makes xx->yy from en->xx and en->yy", _pivot))
    pivot.add_argument("--pairs", help="such as de-fr,fr-de; all by default")
    pivot.add_argument("--min-score", type=float, default=0.05, help="leave out candidates less probable than this (0.05)")
    filters = takes_lexicons(command("filter", "keeps the entries that pass tests", _filter))
    filters.add_argument("--min-score", type=float, default=0.0)
    filters.add_argument("--top", type=int, help="at most so many candidates a word")
    filters.add_argument("--longest", type=float, help="drop candidates so many times as long as the shortest of their word")
    filters.add_argument("--drop-identical", action="store_true", help="drop words that translate to themselves")
    filters.add_argument("--drop-numbers", action="store_true", help="drop what holds digits")
    statistics = takes_lexicons(
        command("statistics", "counts entries, and the share of a corpus covered", _statistics, writes=False)
    )
    statistics.add_argument("--corpus", type=Path, help="a directory made by jobs.prepare")
    statistics.add_argument("--lang", default="en", help="the corpus's texts in this language (en)")
    _induce_arguments(command("induce", "finds translations as nearest neighbours of word vectors", _induce))
    dumps = command("titles", "makes a title lexicon from two Wikipedia dumps", _titles)
    dumps.add_argument("--page", type=Path, required=True)
    dumps.add_argument("--langlinks", type=Path, required=True)
    dumps.add_argument("--source", default="en", help="the language of that Wikipedia (en)")
    dumps.add_argument("--languages", required=True, help="such as de,ar")
    return parser


def _induce_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="word vectors in text form (.vec, .vec.gz)")
    parser.add_argument("target", type=Path)
    parser.add_argument("--pair", required=True, help="the languages of the two files, such as en-de")
    parser.add_argument("--seed", type=Path, help="a pair file to align the spaces with; leave out if they are aligned")
    parser.add_argument("--rounds", type=int, default=5, help="refinements of the alignment (5)")
    parser.add_argument("--test", type=Path, help="a held-out pair file: precision@1 and @5 are printed")
    parser.add_argument("--limit", type=int, default=200_000, help="read so many words a file (200000)")
    parser.add_argument("--method", choices=("csls", "cosine"), default="csls")
    parser.add_argument("--top", type=int, default=1, help="candidates a word (1)")
    parser.add_argument("--mutual", action="store_true", help="only pairs that are each other's nearest; not with --top")
    parser.add_argument("--min-similarity", type=float, help="drop candidates of a smaller cosine")


def _load(given: argparse.Namespace) -> Lexicon:
    return Lexicon.load([expand_path(path) for path in given.paths], _codes(given.languages))


def _convert(given: argparse.Namespace) -> Lexicon:
    if given.style == "pairs":
        return _load(given)
    paths = [expand_path(path) for path in given.paths]
    if given.style == "titles":
        found = titles.titles_from_pairs(paths)
    else:
        files = [file for path in paths for file in (pair_files(path) if path.is_dir() else [path])]
        found = transform.merged([Lexicon.from_entries({languages_of(file): read_export(file)}) for file in files])
    wanted = _codes(given.languages)
    return found if wanted is None else found.only(wanted)


def _pivot(given: argparse.Namespace) -> Lexicon:
    pairs = None if given.pairs is None else [languages_of(Path(pair.strip())) for pair in given.pairs.split(",")]
    return transform.pivoted(_load(given), pairs, min_score=given.min_score)


def _filter(given: argparse.Namespace) -> Lexicon:
    return transform.filtered(
        _load(given),
        min_score=given.min_score,
        top=given.top,
        longest=given.longest,
        drop_identical=given.drop_identical,
        drop_numbers=given.drop_numbers,
    )


def _statistics(given: argparse.Namespace) -> None:
    lexicon = _load(given)
    _print_sizes(lexicon)
    if given.corpus is None:
        return
    table = Table("into", "words covered", "running words covered", "running words that can change")
    for one in coverage(lexicon, _texts(expand_path(given.corpus), language(given.lang)), language(given.lang)):
        table.add_row(one.target, f"{one.types:.1%}", f"{one.tokens:.1%}", f"{one.switchable:.1%}")
    Console().print(table)


def _induce(given: argparse.Namespace) -> Lexicon:
    source_lang, target_lang = languages_of(Path(given.pair))
    check_candidates(given.top, mutual=given.mutual)
    source = read_vectors(expand_path(given.source), source_lang, limit=given.limit)
    target = read_vectors(expand_path(given.target), target_lang, limit=given.limit)
    if given.seed is not None:
        seed = Lexicon.load([expand_path(given.seed)], [target_lang])
        source = aligned(source, target, seed_pairs(seed, source_lang, target_lang), rounds=given.rounds)
    if given.test is not None:
        print(f"held out: {precision(source, target, Lexicon.load([expand_path(given.test)], [target_lang]), given.method)}")
    entries = induce(
        source, target, method=given.method, top=given.top, mutual=given.mutual, min_similarity=given.min_similarity
    )
    return Lexicon.from_entries({(source_lang, target_lang): entries})


def _titles(given: argparse.Namespace) -> Lexicon:
    return titles.titles_from_dumps(
        expand_path(given.page), expand_path(given.langlinks), given.source, _codes(given.languages) or []
    )


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


def _print_sizes(lexicon: Lexicon) -> None:
    table = Table("from", "into", "words", "pairs", "candidates a word", "identical")
    for one in sizes(lexicon):
        table.add_row(
            one.source, one.target, f"{one.words:,}", f"{one.pairs:,}", f"{one.candidates_per_word:.2f}", f"{one.identical:.1%}"
        )
    Console().print(table)


def _codes(given: str | None) -> list[str] | None:
    if given is None:
        return None
    codes = [language(code.strip()) for code in given.split(",") if code.strip()]
    if not codes:
        raise UserError("--languages is empty; give codes such as de,ar")
    return codes


if __name__ == "__main__":
    run_job(main)
