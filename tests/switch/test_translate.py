import sys
from pathlib import Path

import pytest

from xlret.errors import UserError
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.translate import WordTranslator

LEXICON = Lexicon.from_entries(
    {
        ("en", "de"): [Entry("dog", "Hund", 1.0), Entry("the", "der", 1.0), Entry("new", "neu", 1.0)],
        ("en", "ru"): [Entry("dog", "собака", 1.0)],
        ("ru", "en"): [Entry("собака", "hound", 1.0)],
        ("zh", "en"): [Entry("北京", "Beijing", 1.0), Entry("爱", "love", 1.0), Entry("爱", "like", 0.5)],
    }
)


def test_words_are_translated_from_direct_and_turned_lexicons() -> None:
    translator = WordTranslator(LEXICON)
    assert translator.languages == ("de", "ru", "zh")
    assert translator.translate("Der HUND schläft, neu!", "de") == "The DOG schläft, new!"
    assert translator.translate("собака", "ru") == "hound"
    assert translator.translate("the Hund", "en") == "the Hund"


def test_texts_without_spaces() -> None:
    pytest.importorskip("icu")
    assert WordTranslator(LEXICON).translate("我爱北京。", "zh") == "我 love Beijing。"


def test_a_language_without_lexicon_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no lexicon from sw into en; there is one for de, ru, zh"):
        WordTranslator(LEXICON).translate("mbwa", "sw")
    with pytest.raises(UserError, match="no lexicon into or from fr"):
        WordTranslator(LEXICON, "fr")
    (tmp_path / "en-de.txt").write_text("dog hund\n")
    assert WordTranslator.load([tmp_path]).translate("Hund", "de") == "Dog"


def test_only_the_languages_asked_for_are_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icu", None)
    with pytest.raises(UserError, match="needs PyICU"):
        WordTranslator(LEXICON)
    translator = WordTranslator(LEXICON, languages=["de", "en", "ru"])
    assert translator.languages == ("de", "ru")
    assert translator.translate("Hund", "de") == "Dog"
    with pytest.raises(UserError, match="no lexicon from sw into en"):
        WordTranslator(LEXICON, languages=["de", "sw"])


def test_with_nothing_to_translate_texts_stay_as_they_are() -> None:
    translator = WordTranslator(LEXICON, languages=["en"])
    assert translator.languages == ()
    assert translator.translate("the Hund", "en") == "the Hund"
    with pytest.raises(UserError, match="no lexicon from de into en; there is one for none"):
        translator.translate("Hund", "de")
