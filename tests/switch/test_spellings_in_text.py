"""Words in texts find their entries however they are spelt; what is not switched stays as it is written, to the byte."""

from pathlib import Path

import pytest

from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.settings import SwitchSettings
from xlret.switch.switcher import Switcher


def switched(text: str, lang: str, entries: dict[str, str]) -> str:
    target = "de" if lang == "en" else "en"
    lexicon = Lexicon.from_entries({(lang, target): [Entry(word, meaning, 1.0) for word, meaning in entries.items()]})
    settings = SwitchSettings(policy="bl", lexicons=(Path("x"),), p=1.0, choice="first")
    return Switcher(lexicon, settings).switch(text, lang, (0,)).text


@pytest.mark.parametrize(
    ("lang", "text", "entries", "expected"),
    [
        ("ar", "هذا قَلَمٌ جديد", {"قلم": "pen"}, "هذا pen جديد"),
        ("ar", "هذا قلــم جَديد", {"قلم": "pen"}, "هذا pen جَديد"),
        ("he", "זה בַּיִת גָּדוֹל", {"בית": "house"}, "זה house גָּדוֹל"),
        ("ja", "新しいﾃﾚﾋﾞです", {"テレビ": "tv"}, "新しい tv です"),
        ("th", "ผมดื่มน\u0e4d\u0e49าเย็น", {"น้ำ": "water"}, "ผมดื่ม water เย็น"),
        ("de", "Die STRASSE ist lang", {"straße": "street"}, "Die STREET ist lang"),
        ("el", "ΜΕΓΑΛΗ ΠΟΛΗ", {"πόλη": "town"}, "ΜΕΓΑΛΗ TOWN"),
        ("tr-TR", "IŞIK var", {"ışık": "light"}, "LIGHT var"),
        ("az-Latn", "İŞ çoxdur", {"iş": "work"}, "WORK çoxdur"),
    ],
)
def test_a_spelling_is_found_in_its_text(lang: str, text: str, entries: dict[str, str], expected: str) -> None:
    assert switched(text, lang, entries) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("That's the dog's bone", "That's the Hund's bone"),
        ("let's see, it’s here", "let's see, it’s here"),
        ("What's new? WHO'S there?", "What's new? WHO'S there?"),
        ("a week's work", "a Woche's work"),
    ],
)
def test_contractions_are_no_possessives(text: str, expected: str) -> None:
    entries = {"dog": "Hund", "that": "das", "let": "lassen", "it": "es", "what": "was", "who": "wer", "week": "Woche"}
    assert switched(text, "en", entries) == expected
