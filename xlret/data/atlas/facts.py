"""The facts of CLDR that the atlas asks for, free of any language: what is asked of what, and what the answer is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from babel import Locale
from babel.core import get_global
from babel.localedata import locale_identifiers

TermType = Literal["territory", "language", "script", "currency", "day", "month", "city", "zone", "unit", "quantity", "text"]


@dataclass(frozen=True)
class Term:
    """Something with a name in each language: one CLDR code, or several that are read as a list."""

    type: TermType
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """One fact.

    Attributes:
        kind: what is asked (`currency`, `city`, ...).
        subject: code of what it is asked of; (kind, subject) is unique.
        terms: placeholder of the templates -> what stands there.
    """

    kind: str
    subject: str
    terms: dict[str, Term]


SUBJECT = {
    "currency": "territory",
    "official": "territory",
    "spoken": "territory",
    "week": "territory",
    "region": "territory",
    "city": "city",
    "timezone": "city",
    "currency_code": "currency",
    "script": "language",
    "homeland": "language",
    "unit": "unit",
}
"""Kind of fact -> the placeholder that its questions name."""

ANSWER = {
    "currency": "currency",
    "official": "languages",
    "spoken": "language",
    "week": "day",
    "region": "region",
    "city": "territory",
    "timezone": "zone",
    "currency_code": "code",
    "script": "script",
    "homeland": "territory",
    "unit": "quantity",
}
"""Kind of fact -> the placeholder that its questions ask for."""

_MAX_OFFICIAL = 4  # longer lists would not be read as a sentence
_MIN_SHARE, _MIN_LEAD = 50.0, 10.0  # percent; the most spoken language must be so beyond doubt, CLDR's figures are estimates


@cache
def all_facts() -> tuple[Fact, ...]:
    """All facts, in a fixed order; takes about a second, once."""
    makers = (_currencies, _languages_of_territories, _weeks, _regions, _cities, _currency_codes, _languages, _units)
    return tuple(fact for make in makers for fact in make())


def territories() -> list[str]:
    """Codes of the countries and territories that the atlas knows, sorted."""
    return sorted(code for codes in world()["regions"].values() for code in codes)


def cities() -> dict[str, str]:
    """Time zone named for a city -> the territory of that city."""
    territory_of, aliases = get_global("zone_territories"), get_global("zone_aliases")
    excluded = set(world()["not_cities"])
    named = sorted(zone for zone in Locale.parse("ar").time_zones if zone not in excluded)  # ar names every zone
    listed = {zone: territory_of.get(aliases.get(zone, zone)) for zone in named}
    known = set(territories())
    return {zone: territory for zone, territory in listed.items() if territory in known and not zone.startswith("Antarctica/")}


@cache
def world() -> dict[str, Any]:
    """The file `world.yaml`: what Babel leaves out of CLDR and what the atlas leaves out of Babel; lists of codes split."""
    data: dict[str, Any] = yaml.safe_load((files("xlret.data.atlas") / "world.yaml").read_text(encoding="utf-8"))
    split = {name: value.split() if isinstance(value, str) else value for name, value in data.items()}
    split["regions"] = {region: codes.split() for region, codes in data["regions"].items()}
    return split


def _fact(kind: str, subject: str, /, **terms: Term) -> Fact:
    return Fact(kind, subject, terms)


def _term(type_: TermType, *codes: str) -> Term:
    return Term(type_, codes)


def _territory(code: str) -> dict[str, Term]:
    """A territory and its ISO 3166 code."""
    return {"territory": _term("territory", code), "territory_code": _term("text", code)}


def _tender(territory: str) -> str | None:
    """The one currency that is legal tender now; None where there are several or none."""
    entries = get_global("territory_currencies").get(territory, [])
    current = [code for code, _, end, tender in entries if end is None and tender]
    return current[0] if len(current) == 1 else None


def _currencies() -> Iterator[Fact]:
    for code in territories():
        currency = _tender(code)
        if currency:
            yield _fact("currency", code, **_territory(code), currency=_term("currency", currency))


def _languages_of_territories() -> Iterator[Fact]:
    spoken_in = get_global("territory_languages")
    for code in territories():
        shares: dict[str, float] = {}
        official_here: set[str] = set()
        for written, info in spoken_in.get(code, {}).items():
            lang = written.split("_")[0]  # CLDR counts uz and uz_Cyrl, two ways of writing, apart
            shares[lang] = max(shares.get(lang, 0.0), info["population_percent"])
            if info["official_status"] in ("official", "de_facto_official"):
                official_here.add(lang)
        by_share = sorted(shares, key=lambda lang: (-shares[lang], lang))
        official = [lang for lang in by_share if lang in official_here]
        if 1 <= len(official) <= _MAX_OFFICIAL and code not in world()["no_official"]:
            yield _fact("official", code, **_territory(code), languages=_term("language", *official))
        if by_share and code not in world()["no_spoken"]:
            most, next_most = shares[by_share[0]], shares[by_share[1]] if len(by_share) > 1 else 0.0
            if most >= _MIN_SHARE and most - next_most >= _MIN_LEAD:
                percent = _term("text", str(min(round(most), 100)))
                yield _fact("spoken", code, **_territory(code), language=_term("language", by_share[0]), percent=percent)


def _weeks() -> Iterator[Fact]:
    weeks: dict[str, set[tuple[int, int, int]]] = {}
    for identifier in sorted(locale_identifiers()):
        territory = identifier.split("_")[-1]
        if len(territory) == 2 and territory.isupper():
            locale = Locale.parse(identifier)
            weeks.setdefault(territory, set()).add((locale.first_week_day, locale.weekend_start, locale.weekend_end))
    for code in territories():
        if len(weeks.get(code, ())) == 1:
            first, start, end = next(iter(weeks[code]))
            weekend = [str(day % 7) for day in range(start, start + (end - start) % 7 + 1)]
            yield _fact("week", code, **_territory(code), day=_term("day", str(first)), weekend=_term("day", *weekend))


def _regions() -> Iterator[Fact]:
    continent_of = {region: continent for continent, regions in world()["continents"].items() for region in regions}
    for region, codes in sorted(world()["regions"].items()):
        for code in codes:
            continent = _term("territory", continent_of[region])
            yield _fact("region", code, **_territory(code), region=_term("territory", region), continent=continent)


def _cities() -> Iterator[Fact]:
    meta_zones = get_global("meta_zones")
    for zone, territory in cities().items():
        city = _term("city", zone)
        yield _fact("city", zone, city=city, **_territory(territory))
        if zone in meta_zones:
            yield _fact("timezone", zone, city=city, zone=_term("zone", meta_zones[zone]))


def _currency_codes() -> Iterator[Fact]:
    fractions = get_global("currency_fractions")
    for code in sorted({currency for territory in territories() if (currency := _tender(territory))}):
        digits = fractions.get(code, fractions["DEFAULT"])[0]
        terms = {"code": _term("text", code), "digits": _term("text", str(digits))}
        yield _fact("currency_code", code, currency=_term("currency", code), **terms)


def _languages() -> Iterator[Fact]:
    likely, spoken_in = get_global("likely_subtags"), get_global("territory_languages")
    known = set(territories())
    for code in _plain(Locale.parse("en").languages):
        subtags = likely.get(code, "").split("_")
        if len(subtags) != 3:
            continue
        language = {"language": _term("language", code), "language_code": _term("text", code)}
        _, script, territory = subtags
        if code not in world()["no_script"]:
            yield _fact("script", code, **language, script=_term("script", script))
        if code not in world()["no_homeland"] and territory in known and code in spoken_in.get(territory, {}):
            yield _fact("homeland", code, **language, territory=_term("territory", territory))


def _units() -> Iterator[Fact]:
    excluded = set(world()["not_units"])
    for unit in sorted(Locale.parse("en").unit_display_names):
        quantity = unit.split("-")[0]
        if unit not in excluded and quantity in world()["quantities"]:
            yield _fact("unit", unit, unit=_term("unit", unit), quantity=_term("quantity", quantity))


def _plain(codes: Iterable[str]) -> list[str]:
    """Language codes without script or region, sorted."""
    return sorted(code for code in codes if code.isalpha() and len(code) in (2, 3))
