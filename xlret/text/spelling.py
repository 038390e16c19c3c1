"""Spellings of one word brought to one form for look-up: vowel marks, widths, ligatures, the order of Thai signs.

The texts themselves stay as they are; a lexicon looks a word up as it is written first, and in this form where that fails.
"""

import re
import unicodedata

from xlret.text.languages import primary

_ARABIC_MARKS = "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u08d3-\u08ff"
_TATWEEL = "\u0640"
_NIQQUD = "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
_UNWRITTEN = re.compile(f"[{_ARABIC_MARKS}{_TATWEEL}{_NIQQUD}\u00ad\u200b-\u200d\u2060\ufeff]")
"""What many texts leave out: Arabic and Hebrew vowel marks, tatweel, soft hyphens, joiners."""

_ARABIC_LETTERS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ک": "ك", "ہ": "ه", "ھ": "ه"})
"""Letters that Arabic, Persian and Urdu keyboards write for one another, and alef with what is often left off it."""

_THAI_TONE_FIRST = re.compile("([\u0e48-\u0e4c\u0ec8-\u0ecc]+)([\u0e31\u0e34-\u0e3a\u0e47\u0e4d\u0eb1\u0eb4-\u0ebc\u0ecd]+)")
_THAI_SARA_AM = re.compile("([\u0e4d\u0ecd])([\u0e48-\u0e4b\u0ec8-\u0ecb]*)([\u0e32\u0eb2])")


def loose(word: str, lang: str) -> str:
    """The form of a folded word that its spellings share.

    Arabic and Hebrew without vowel marks and tatweel, with the plain letter where several are written for one another; full
    and half width, presentation forms and ligatures as ordinary letters (NFKC); Thai and Lao signs in one
    order; German ß as ss; Greek without the accent that capitals lack.

    Args:
        word: as `fold` gives it.
        lang: BCP-47 code.

    >>> loose("كِتَابٌ", "ar") == "كتاب", loose("straße", "de"), loose("ｶﾒﾗ", "ja") == "カメラ", loose("οδός", "el")
    (True, 'strasse', True, 'οδος')
    """
    if word.isascii():
        return word
    word = unicodedata.normalize("NFKC", word).lower()
    word = _UNWRITTEN.sub("", word).translate(_ARABIC_LETTERS)
    word = word.replace("ß", "ss").replace("œ", "oe").replace("æ", "ae").replace("’", "'").replace("ʼ", "'")
    word = word.replace("i\u0307", "i").replace("\u0e40\u0e40", "\u0e41")  # a dot that capitals brought; two sara e for sara ae
    word = _THAI_TONE_FIRST.sub(r"\2\1", word)
    word = _THAI_SARA_AM.sub(r"\1\2\3", word)
    if primary(lang) == "el":
        plain = unicodedata.normalize("NFD", word).replace("\u0301", "")
        word = unicodedata.normalize("NFC", plain)
    return word
