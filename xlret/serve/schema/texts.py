"""Texts, ids and codes in requests: well-formed, and in Unicode's composed form (NFC), so that the same question gives the same
vector however it was typed."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

_MARKS = 64
"""Combining marks in a row. Unicode's stream-safe text has up to 30; normalising n of them takes n squared steps."""


def clean(text: str) -> str:
    """`text` in NFC.

    Raises:
        ValueError: it holds NUL, half of a surrogate pair, or too many combining marks in a row.

    >>> clean("e\u0301") == "\u00e9"
    True
    """
    if "\0" in text:
        raise ValueError("holds the character NUL; send text only")
    if text.isascii():
        return text
    marks = 0
    for sign in text:
        if "\ud800" <= sign <= "\udfff":
            raise ValueError("holds half of a surrogate pair, which is no character; send well-formed Unicode")
        marks = marks + 1 if unicodedata.combining(sign) else 0
        if marks > _MARKS:
            raise ValueError(f"holds more than {_MARKS} combining marks in a row; leave some out")
    return unicodedata.normalize("NFC", text)


def stripped(text: str) -> str:
    """`text` in NFC, without spaces around it.

    Raises:
        ValueError: nothing is left, or as for `clean`.
    """
    text = clean(text).strip()
    if not text:
        raise ValueError("is empty or only spaces; send some text")
    return text


Code = Annotated[str, Field(min_length=1, max_length=35, pattern=r"^[A-Za-z0-9_-]+$")]
Query = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(stripped)]
Text = Annotated[str, Field(min_length=1, max_length=32_768), AfterValidator(stripped)]
Id = Annotated[str, Field(max_length=1024), AfterValidator(clean)]
Model = Annotated[str, Field(max_length=256), AfterValidator(clean)]
