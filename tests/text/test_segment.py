import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xlret.errors import UserError
from xlret.text.segment import require_segmenter, split_words


def _words(text: str, lang: str = "en") -> list[str]:
    return split_words(text, lang)[1::2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", ["Hello", "world"]),
        ("don't rock’n’roll 'quoted'", ["don't", "rock’n’roll", "quoted"]),
        ("well-known and/or", ["well", "known", "and", "or"]),
        ("3rd B52 snake_case x2y H2O", []),
        ("a.b.c file.txt e.g. end.", ["end"]),
        ("see https://x.org/a?b=c, or www.x.org and me@x.org.", ["see", "or", "and"]),
        ("run `rm -rf x` or ```\ncode here\n``` now", ["run", "or", "now"]),
        ("<b>bold</b> &amp; {{some place}} #tag @name", ["bold"]),
        ("tar --extract -v /usr/bin ~/x C:\\x f() end", ["tar", "end"]),
        ("naïve cafe\u0301 Ελλάδα Россия", ["naïve", "cafe\u0301", "Ελλάδα", "Россия"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می\u200cخواهم، سلام", ["می\u200cخواهم", "سلام"]),
        ("اَلْعَرَبِيَّةُ", ["اَلْعَرَبِيَّةُ"]),
        ("col·lega", ["col·lega"]),
        ("😀word👍🏽 ①", ["word"]),
        ("\ud800word", ["word"]),
    ],
)
def test_words_of_languages_with_spaces(text: str, words: list[str]) -> None:
    assert _words(text) == words


@pytest.mark.parametrize(
    ("text", "lang", "words"),
    [
        ("我爱北京，2024年。", "zh", ["我", "爱", "北京", "年"]),
        ("東京は日本の首都です", "ja", ["東京", "は", "日本", "の", "首都", "です"]),
        ("ฉันรักประเทศไทย", "th", ["ฉัน", "รัก", "ประเทศไทย"]),
        ("我爱https://x.org/a北京", "zh-TW", ["我", "爱", "北京"]),
        ("\ud800我𠀀爱", "zh", ["我", "𠀀", "爱"]),
        ("我@ B52 x_y 爱", "zh", ["我", "爱"]),
    ],
)
def test_words_of_languages_without_spaces(text: str, lang: str, words: list[str]) -> None:
    pytest.importorskip("icu")
    assert _words(text, lang) == words


def test_without_pyicu_only_languages_with_spaces_can_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icu", None)
    with pytest.raises(UserError, match=r"text in km has no spaces .* pip install 'xlret\[segment\]'"):
        require_segmenter("km")
    require_segmenter("de")
    assert _words("ein Wort", "de") == ["ein", "Wort"]


@given(st.text(), st.sampled_from(["en", "hi", "ar", "zh", "th"]))
@example("@", "zh")
def test_parts_are_the_text_and_words_have_letters(text: str, lang: str) -> None:
    if lang in ("zh", "th"):
        pytest.importorskip("icu")
    parts = split_words(text, lang)
    assert "".join(parts) == text
    assert len(parts) % 2 == 1
    assert all(any(unicodedata.category(sign)[0] in "LMN" or sign > "\uffff" for sign in word) for word in parts[1::2])


@pytest.mark.parametrize(
    "text", ["a" * 2_000_000, "a." * 500_000, "a<b" * 200_000, "`" * 200_001, "```" * 3_000, "a@" * 300_000, "{{" * 3_000]
)
def test_odd_texts_take_linear_time(text: str) -> None:
    began = time.process_time()
    assert "".join(split_words(text, "en")) == text
    assert time.process_time() - began < 5
