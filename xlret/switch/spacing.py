"""Spaces around switched words, as languages with and without spaces between words want them."""

from collections.abc import Sequence
from unicodedata import category

from xlret.switch.switched import Change
from xlret.switch.units import Unit
from xlret.text.languages import written_without_spaces

_SPACES = (" ", "\u00a0")


def close_up(units: Sequence[Unit], after: list[str], changes: list[Change]) -> None:
    """Takes away the space between neighbouring words that went to one language without spaces.

    The space that goes belongs to the first of them. Changes `after` and `changes`.
    """
    for number in range(len(changes) - 1):
        first, last, lang, _ = changes[number]
        next_first, _, next_lang, _ = changes[number + 1]
        meet = (
            last + 1 == next_first and units[last].trail == 1 and units[last].text[-1] in _SPACES and not units[next_first].lead
        )
        if meet and lang == next_lang and written_without_spaces(lang):
            after[first] = after[first][:-1]  # a title's text stands at its first unit
            changes[number] = (first, last, lang, True)


def open_up(units: Sequence[Unit], after: list[str], changes: Sequence[Change]) -> None:
    """Adds spaces where a word of a language with spaces came to stand next to letters or digits; changes `after`.

    For texts whose own language has no spaces. An added space belongs to the word that wanted it.
    """
    for first, last, lang, _ in changes:
        if written_without_spaces(lang):
            continue
        lead, trail = units[first].lead, units[last].trail
        text = after[first]
        before, word, behind = text[:lead], text[lead : len(text) - trail], text[len(text) - trail :]
        left = before or (after[first - 1] if first else "")
        right = behind or (after[last + 1] if last + 1 < len(after) else "")
        if _is_wordlike(left[-1:]):
            word = " " + word
        if _is_wordlike(right[:1]):
            word += " "
        after[first] = before + word + behind


def _is_wordlike(sign: str) -> bool:
    return sign != "" and category(sign)[0] in "LMN"
