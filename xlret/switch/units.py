"""Texts as units: one word each, with what stands around it, ready to be replaced."""

import re
from collections.abc import Sequence

from xlret.text.segment import split_words

SENTENCE_END = re.compile(r"""[.!?؟।…]["'”’“‘»«›‹)\]]*(?=\s|$)|[。！？][”’」』）】》]*|\n""")
"""The sign that ends a sentence, with the quotes and brackets that it closes; languages without such signs (th, lo, ...) have
one sentence a line."""

Ready = tuple[tuple[str | None, ...], tuple[float, ...] | None]
"""Replacements of a unit's text in one language (None: the word itself) and, where chances differ, thresholds rising to 1."""

Reading = tuple[int, str, str, str]
"""One way to read a word that has an entry: its row, and what stays before, is translated, and stays after. A plain tuple:
Python's garbage collector looks at no tuple of numbers and texts again, and a vocabulary holds very many."""


class Match:
    """A word that has an entry, with all ways to read it: a language may lack the first (`dog's`) and have another (`dog`)."""

    __slots__ = ("readings", "ready")

    def __init__(self, readings: tuple[Reading, ...], languages: int) -> None:
        self.readings = readings
        self.ready: list[Ready | None] = [None] * languages


class Unit:
    """A stretch of text with one word, or none. `lead` and `trail` are the lengths of what stands before and after it."""

    __slots__ = ("begins", "ends", "is_word", "lead", "match", "ready", "text", "trail")

    def __init__(self, before: str, word: str, after: str, match: Match | None) -> None:
        self.text = before + word + after
        self.lead = len(before)
        self.trail = len(after)
        self.is_word = word != ""
        self.begins = SENTENCE_END.search(before) is not None  # a sentence begins with this word
        self.ends = SENTENCE_END.search(after) is not None  # one ends after it
        self.match = match
        self.ready: list[Ready | None] | None = None if match is None else [None] * len(match.ready)

    @property
    def word(self) -> str:
        """The word as written; empty if there is none."""
        return self.text[self.lead : len(self.text) - self.trail]

    def around(self, word: str) -> str:
        """The text with another word in its place."""
        return self.text[: self.lead] + word + self.text[len(self.text) - self.trail :]


def cut(text: str, lang: str) -> list[tuple[str, str, str]]:
    """A text as (before, word, after) with one word each; all of them joined are the text. What stands between words goes
    with the word before it. A text without words is one piece without a word.

    >>> cut("(Well, then!", "en")
    [('(', 'Well', ', '), ('', 'then', '!')]
    """
    parts = split_words(text, lang)
    if len(parts) == 1:
        return [(text, "", "")]
    return [(parts[0] if position == 1 else "", parts[position], parts[position + 1]) for position in range(1, len(parts), 2)]


def sentence_starts(units: Sequence[Unit]) -> list[int]:
    """Per unit the number of the first unit of its sentence."""
    starts, start, ended = [], 0, False
    for number, unit in enumerate(units):
        if ended or unit.begins:
            start = number
        starts.append(start)
        ended = unit.ends
    return starts
