"""`xlret switch`: look at texts, or rows of a corpus, with some of their words in other languages."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App
from rich.console import Console

from xlret.commands.frame import Languages, new_app
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

EPILOGUE = """\
examples:
  xlret switch "Where does the river rise?" --policy ml --p 0.5 --languages de,ar
  xlret switch --from-corpus 5 --corpus corpora/atlas/train --languages ru,th --html sample.html
  xlret switch "A visit to New York City" --policy wiki --p 1 --lexicon corpora/atlas/titles
"""
_NAMED = tuple(lang for lang in LANGUAGES if lang not in ("en", HELD_OUT))

app: App = new_app("switch", "Show texts with some of their words in other languages.", EPILOGUE)


@app.default
def switch(
    text: str | None = None,
    /,
    *,
    lang: str = "en",
    policy: str = "ml",
    p: str = "0.5",
    languages: Languages | None = None,
    choice: str = "random",
    lexicon: tuple[Path, ...] = (),
    seed: int = 0,
    from_corpus: int | None = None,
    corpus: Path | None = None,
    html: Path | None = None,
) -> int:
    """Switches a text, or rows of a corpus, and shows each word in the colour of its language.

    Args:
        text: what to switch
        lang: the language of the text
        policy: bl, ml, ml-sentence or wiki
        p: probability that a word is switched, or a range such as 0.2,0.8
        languages: target languages, such as de,ar; all of the lexicon by default
        choice: which candidate: first, random or score
        lexicon: files or directories; by default MUSE in $XLRET_SHARED if it is there, else the names of CLDR
        seed: of what is drawn
        from_corpus: switch so many rows of --corpus, query and passage
        corpus: a directory made by `xlret prepare`
        html: write the texts as a page here too
    """
    if (text is None) == (from_corpus is None):
        raise UserError("give either a text or --from-corpus N with --corpus DIRECTORY")
    chances = [_number(part) for part in p.split(",")]
    values = {
        "policy": policy,
        "p": chances[0] if len(chances) == 1 else chances,
        "languages": languages,
        "choice": choice,
        "keep_english": 0.0,  # a text left as it is would show nothing
        "lexicons": lexicon or [Path("default")],
    }
    settings = settings_from(SwitchSettings, values)
    words, origin = _lexicon(lexicon, languages, policy)
    switcher = Switcher(words, settings)
    source = language(lang)
    if words.table(source) is None:
        raise UserError(f"the lexicon ({origin}) has no words of {source}; it has {', '.join(words.sources)}")
    if text is not None:
        _check_unicode(text)
        samples = [Sample("text", source, switcher.switch(text, source, (seed,)))]
    else:
        assert from_corpus is not None
        samples = _rows(switcher, corpus, source, from_corpus, seed)
    _show(samples)
    if html is not None:
        write_text(expand_path(html), sample_page(samples, f"Code-switched text, policy {policy}, p {p}"))
    return 0


def _show(samples: Sequence[Sample]) -> None:
    """Prints the texts in colours, and what each colour means."""
    switched = [sample.switched for sample in samples]
    colour_of = colours(span.lang for text in switched for span in text.spans)
    console = Console(highlight=False)
    for sample in samples:
        if len(samples) > 1:
            console.print(sample.row, style="dim")
        console.print(as_terminal_text(sample.switched, colour_of))
    console.print(terminal_legend(switched, colour_of))


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
        Sample(f"{group} {side}", lang, switched)
        for group, query, passage in zip(corpus.group_ids(groups), *pairs, strict=True)
        for side, switched in (("query", query), ("passage", passage))
    ]


def _lexicon(paths: Sequence[Path], targets: Sequence[str] | None, policy: str) -> tuple[Lexicon, str]:
    """The lexicon and what it is called: the paths given, MUSE, or the names that CLDR has."""
    muse = shared_directory() / "data" / "lexicons" / "muse"
    if paths:
        return Lexicon.load([expand_path(path) for path in paths], targets), ", ".join(map(str, paths))
    if muse.is_dir() and policy != "wiki":
        return Lexicon.load([muse], targets), str(muse)
    if missing := sorted(set(targets or ()) - set(_NAMED)):
        raise UserError(
            f"no lexicon into {', '.join(missing)} comes with xlret; name one with --lexicon, or take {', '.join(_NAMED)}"
        )
    entries = {}
    for lang in targets or _NAMED:
        pairs = name_pairs(names_of("en"), names_of(lang))
        entries["en", lang] = [Entry(word, name, 1.0) for word, name in (*word_pairs(pairs, lang), *title_pairs(pairs))]
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
