"""Languages as BCP-47 codes: checking them, reading ISO 639-3 names, and what xlret needs to know of each."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated

import langcodes
from pydantic import BeforeValidator

from xlret.errors import UserError

# What 639-3 codes and macro-languages are called in corpora that mean the everyday BCP-47 code.
_CORPUS_NAMES = {"arb": "ar", "zho-CN": "zh", "cmn": "zh", "eng-US": "en-US", "pes": "fa", "swh": "sw", "tgl": "fil"}

NO_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "dz", "yue"})
"""Primary languages written without spaces between words."""

RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur", "ps", "sd", "ug", "yi", "dv", "ckb", "azb"})
"""Primary languages whose usual script runs from right to left."""


@lru_cache(maxsize=4096)
def language(code: str) -> str:
    """The BCP-47 form of a language code; ISO 639-3 codes and corpus habits such as `arb` or `zho-CN` are understood.

    Raises:
        UserError: the code names no language.

    >>> language("deu"), language("zho-CN"), language("pt-br"), language("zh")
    ('de', 'zh', 'pt-BR', 'zh')
    """
    if not isinstance(code, str) or code in ("", "und") or not code.replace("_", "-").isascii():
        raise UserError(f"unknown language code {code!r}; give a BCP-47 code such as en, de or pt-BR")
    if code in _CORPUS_NAMES:
        return _CORPUS_NAMES[code]
    if not langcodes.tag_is_valid(code):
        raise UserError(f"unknown language code {code!r}; give a BCP-47 code such as en, de or pt-BR")
    return langcodes.standardize_tag(code.replace("_", "-"))


def distinct_languages(codes: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """The BCP-47 forms of `codes`, in which several may stand with commas between; None stays None.

    Raises:
        ValueError: a code names no language, or two name the same one.

    >>> distinct_languages("de,arb"), distinct_languages(["de", "ar"])
    (('de', 'ar'), ('de', 'ar'))
    """
    if codes is None:
        return None
    if not isinstance(codes, Iterable):
        raise ValueError("must be a list of language codes such as [en, de]")
    texts = [codes] if isinstance(codes, str) else codes
    parts = (part for text in texts for part in (text.split(",") if isinstance(text, str) else [text]))
    languages = tuple(language(part.strip() if isinstance(part, str) else part) for part in parts)
    if len(set(languages)) != len(languages):
        raise ValueError(f"{list(languages)} names a language twice")
    return languages


LanguageCodes = Annotated[tuple[str, ...], BeforeValidator(distinct_languages)]
"""A setting that lists languages, each once, in any of the forms that `language` understands."""


def primary(code: str) -> str:
    """The language alone, without script or region: `pt-BR` -> `pt`."""
    return code.split("-", 1)[0]


def written_without_spaces(code: str) -> bool:
    """Whether words of this language stand side by side without spaces (zh, ja, th, ...)."""
    return primary(code) in NO_SPACES
