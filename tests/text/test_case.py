import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.text.case import carry_case, fold, is_mixed_case


@pytest.mark.parametrize(
    ("source", "target", "lang", "carried"),
    [
        ("dog", "hund", "de", "hund"),
        ("Dog", "hund", "de", "Hund"),
        ("DOG", "hund", "de", "HUND"),
        ("A", "ein", "de", "Ein"),
        ("dog", "Hund", "de", "Hund"),
        ("Dog", "собака", "ru", "Собака"),
        ("DOG", "كلب", "ar", "كلب"),
        ("DOG", "狗", "zh", "狗"),
        ("INTERNET", "internet", "tr", "İNTERNET"),
        ("United States", "vereinigte staaten", "de", "Vereinigte Staaten"),
        ("United states", "vereinigte staaten", "de", "Vereinigte staaten"),
        ("Guinea-Bissau", "guinea-bisáu", "es", "Guinea-Bisáu"),
        ("State", "new york state", "de", "New york state"),
        ("北京", "beijing", "en", "beijing"),
        ("Dog", "ǆep", "hr", "ǅep"),
    ],
)
def test_case_is_carried(source: str, target: str, lang: str, carried: str) -> None:
    assert carry_case(source, target, lang) == carried


@given(st.text(), st.sampled_from(["en", "tr", "de"]))
def test_folding_is_stable_and_normalised(word: str, lang: str) -> None:
    folded = fold(word, lang)
    assert fold(folded, lang) == folded
    assert folded.isascii() or unicodedata.is_normalized("NFC", folded)
    assert folded == " ".join(folded.split())


@pytest.mark.parametrize(
    ("word", "mixed"),
    [
        ("iPhone", True),
        ("getName", True),
        ("McDonald", True),
        ("New York", False),
        ("O’Neill", False),
        ("ÉTÉ", False),
        ("東京", False),
    ],
)
def test_mixed_case_is_how_code_and_brands_are_written(word: str, mixed: bool) -> None:
    assert is_mixed_case(word) is mixed
