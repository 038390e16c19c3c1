import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.text.case import fold
from xlret.text.spelling import loose

SPELLINGS = [
    ("ar", "قلم", ["قَلَم", "قلــم", "ﻗﻠﻢ", "قَلَمٌ"]),
    ("ar", "أحمر", ["احمر", "أَحْمَر", "ٱحمر"]),
    ("ar", "مستشفى", ["مستشفي", "مُستشفىٰ"]),
    ("fa", "کتاب", ["كتاب", "کِتاب"]),
    ("fa", "می\u200cروم", ["میروم", "مي\u200cروم"]),
    ("he", "בית", ["בַּיִת", "בַּית"]),
    ("ja", "テレビ", ["ﾃﾚﾋﾞ", "テレヒ\u3099"]),
    ("ja", "cd", ["ＣＤ", "ｃｄ"]),
    ("ko", "한글", [unicodedata.normalize("NFD", "한글")]),
    ("th", "คำ", ["ค\u0e4dา"]),
    ("th", "ช้ำ", ["ช\u0e4d\u0e49า", "ช\u0e49\u0e4dา"]),
    ("th", "ที่", ["ท\u0e48\u0e35"]),
    ("th", "แมว", ["เเมว"]),
    ("lo", "ນ້ຳ", ["ນ\u0ecd\u0ec9າ", "ນ\u0ec9\u0ecdາ"]),
    ("de", "fuß", ["FUSS", "Fuß", "fuẞ", "FUẞ", "fu\u00adß"]),
    ("de-AT", "fuß", ["FUSS"]),
    ("de", "strasse", ["Straße"]),
    ("el", "πόλη", ["ΠΟΛΗ", "Πόλη", unicodedata.normalize("NFD", "πόλη")]),
    ("el", "δρόμος", ["ΔΡΟΜΟΣ", "ΔΡΌΜΟΣ"]),
    ("tr-TR", "ilgi", ["İLGİ", "ilgi"]),
    ("az-Latn", "ışıq", ["IŞIQ"]),
    ("nl", "ijzer", ["Ĳzer", "IJZER", "ĳzer"]),
    ("fr", "œuf", ["OEUF", "Œuf"]),
    ("fr", "aujourd'hui", ["aujourd’hui"]),
    ("ka", "წყალი", ["ᲬᲧᲐᲚᲘ"]),
    ("vi", "nước", [unicodedata.normalize("NFD", "nước"), "NƯỚC"]),
]


@pytest.mark.parametrize(("lang", "word", "others"), SPELLINGS)
def test_a_word_is_found_however_it_is_spelt(lang: str, word: str, others: list[str]) -> None:
    listed = Lexicon.from_entries({(lang, "en"): [Entry(word, "meaning", 1.0)]})
    for spelling in (word, *others):
        assert listed.translations(spelling, lang, "en").texts == ("meaning",), spelling
    for spelling in others:  # and the other way round: a lexicon with this spelling serves the usual one
        turned = Lexicon.from_entries({(lang, "en"): [Entry(spelling, "meaning", 1.0)]})
        assert turned.translations(word, lang, "en").texts == ("meaning",), spelling


@pytest.mark.parametrize(
    ("lang", "left", "right"),
    [
        ("tr", "ılık", "ilik"),
        ("de", "masse", "maße"),
        ("ar", "علم", "عمل"),
        ("th", "มา", "ม้า"),
        ("vi", "ma", "má"),
        ("el", "νόμος", "νομός"),
    ],
)
def test_words_of_their_own_keep_their_own_translations(lang: str, left: str, right: str) -> None:
    """Where the lexicon has both spellings, each word finds its own."""
    listed = Lexicon.from_entries({(lang, "en"): [Entry(left, "left", 1.0), Entry(right, "right", 1.0)]})
    assert listed.translations(left, lang, "en").texts == ("left",)
    assert listed.translations(right, lang, "en").texts == ("right",)


def test_the_words_of_a_lexicon_stay_as_they_are_written() -> None:
    listed = Lexicon.from_entries({("de", "en"): [Entry("Straße", "street", 1.0)]})
    assert [entry.word for entry in listed.tables["de"].entries("en")] == ["straße"]


def test_titles_are_found_in_other_spellings() -> None:
    table = Lexicon.from_entries({("de", "en"): [Entry("große straße", "main street", 1.0)]}).tables["de"]
    assert table.row_of(fold("GROSSE STRASSE", "de")) == 0
    assert not table.begins("kleine")
    assert Lexicon.from_entries({("de", "en"): [Entry("grosse strasse", "x", 1.0)]}).tables["de"].begins("große ")


@given(st.text(max_size=8), st.sampled_from(["en", "ar", "he", "th", "el", "de", "ja"]))
def test_a_loose_form_is_its_own(word: str, lang: str) -> None:
    once = loose(fold(word, lang), lang)
    assert loose(once, lang) == once
