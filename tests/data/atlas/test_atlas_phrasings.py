import pytest

from xlret.data.atlas import LANGUAGES
from xlret.data.atlas.facts import ANSWER, SUBJECT, Fact, Term, all_facts, cities, territories, world
from xlret.data.atlas.names import Names, unambiguous
from xlret.data.atlas.phrasings import fill, load_templates, placeholders


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_says_the_same_in_the_same_places(lang: str) -> None:
    english, here = load_templates("en"), load_templates(lang)
    assert set(here.kinds) == set(SUBJECT)
    for kind, phrasings in here.kinds.items():
        for side in ("questions", "passages"):
            templates = getattr(phrasings, side)
            assert len(set(templates)) == len(templates) >= (3 if side == "questions" else 2)
            assert [placeholders(one) for one in templates] == [placeholders(one) for one in getattr(english.kinds[kind], side)]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_names_never_touch_an_apostrophe_or_a_hyphen(lang: str) -> None:
    """Elision (l'), suffixes (Türkiye'de) and prefixes would need the name inflected or its first sound known."""
    for phrasings in load_templates(lang).kinds.values():
        for template in (*phrasings.questions, *phrasings.passages):
            for sign in "'’-":
                assert f"{sign}{{" not in template
                assert f"}}{sign}" not in template
            if lang not in ("th", "zh"):  # written without spaces
                around = [part for part in template.replace("}", "{").split("{")[::2] if part]
                assert not any(part[-1].isalpha() for part in around[:-1])
                assert not any(part[0].isalpha() for part in around[1:])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("unit:", "units:", 1), "kinds or quantities"),
        (lambda text: text.replace("angle: angle, ", "", 1), "kinds or quantities"),
        (lambda text: text.replace("country “{territory}”?", "country?", 1), "must name territory alone"),
        (lambda text: text.replace("currency is: {currency}.", "currency is unknown.", 1), "must name territory and currency"),
    ],
)
def test_damaged_templates_are_refused(damage, message, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from xlret.data.atlas import phrasings

    text = (phrasings.files("xlret.data.atlas") / "templates" / "en.yaml").read_text(encoding="utf-8")
    assert damage(text) != text
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "en.yaml").write_text(damage(text), encoding="utf-8")
    world()  # from its real place
    monkeypatch.setattr(phrasings, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=message):
        phrasings.load_templates.__wrapped__("en")


def test_fill_starts_sentences_with_a_capital() -> None:
    assert fill("{language}: ¿dónde?", {"language": "francés"}, "es") == "Francés: ¿dónde?"
    assert fill("{unit}: ne?", {"unit": "inç"}, "tr") == "İnç: ne?"
    assert fill("Der {unit} misst.", {"unit": "inç"}, "de") == "Der inç misst."
    assert fill("{city}：哪里？", {"city": "巴黎"}, "zh") == "巴黎：哪里？"


def test_facts_are_unique_and_complete() -> None:
    facts = all_facts()
    assert len({(fact.kind, fact.subject) for fact in facts}) == len(facts)
    for fact in facts:
        assert {SUBJECT[fact.kind], ANSWER[fact.kind]} <= set(fact.terms)
    assert {fact.kind for fact in facts} == set(SUBJECT)


def fact(kind: str, subject: str) -> Fact:
    return next(one for one in all_facts() if (one.kind, one.subject) == (kind, subject))


def test_facts_are_what_everybody_knows() -> None:
    assert fact("currency", "JP").terms["currency"] == Term("currency", ("JPY",))
    assert fact("currency", "DE").terms["currency"] == Term("currency", ("EUR",))
    assert fact("official", "AT").terms["languages"] == Term("language", ("de",))
    assert set(fact("official", "CA").terms["languages"].codes) == {"en", "fr"}
    assert fact("spoken", "BR").terms["language"] == Term("language", ("pt",))
    assert fact("spoken", "UZ").terms["percent"] == Term("text", ("85",))  # Latin and Cyrillic are one language
    assert fact("week", "US").terms["day"] == Term("day", ("6",))
    assert fact("week", "FR").terms["day"] == Term("day", ("0",))
    assert fact("week", "EG").terms["weekend"] == Term("day", ("4", "5"))
    assert fact("week", "IR").terms["weekend"] == Term("day", ("4",))
    assert fact("region", "KE").terms["region"] == Term("territory", ("014",))
    assert fact("region", "KE").terms["continent"] == Term("territory", ("002",))
    assert fact("city", "Asia/Tokyo").terms["territory"] == Term("territory", ("JP",))
    assert fact("timezone", "Europe/Paris").terms["zone"] == Term("zone", ("Europe_Central",))
    assert fact("currency_code", "KWD").terms["digits"] == Term("text", ("3",))
    assert fact("script", "ru").terms["script"] == Term("script", ("Cyrl",))
    assert fact("homeland", "sw").terms["territory"] == Term("territory", ("TZ",))
    assert fact("unit", "length-meter").terms["quantity"] == Term("quantity", ("length",))


def test_most_spoken_languages_are_so_beyond_doubt() -> None:
    spoken = [one for one in all_facts() if one.kind == "spoken"]
    assert len(spoken) > 150
    assert all(50 <= int(one.terms["percent"].codes[0]) <= 100 for one in spoken)
    assert not any(one.subject == "ML" for one in spoken)  # CLDR counts 46 % for the largest one


def test_the_world_is_whole() -> None:
    places = territories()
    assert len(places) == len(set(places)) > 230
    regions = [region for regions in world()["continents"].values() for region in regions]
    assert sorted(regions) == sorted(world()["regions"])
    assert {"GB", "NO", "TW", "US"} <= set(places)
    english = Names("en")
    assert all(english.name(Term("territory", (code,))) for code in [*places, *regions, *world()["continents"]])
    zones = set(Names("ar")._locale.time_zones)
    assert set(world()["not_cities"]) <= zones
    assert set(cities()) <= zones
    assert not set(cities()) & set(world()["not_cities"])


def test_names_are_never_a_fallback() -> None:
    hindi, german = Names("hi"), Names("de")
    assert hindi.name(Term("language", ("xx",))) is None
    assert german.name(Term("language", ("de", "xx"))) is None
    assert german.name(Term("city", ("Europe/Rome",))) == "Rom"
    assert german.name(Term("city", ("America/Los_Angeles",))) == "Los Angeles"  # UTS 35: the end of the zone's id
    assert hindi.name(Term("city", ("America/Nowhere",))) is None
    assert german.name(Term("quantity", ("length",))) is None
    assert Names("de", {"length": "Länge"}).name(Term("quantity", ("length",))) == "Länge"


def test_shared_names_name_nobody() -> None:
    terms = [Term("text", ("One",)), Term("text", ("one",)), Term("text", ("two",)), Term("language", ("xx",))]
    assert list(unambiguous(terms, Names("en"))) == [Term("text", ("two",))]
