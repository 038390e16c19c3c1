"""The translations of words as they are written in texts: looked up once, case carried over, ready to be put in."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Literal, TypeVar

from xlret.lexicon.lexicon import Table
from xlret.switch.units import Match, Reading, Ready, Unit, cut
from xlret.text.case import carry_case, fold, is_mixed_case
from xlret.text.languages import written_without_spaces

_HELD = 200_000
"""Words or pieces kept before starting again: some 100 MB with five target languages."""
_LONGEST_HELD = 64
"""Longer pieces than this hardly come again."""
_SPANNING = ("`", "{{", "<")
"""Signs of stretches with spaces inside that are never switched (see `segment`)."""

T = TypeVar("T")


class Vocabulary:
    """Cuts texts of one language into units and knows the translations of each.

    Text between single spaces is cut and looked up once and kept, with its punctuation: running text consists of few
    different such pieces.

    Args:
        table: the lexicon's entries of that language.
        languages: target languages, some of the table's.
        choice: `first`, `random` or `score`, see `SwitchSettings`.
    """

    def __init__(self, table: Table, languages: Sequence[str], choice: Literal["first", "random", "score"]) -> None:
        self.languages = tuple(languages)
        self.has_unspaced = any(map(written_without_spaces, languages))
        self._table = table
        self._choice = choice
        self._cut_whole = written_without_spaces(table.source)
        self._joints = ("",) if self._cut_whole else (" ", "-")
        self._pieces = _Pieces(self._cut)
        self._words: dict[str, Match | None] = {}
        self._starts: dict[str, bool] = {}

    def serves(self, table: Table, languages: Sequence[str]) -> bool:
        """Whether this is the vocabulary of these entries and languages."""
        return self._table is table and self.languages == tuple(languages)

    def units(self, text: str) -> list[Unit]:
        """The text as units; joined, they are the text and one space more."""
        if self._cut_whole or any(sign in text for sign in _SPANNING):
            return list(self._cut(text))
        return list(chain.from_iterable(map(self._pieces.__getitem__, text.split(" "))))

    def ready(self, unit: Unit, number: int) -> Ready:
        """What may stand in place of a unit with an entry, in `languages[number]`."""
        assert unit.match is not None, unit.text
        assert unit.ready is not None, unit.text
        texts, thresholds = self.candidates(unit.match, number)
        made = tuple(None if text is None else unit.around(text) for text in texts), thresholds
        unit.ready[number] = made
        return made

    def find(self, word: str) -> Match | None:
        """The entry of a word, or of several as they stand in a text."""
        return self._words[word] if word in self._words else _remembered(self._words, word, self._look_up)

    def candidates(self, match: Match, number: int) -> Ready:
        """Its translations into `languages[number]`, best first, in the case of the word."""
        ready = match.ready[number]
        if ready is None:
            ready = match.ready[number] = self._candidates(match, self.languages[number])
        return ready

    def starts_longer(self, word: str) -> bool:
        """Whether an entry of several words may begin with this word."""
        return self._starts[word] if word in self._starts else _remembered(self._starts, word, self._look_for_longer)

    def _cut(self, text: str) -> tuple[Unit, ...]:
        pieces = cut(text, self._table.source)
        before, word, after = pieces[-1]
        pieces[-1] = (before, word, after + " ")
        return tuple(Unit(before, word, after, self.find(word) if word else None) for before, word, after in pieces)

    def _look_up(self, word: str) -> Match | None:
        if is_mixed_case(word):
            return None
        readings: list[Reading] = []
        for before, core, after in _readings(word, self._table.source):
            row = self._table.row_of(fold(core, self._table.source))
            if row >= 0:
                readings.append((row, before, core, after))
        return Match(tuple(readings), len(self.languages)) if readings else None

    def _look_for_longer(self, word: str) -> bool:
        source = self._table.source
        starts = [fold(core, source) for _, core, after in _readings(word, source) if not after]
        return any(self._table.begins(start + joint) for start in starts for joint in self._joints)

    def _candidates(self, match: Match, lang: str) -> Ready:
        for reading in match.readings:
            candidates = self._table.candidates(reading[0], lang)
            if candidates.texts:
                break
        _, before, core, after = reading
        itself = fold(core, self._table.source)
        as_written = core if core != "I" else "i"  # the English pronoun: a capital that is no title
        texts = tuple(
            None if fold(text, self._table.source) == itself else before + carry_case(as_written, text, lang) + after
            for text in candidates.texts[: 1 if self._choice == "first" else None]
        )
        scores = candidates.scores
        if self._choice != "score" or sum(scores) <= 0 or len(set(scores)) == 1:
            return texts, None
        return texts, tuple(accumulate(score / sum(scores) for score in scores))


class _Pieces(dict[str, tuple[Unit, ...]]):
    """Pieces of text between spaces and their units, made at the first look."""

    def __init__(self, make: Callable[[str], tuple[Unit, ...]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, piece: str) -> tuple[Unit, ...]:
        return self._make(piece) if len(piece) > _LONGEST_HELD else _remembered(self, piece, self._make)


def _remembered(held: dict[str, T], word: str, find: Callable[[str], T]) -> T:
    if len(held) >= _HELD:
        held.clear()
    value = held[word] = find(word)
    return value


_CONTRACTED = frozenset(
    {"it", "he", "she", "that", "this", "there", "here", "what", "who", "where", "when", "why", "how", "let"}
    | {"everything", "something", "nothing"}
)
"""English words whose 's is mostly `is`, `has` or `us`: `that's` is no possessive of `that`."""


def _readings(word: str, source: str) -> Iterator[tuple[str, str, str]]:
    """Ways to look a word or several up, as (what stays before, what is looked up, what stays after): whole, then without
    an English 's at the end or an elided article such as French l' at the start; `histoire de l'art` is no reading of art."""
    yield "", word, ""
    if "'" not in word and "’" not in word:
        return
    plain = word.replace("’", "'")
    yield "", plain, ""
    if source == "en":
        if plain[-2:] in ("'s", "'S") and plain[:-2].lower() not in _CONTRACTED:
            yield "", plain[:-2], word[-2:]
    elif (elided := re.match(r"\S*'(?=.)", plain)) is not None:
        yield word[: elided.end()], plain[elided.end() :], ""
