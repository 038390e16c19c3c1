"""Texts cut into words and what stands between them, in any language; URLs, code and numbers are never words."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from xlret.errors import UserError
from xlret.text.languages import primary, written_without_spaces

PROTECTED = re.compile(
    r"""
    (
    ```.*?``` | `[^`\n]*+`                                                  # code of Markdown
    | \{\{.*?\}\}                                                           # places to fill in
    | (?<![A-Za-z0-9_])(?:(?:https?|ftp|file)://|www\.)[^\s<>"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u9fff\uff00-\uffef]++
    | (?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++                          # mail addresses
    | (?<!\w)[@#]\w++                                                       # handles and tags
    | </?[A-Za-z][^<>]*+> | &\#?\w++;                                       # HTML
    | (?<![\w.])[A-Za-z0-9_]++(?:\.[A-Za-z0-9_]++)++ | (?<!\w)\w++(?=\(\))  # dotted names, calls
    | (?<!\S)(?:~|\.{1,2}|[A-Za-z]:)?[/\\][^\s]++                           # paths
    | (?<!\S)--?[A-Za-z][\w-]*+                                             # options of commands
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNS = ("`", "/", "@", "#", "<", "&", "{{", "()", "\\", " -", "\n-")
_DOTTED = re.compile(r"\.\w")
_JOINERS = "['’\u200c\u200d·]"


def split_words(text: str, lang: str) -> list[str]:
    """Cuts a text into parts whose odd ones are words; joined, they are the text again, whatever it holds.

    A word is letters with their combining marks, with apostrophes and joiners inside. What touches a digit or an
    underscore is none, nor is what stands in URLs, mail addresses, code in backticks, HTML tags, paths, dotted names
    or command options. Languages without spaces are cut by ICU's dictionaries (Unicode UAX #29).

    Args:
        text: any string, lone surrogates too.
        lang: BCP-47 code of the text.

    Returns:
        An odd number of parts: text between words, word, text between words, ...

    Raises:
        UserError: a language without spaces, and PyICU is not installed.

    >>> split_words("Well, don't use file.txt 3rd!", "en")
    ['', 'Well', ', ', "don't", ' ', 'use', ' file.txt 3rd!']
    """
    split: Callable[[str], list[str]] = _split_unspaced(lang) if written_without_spaces(lang) else word_pattern().split
    if not (any(sign in text for sign in _SIGNS) or "www." in text or text[:1] == "-" or _DOTTED.search(text)):
        return split(text)
    parts = [""]
    for number, piece in enumerate(PROTECTED.split(text)):
        if number % 2:
            parts[-1] += piece
        else:
            first, *rest = split(piece)
            parts[-1] += first
            parts += rest
    return parts


@lru_cache(maxsize=1)
def word_pattern() -> re.Pattern[str]:
    """The pattern of one word of a language with spaces, in one group; about 20 ms to make, once a process."""
    letters = f"[^{_not_letters()}]"
    return re.compile(rf"((?<!\w){letters}++(?:{_JOINERS}{letters}++)*+(?!\w))")


def require_segmenter(lang: str) -> None:
    """Checks that texts of this language can be cut into words here.

    Raises:
        UserError: a language without spaces, and PyICU is not installed.
    """
    if written_without_spaces(lang):
        _breaker(primary(lang))


def _split_unspaced(lang: str) -> Callable[[str], list[str]]:
    breaker, is_word = _breaker(primary(lang)), word_pattern().fullmatch

    def split(text: str) -> list[str]:
        # ICU counts in UTF-16 units; U+FFFD stands in for lone surrogates, which ICU's strings cannot hold.
        units = text.encode("utf-16-le", "surrogatepass")
        breaker.setText(units.decode("utf-16-le", "replace"))
        parts, start = [""], 0
        for stop in breaker:
            piece = units[2 * start : 2 * stop].decode("utf-16-le", "surrogatepass")
            if is_word(piece):
                parts += [piece, ""]
            else:
                parts[-1] += piece
            start = stop
        return parts

    return split


def _breaker(lang: str) -> Any:
    """A new one each time (9 microseconds): it holds a text, and threads must not share it."""
    try:
        import icu
    except ImportError as error:
        raise UserError(
            f"text in {lang} has no spaces between words, and cutting it needs PyICU: pip install 'xlret[segment]'"
        ) from error
    return icu.BreakIterator.createWordInstance(icu.Locale(lang))


def _not_letters() -> str:
    """All that is neither letter nor combining mark, as ranges of a character class.

    Exact in the basic plane. Beyond it only emoji, tags and private use are left out: ranges there cost time at
    every sign of every text, and the rest is nearly all letters.
    """
    ranges, start = [], -1
    for code in range(0x10001):
        outside = code <= 0xFFFF and unicodedata.category(chr(code))[0] not in "LM"
        if outside and start < 0:
            start = code
        elif not outside and start >= 0:
            ranges.append(f"{re.escape(chr(start))}-{re.escape(chr(code - 1))}")
            start = -1
    return "".join(ranges) + "\U0001f000-\U0001ffff\U000e0000-\U000e00ff\U000f0000-\U0010ffff"
