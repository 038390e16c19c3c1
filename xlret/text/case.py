"""Upper and lower case per language, and carrying the case of a word over to its translation."""

import re
import unicodedata

from xlret.text.languages import has_dotless_i, primary

_JOINTS = re.compile(r"[\s'’-]+")
_BREAKS = re.compile(r"(?<=[ -])")


def fold(word: str, lang: str) -> str:
    """The form under which a lexicon keeps a word: NFC, lower case by the rules of `lang`, single spaces.

    >>> fold("  New  YORK", "en"), fold("IŞIK", "tr")
    ('new york', 'ışık')
    """
    word = " ".join(word.split())
    if has_dotless_i(lang):
        word = word.replace("İ", "i").replace("I", "ı")
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).lower())


def is_mixed_case(word: str) -> bool:
    """Whether a word is written as names of code and brands are: `iPhone`, `getName`, `JavaScript`.

    >>> [is_mixed_case(word) for word in ("iPhone", "IBM", "Berlin", "don't", "O'Neill")]
    [True, False, False, False, False]
    """
    if word.islower() or word.isupper():
        return False
    parts = _JOINTS.split(word)
    return any(part[1:] != part[1:].lower() and not part.isupper() for part in parts)


def carry_case(source: str, target: str, target_lang: str) -> str:
    """`target` in the case of `source`: UPPER stays upper, Title stays title; else as the lexicon has it.

    A single capital letter counts as Title. Scripts without case come back as they are. Several words are
    titled each if each word of the source is.

    >>> carry_case("House", "haus", "de"), carry_case("HOUSE", "straße", "de"), carry_case("Light", "ışık", "tr")
    ('Haus', 'STRASSE', 'Işık')
    >>> carry_case("New York", "nueva york", "es"), carry_case("house", "Haus", "de")
    ('Nueva York', 'Haus')
    """
    if source.islower():
        return target
    if len(source) > 1 and source.isupper():
        return _upper(target, target_lang)
    words = _BREAKS.split(source)
    if not words[0][:1].istitle():
        return target
    if len(words) > 1 and all(word[:1].istitle() for word in words):
        return "".join(_titled(part, target_lang) for part in _BREAKS.split(target))
    return _titled(target, target_lang)


def _upper(text: str, lang: str) -> str:
    return (text.replace("i", "İ") if has_dotless_i(lang) else text).upper()


def _titled(word: str, lang: str) -> str:
    if primary(lang) == "nl" and word[:2] == "ij":
        return "IJ" + word[2:]
    first = "İ" if has_dotless_i(lang) and word[:1] == "i" else word[:1].title()
    return first + word[1:]
