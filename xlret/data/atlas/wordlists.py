"""Word and title lexicons: what CLDR, and a small glossary of our own, call a thing in English and in another language."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import yaml
from babel import Locale

from xlret.data.atlas.facts import Term, cities, territories, world
from xlret.data.atlas.names import Names

Pair = tuple[str, str]


def name_pairs(english: Names, other: Names) -> list[Pair]:
    """All pairs (English name, other name) of one thing, and those of the glossary; each once, in a fixed order."""
    pairs = ((english.name(term), other.name(term)) for term in _all_terms())
    named = [(word, name) for word, name in pairs if word and name]
    return list(dict.fromkeys([*named, *((word, words[other.lang]) for word, words in _glossary().items())]))


def word_pairs(pairs: list[Pair], lang: str) -> list[Pair]:
    """The pairs of single words, in lower case as in MUSE; sorted by the English word, candidates in order of appearance."""
    words = [(_lower(word, "en"), _lower(name, lang)) for word, name in pairs if is_word(word) and is_word(name)]
    return sorted(dict.fromkeys(words), key=lambda pair: pair[0])


def title_pairs(pairs: list[Pair]) -> list[Pair]:
    """The pairs of which one side or both have several words, as they are written; without remarks in brackets."""
    titles = (pair for pair in pairs if not (is_word(pair[0]) and is_word(pair[1])))
    return sorted(pair for pair in titles if not any(sign in name for name in pair for sign in "()[]（）/,、，"))


def is_word(name: str) -> bool:
    """Whether a name is letters and their marks alone.

    >>> is_word("Ελλάδα"), is_word("भारत"), is_word("Hong Kong"), is_word("US-Dollar")
    (True, True, False, False)
    """
    return all(unicodedata.category(sign)[0] in "LM" for sign in name)


def _all_terms() -> Iterator[Term]:
    """Everything that the atlas has names for."""
    english = Locale.parse("en")
    territory_codes = [*world()["continents"], *world()["regions"], *territories()]
    yield from (Term("territory", (code,)) for code in territory_codes)
    yield from (Term("language", (code,)) for code in sorted(english.languages) if "_" not in code)
    yield from (Term("currency", (code,)) for code in sorted(english.currencies))
    yield from (Term("city", (zone,)) for zone in cities())
    yield from (Term("script", (code,)) for code in sorted(english.scripts))
    yield from (Term("day", (str(day),)) for day in range(7))
    yield from (Term("month", (str(month),)) for month in range(1, 13))
    yield from (Term("unit", (unit,)) for unit in sorted(english.unit_display_names))
    yield from (Term("quantity", (quantity,)) for quantity in world()["quantities"])


@cache
def _glossary() -> dict[str, dict[str, str]]:
    """English word -> language -> word."""
    glossary: dict[str, dict[str, str]] = yaml.safe_load((files("xlret.data.atlas") / "glossary.yaml").read_text("utf-8"))
    return glossary


def _lower(word: str, lang: str) -> str:
    return (word.replace("İ", "i").replace("I", "ı") if lang == "tr" else word).lower()
