"""What CLDR calls a territory, language, currency, ... in one language, and never what it falls back to."""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, cached_property

from babel import Locale
from babel.lists import format_list

from xlret.data.atlas.facts import Term, TermType

SCRIPTS = {"ar": "ARABIC", "el": "GREEK", "hi": "DEVANAGARI", "ru": "CYRILLIC", "th": "THAI", "zh": "CJK"}
"""Language -> how the Unicode names of its letters begin; the other languages are written in Latin letters."""

_UNSEEN = dict.fromkeys((0xAD, 0x200E, 0x200F))  # soft hyphen and direction marks, which CLDR has in a few names


class Names:
    """Names in one language.

    A name that CLDR does not have in the language is None, not English and not the code. One rule of CLDR counts as a
    name (UTS 35, exemplar cities): in Latin script, a city that is not listed is called like the end of its zone id.

    Args:
        lang: language code.
        quantities: names of physical quantities, which CLDR lacks.

    >>> names = Names("de")
    >>> names.name(Term("territory", ("NL",))), names.name(Term("language", ("fr", "nl")))
    ('Niederlande', 'Französisch und Niederländisch')
    >>> names.name(Term("city", ("Asia/Tokyo",)))
    'Tokio'
    """

    def __init__(self, lang: str, quantities: dict[str, str] | None = None) -> None:
        self.lang = lang
        self._locale = Locale.parse(lang)
        self._quantities = quantities or {}
        self._known: dict[Term, str | None] = {}

    def name(self, term: Term) -> str | None:
        """The name, uninflected, in NFC; several codes are listed as the language lists things. None if one has no name."""
        if term not in self._known:
            self._known[term] = self._listed(term)
        return self._known[term]

    def _listed(self, term: Term) -> str | None:
        names = [name for code in term.codes if (name := self._name_of_code(term.type, code)) is not None]
        if len(names) < len(term.codes):
            return None
        return names[0] if len(names) == 1 else str(format_list(names, locale=self._locale))

    def _name_of_code(self, kind: TermType, code: str) -> str | None:
        if kind == "text":
            return code
        if kind == "quantity":
            return self._quantities.get(code)
        raw = self._zone(code) if kind == "zone" else self._city(code) if kind == "city" else self._tables[kind].get(code)
        name = " ".join(unicodedata.normalize("NFC", raw).translate(_UNSEEN).split()) if isinstance(raw, str) else ""
        return name if name and name != code and in_script(name, self.lang) else None

    @cached_property
    def _tables(self) -> dict[TermType, dict[str, str]]:
        locale = self._locale
        units = {unit: dict(forms).get("long") for unit, forms in locale.unit_display_names.items()}
        return {
            "territory": dict(locale.territories),
            "language": dict(locale.languages),
            "script": dict(locale.scripts),
            "currency": dict(locale.currencies),
            "day": {str(day): name for day, name in locale.days["stand-alone"]["wide"].items()},
            "month": {str(month): name for month, name in locale.months["stand-alone"]["wide"].items()},
            "unit": {unit: name for unit, name in units.items() if name},
        }

    def _city(self, zone: str) -> str | None:
        listed = self._locale.time_zones.get(zone, {}).get("city")
        if listed is None and self.lang not in SCRIPTS:
            return zone.split("/")[-1].replace("_", " ")
        return str(listed) if listed is not None else None

    def _zone(self, meta_zone: str) -> str | None:
        forms = dict(self._locale.meta_zones.get(meta_zone, {}).get("long", {}))
        return forms.get("generic") or forms.get("standard")


def in_script(name: str, lang: str) -> bool:
    """Whether a name is written in the script of its language; other scripts may add an abbreviation, as in `доллар US`.

    >>> in_script("Ελλάδα", "el"), in_script("Greece", "el"), in_script("Ελλάδα", "de")
    (True, False, False)
    """
    letters = [letter for letter in name if unicodedata.category(letter) in ("Lu", "Ll", "Lt", "Lo")]
    if lang in SCRIPTS:
        return any(_script(letter) == SCRIPTS[lang] for letter in letters)
    return bool(letters) and all(_script(letter) == "LATIN" for letter in letters)


def unambiguous(subjects: Iterable[Term], names: Names) -> Iterator[Term]:
    """Those of `subjects` that have a name in this language which no other one has."""
    by_name: dict[str, list[Term]] = {}
    for subject in subjects:
        name = names.name(subject)
        if name is not None:
            by_name.setdefault(name.casefold(), []).append(subject)
    return (same[0] for same in by_name.values() if len(same) == 1)


@cache
def _script(letter: str) -> str:
    """First word of the letter's Unicode name: LATIN, GREEK, CJK, ..."""
    return unicodedata.name(letter, "?").split()[0].split("-")[0]
