import unicodedata

import pytest

from xlret.data.atlas import HELD_OUT, LANGUAGES
from xlret.data.atlas.names import SCRIPTS, in_script
from xlret.data.atlas.phrasings import load_templates
from xlret.data.atlas.rows import names_of
from xlret.data.atlas.wordlists import _glossary, name_pairs, title_pairs, word_pairs

TRAINED = sorted(set(LANGUAGES) - {"en", HELD_OUT})


@pytest.mark.parametrize("lang", TRAINED)
def test_words_and_titles_of_a_language(lang: str) -> None:
    pairs = name_pairs(names_of("en"), names_of(lang))
    words, titles = word_pairs(pairs, lang), title_pairs(pairs)
    assert len(words) >= 400
    assert len(titles) >= 400
    assert len(set(words)) == len(words)
    assert len(set(titles)) == len(titles)
    assert words == sorted(words, key=lambda pair: pair[0])
    for one, two in words:
        assert not set(" \t-’'()") & set(one + two)
        assert one == one.lower()
        assert unicodedata.is_normalized("NFC", two)
        assert in_script(two, lang) or lang not in SCRIPTS
    for one, two in titles:
        assert "\t" not in one + two
        assert len(one.split()) > 1 or len(two.split()) > 1 or not (one + two).isalpha()


def test_known_words_and_titles() -> None:
    german = name_pairs(names_of("en"), names_of("de"))
    assert {("germany", "deutschland"), ("french", "französisch"), ("monday", "montag"), ("language", "sprache")} <= set(
        word_pairs(german, "de")
    )
    assert ("january", "январь") in word_pairs(name_pairs(names_of("en"), names_of("ru")), "ru")
    assert {("United States", "Vereinigte Staaten"), ("US Dollar", "US-Dollar")} <= set(title_pairs(german))


def test_turkish_is_put_in_lower_case_the_turkish_way() -> None:
    words = dict(word_pairs(name_pairs(names_of("en"), names_of("tr")), "tr"))
    assert words["english"] == "ingilizce"
    assert words["iraq"] == "ırak"


def test_the_glossary_is_whole_and_about_the_sentences() -> None:
    english = " ".join(
        template for one in load_templates("en").kinds.values() for template in (*one.questions, *one.passages)
    ).lower()
    for word, translations in _glossary().items():
        assert set(translations) == set(TRAINED), word
        assert word in english, word
