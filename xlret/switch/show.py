"""Switched texts for people: in colours on a terminal, or as a page of HTML."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.text import Text

from xlret.pages import render
from xlret.switch.switched import Switched

_COLOURS = ("#1b7f3b", "#b3261e", "#1d4ed8", "#9333ea", "#b45309", "#0e7490", "#be185d", "#4d7c0f")
"""Dark enough to be read on white; languages take them in alphabetical order, again from the first after the last."""


class Sample(NamedTuple):
    """One text of a sample page: which row and side it is, its language, and what became of it."""

    row: str
    lang: str
    switched: Switched


@dataclass(frozen=True)
class SampleTable:
    """What the template `switch/samples.html` shows: texts, with the languages that words went to and how many."""

    samples: Sequence[Sample]
    words_by_language: Mapping[str, int]
    colour_of: Mapping[str, str]
    words: int
    switched: int


def colours(languages: Iterable[str]) -> dict[str, str]:
    """A colour per language."""
    return {lang: _COLOURS[number % len(_COLOURS)] for number, lang in enumerate(sorted(set(languages)))}


def as_terminal_text(switched: Switched, colour_of: Mapping[str, str]) -> Text:
    """The text with every switched word in the colour of its language."""
    shown = Text()
    for text, span in switched.pieces():
        shown.append(text, style=None if span is None else f"bold {colour_of[span.lang]}")
    return shown


def terminal_legend(texts: Sequence[Switched], colour_of: Mapping[str, str]) -> Text:
    """The languages in their colours with how many words went to each, and the share of switched words."""
    shown = Text()
    for lang, count in _words_by_language(texts).items():
        shown.append(lang, style=f"bold {colour_of[lang]}")
        shown.append(f" {count}  ")
    words, switched = sum(text.words for text in texts), sum(text.switched for text in texts)
    return shown.append(f"switched {switched} of {words} words" + (f" ({switched / words:.0%})" if words else ""))


def sample_table(samples: Sequence[Sample]) -> SampleTable:
    """Texts with a legend, for the template of a page."""
    texts = [sample.switched for sample in samples]
    counts = _words_by_language(texts)
    words, switched = sum(text.words for text in texts), sum(text.switched for text in texts)
    return SampleTable(samples, counts, colours(counts), words, switched)


def sample_page(samples: Sequence[Sample], title: str) -> str:
    """A page of its own with switched words marked by their language, which show the original when pointed at."""
    return render("switch/page.html", title=title, table=sample_table(samples))


def _words_by_language(texts: Iterable[Switched]) -> dict[str, int]:
    """Switched words of each language, languages in alphabetical order."""
    counts: Counter[str] = Counter()
    for text in texts:
        for span in text.spans:
            counts[span.lang] += span.words
    return dict(sorted(counts.items()))
