"""The command `xlret`: small things for people to look at; jobs are `python -m jobs.NAME`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from xlret.config import settings_from
from xlret.data.atlas.phrasings import LANGUAGES
from xlret.data.atlas.rows import HELD_OUT, names_of
from xlret.data.atlas.wordlists import name_pairs, title_pairs, word_pairs
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.files import expand_path, shared_directory, write_text
from xlret.keys import generator
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.settings import SwitchSettings
from xlret.switch.show import Sample, as_terminal_text, colours, sample_page, terminal_legend
from xlret.switch.switcher import Switcher
from xlret.text.languages import language

_NAMED = tuple(lang for lang in LANGUAGES if lang not in ("en", HELD_OUT))
EXAMPLE = """\
examples:
  xlret switch "Where does the river rise?" --policy ml --p 0.5 --languages de,ar
  xlret switch --from-corpus 5 --corpus data/atlas/train --languages ru,th --html sample.html
  xlret switch "A visit to New York City" --policy wiki --p 1 --lexicon data/atlas/titles
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit status."""
    parser = argparse.ArgumentParser(prog="xlret", description="Zero-shot cross-lingual retrieval.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_switch(commands)
    return _switch(parser.parse_args(argv))


def run() -> NoReturn:
    """What the console command calls: `main` with a `UserError` as one line and exit status 2."""
    try:
        status = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    sys.exit(status)


def _add_switch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "switch",
        help="show a text with some of its words in other languages",
        description="Switches a text, or rows of a corpus, and shows each word in the colour of its language.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("text", nargs="?", help="what to switch")
    parser.add_argument("--lang", default="en", help="the language of the text (en)")
    parser.add_argument("--policy", default="ml", help="bl, ml, ml-sentence or wiki (ml)")
    parser.add_argument(
        "--p", default="0.5", metavar="P", help="probability that a word is switched, or a range such as 0.2,0.8 (0.5)"
    )
    parser.add_argument("--languages", help="target languages, such as de,ar; all of the lexicon by default")
    parser.add_argument("--choice", default="random", help="which candidate: first, random or score (random)")
    parser.add_argument(
        "--lexicon",
        action="append",
        type=Path,
        help="file or directory, may be given again; by default MUSE in $XLRET_SHARED if it is there, else the names of CLDR",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from-corpus", type=int, metavar="N", help="switch N rows of --corpus, query and passage")
    parser.add_argument("--corpus", type=Path, help="a directory made by `python -m jobs.prepare`")
    parser.add_argument("--html", type=Path, help="write the texts as a page here too")


def _switch(arguments: argparse.Namespace) -> int:
    if (arguments.text is None) == (arguments.from_corpus is None):
        raise UserError("give either a text or --from-corpus N with --corpus DIRECTORY")
    wanted = [language(code.strip()) for code in arguments.languages.split(",")] if arguments.languages else None
    p = [_number(part) for part in arguments.p.split(",")]
    values = {
        "policy": arguments.policy,
        "p": p[0] if len(p) == 1 else p,
        "languages": wanted,
        "choice": arguments.choice,
        "keep_english": 0.0,  # a text left as it is would show nothing
        "lexicons": arguments.lexicon or [Path("default")],
    }
    settings = settings_from(SwitchSettings, values)
    lexicon, origin = _lexicon(arguments.lexicon, wanted, arguments.policy)
    switcher = Switcher(lexicon, settings)
    lang = language(arguments.lang)
    if lexicon.table(lang) is None:
        raise UserError(f"the lexicon ({origin}) has no words of {lang}; it has {', '.join(lexicon.sources)}")
    if arguments.text is not None:
        _check_unicode(arguments.text)
        samples = [Sample("text", lang, switcher.switch(arguments.text, lang, (arguments.seed,)))]
    else:
        samples = _rows(switcher, arguments.corpus, lang, arguments.from_corpus, arguments.seed)
    found = [sample.switched for sample in samples]
    colour_of = colours(span.lang for one in found for span in one.spans)
    console = Console(highlight=False)
    for sample in samples:
        if len(samples) > 1:
            console.print(sample.row, style="dim")
        console.print(as_terminal_text(sample.switched, colour_of))
    console.print(terminal_legend(found, colour_of))
    if arguments.html is not None:
        write_text(
            expand_path(arguments.html), sample_page(samples, f"Code-switched text, policy {arguments.policy}, p {arguments.p}")
        )
    return 0


def _rows(switcher: Switcher, path: Path | None, lang: str, count: int, seed: int) -> list[Sample]:
    """Queries and passages of randomly drawn groups that have both in this language."""
    if path is None or count < 1:
        raise UserError("--from-corpus needs a number of at least 1 and --corpus DIRECTORY")
    corpus = ParallelCorpus.open(expand_path(path), verify=False)
    pool = corpus.pool(lang, lang)
    if not len(pool):
        raise UserError(
            f"{path} has no group with query and passage in {lang}; its languages are {', '.join(corpus.languages)}"
        )
    ranks = generator(seed, "sample").choice(len(pool), size=min(count, len(pool)), replace=False)
    groups = pool.take(ranks)
    langs = [lang] * len(groups)
    pairs = switcher.switch_pairs(corpus.queries(lang, groups), langs, corpus.passages(lang, groups), langs, (seed, "switch"))
    return [
        Sample(f"{group} {side}", lang, one)
        for group, query, passage in zip(corpus.group_ids(groups), *pairs, strict=True)
        for side, one in (("query", query), ("passage", passage))
    ]


def _lexicon(paths: list[Path] | None, wanted: list[str] | None, policy: str) -> tuple[Lexicon, str]:
    """The lexicon and what it is called: the paths given, MUSE, or the names that CLDR has."""
    muse = shared_directory() / "data" / "lexicons" / "muse"
    if paths:
        return Lexicon.load([expand_path(path) for path in paths], wanted), ", ".join(map(str, paths))
    if muse.is_dir() and policy != "wiki":
        return Lexicon.load([muse], wanted), str(muse)
    targets = [lang for lang in _NAMED if wanted is None or lang in wanted]
    if missing := sorted(set(wanted or ()) - set(targets)):
        raise UserError(
            f"no lexicon into {', '.join(missing)} comes with xlret; name one with --lexicon, or take {', '.join(_NAMED)}"
        )
    entries = {}
    for lang in targets:
        pairs = name_pairs(names_of("en"), names_of(lang))
        entries["en", lang] = [Entry(one, two, 1.0) for one, two in (*word_pairs(pairs, lang), *title_pairs(pairs))]
    print("lexicon: the names of countries, languages, cities ... in CLDR; name your own with --lexicon", file=sys.stderr)
    return Lexicon.from_entries(entries), "CLDR"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"--p is {text!r}; it must be a number from 0 to 1, or two with a comma between") from None


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError("the text is not valid UTF-8; check the encoding of your terminal") from None


if __name__ == "__main__":
    run()
