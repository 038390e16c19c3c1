"""The language of a question."""

import pytest

from xlret.serve.engine.detect import _identifier, detect
from xlret.text.languages import language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Wo liegt die Hauptstadt von Frankreich?", "de"),
        ("Türkiye'nin başkenti neresidir?", "tr"),
        ("ما هي عاصمة فرنسا؟", "ar"),
        ("भारत की राजधानी क्या है", "hi"),
        ("什么是首都", "zh"),
        ("42", None),
        ("?!", None),
        ("", None),
        ("😀🎉", None),
    ],
)
def test_detects(text: str, code: str | None) -> None:
    assert detect(text) == code


def test_a_single_word_goes_to_a_language_of_the_index() -> None:
    assert detect("what", ["en", "de", "es"]) == "en"
    assert detect("moneda", ["en", "de", "es"]) == "es"
    assert detect("¿Cuál es la moneda de Japón?", ["en", "de"]) == "es"  # clear enough to be none of them


def test_every_language_that_it_may_find_has_a_code() -> None:
    assert all(language(label) for label in _identifier().labels if label not in ("zxx", "und", "mul"))


@pytest.mark.parametrize("text", ["a\u0301" * 500, "\u202e" * 100, "x" * 100_000, "\ud800abc"])
def test_odd_texts_do_no_harm(text: str) -> None:
    detect(text)
