"""Languages as BCP-47 codes: checking them, reading ISO 639-3 names, and what xlret needs to know of each."""

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Annotated

import langcodes
from langcodes.tag_parser import LanguageTagError
from pydantic import BeforeValidator

from xlret.errors import UserError

_OTHER_NAMES = {
    # NTREX's names of the written standards
    "zho-cn": "zh",
    "eng-us": "en-US",
    # Wikipedias that are not named by their BCP-47 tag
    "simple": "en",
    "zh-classical": "lzh",
    "zh-min-nan": "nan",
    "bat-smg": "sgs",
    "fiu-vro": "vro",
    "roa-rup": "rup",
    "be-x-old": "be-tarask",
}

_UNSPACED_SCRIPTS = frozenset(
    {"Hans", "Hant", "Hani", "Jpan", "Hira", "Kana", "Hrkt", "Bopo", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}
)
_RIGHT_TO_LEFT_SCRIPTS = frozenset({"Arab", "Aran", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Mand", "Samr", "Rohg"})
_NORWEGIAN = frozenset({"no", "nb"})
_FARTHEST = 10
"""CLDR's distance between tags of one language and script that still serve one another (pt-PT for pt-BR is 5)."""


@lru_cache(maxsize=4096)
def language(code: str) -> str:
    """The BCP-47 form of a language code, as data and users have it.

    ISO 639-3 codes, FLORES' `cmn_Hans` and Wikipedia's names are understood. A language within a macro-language that stands for
    it takes the two-letter tag (`arb` -> `ar`, `pes` -> `fa`); a script that the language has anyway is left out.

    Raises:
        UserError: the code names no language.

    >>> language("deu"), language("zho-CN"), language("pt-br"), language("cmn_Hans"), language("zho_Hant"), language("arb_Arab")
    ('de', 'zh', 'pt-BR', 'zh', 'zh-Hant', 'ar')
    """
    if not isinstance(code, str) or code in ("", "und") or not code.replace("_", "-").isascii():
        raise UserError(f"unknown language code {code!r}; give a BCP-47 code such as en, de or pt-BR")
    tag = code.strip().replace("_", "-")
    if tag.lower() in _OTHER_NAMES:
        return _OTHER_NAMES[tag.lower()]
    if not langcodes.tag_is_valid(tag):
        raise UserError(f"unknown language code {code!r}; give a BCP-47 code such as en, de or pt-BR")
    own = langcodes.Language.get(langcodes.standardize_tag(tag))
    wider = langcodes.Language.get(langcodes.standardize_tag(tag, macro=True))
    if len(own.language or "") == 3 and len(wider.language or "") == 2:
        own = wider
    if own.script is not None:
        bare = langcodes.Language.get("-".join(part for part in own.to_tag().split("-") if part != own.script))
        if _script(bare) == own.script:
            own = bare
    return own.to_tag()


def _script(tag: langcodes.Language) -> str:
    script = tag.maximize().script or "Zyyy"
    return "Hang" if script == "Kore" else script  # Korean is all but wholly in Hangul now


@lru_cache(maxsize=4096)
def script_of(code: str) -> str:
    """The script (ISO 15924) that a language is written in: the tag's own, else the likeliest one by CLDR.

    >>> script_of("de"), script_of("az-Arab"), script_of("zh-TW"), script_of("uz-AF")
    ('Latn', 'Arab', 'Hant', 'Arab')
    """
    try:
        return _script(langcodes.Language.get(code))
    except LanguageTagError:
        return "Zyyy"


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


@lru_cache(maxsize=4096)
def written_without_spaces(code: str) -> bool:
    """Whether words stand side by side without spaces, which the script decides.

    >>> [written_without_spaces(code) for code in ("zh", "zh-Latn", "yue", "ja", "shn", "ko", "de")]
    [True, False, True, True, True, False, False]
    """
    return script_of(code) in _UNSPACED_SCRIPTS


def written_right_to_left(code: str) -> bool:
    """Whether text runs from right to left, which the script decides.

    >>> [written_right_to_left(code) for code in ("ar", "az-Arab", "ks-Deva", "ku", "ckb", "de")]
    [True, True, False, False, True, False]
    """
    return script_of(code) in _RIGHT_TO_LEFT_SCRIPTS


@lru_cache(maxsize=4096)
def has_dotless_i(code: str) -> bool:
    """Whether i and ı are two letters, whose capitals are İ and I: the Turkic languages that are written so in Latin script.

    >>> [has_dotless_i(code) for code in ("tr-TR", "az-Latn", "az-Cyrl", "crh", "uz")]
    [True, True, False, True, False]
    """
    named = [part for part in code.split("-")[1:] if len(part) == 4 and part.isalpha()]
    return primary(code) in ("tr", "az", "crh", "gag") and named in ([], ["Latn"])


def languages_meant(wanted: str, known: Collection[str]) -> tuple[str, ...]:
    """Those of the known languages that someone means who asks for `wanted`; empty if there is none.

    The language itself; else, of a language without region, all its varieties; else the nearest of the same language and script
    by CLDR's distance (`de-DE` finds `de`, `pt-PT` finds `pt-BR`, `no` finds `nb`; `zh-TW` does not find simplified `zh`).

    Args:
        wanted: a code as `language` gives it.
        known: codes in that form.

    >>> languages_meant("pt", ["de", "pt-BR", "pt-PT"]), languages_meant("de-DE", ["de", "en"])
    (('pt-BR', 'pt-PT'), ('de',))
    """
    if wanted in known:
        return (wanted,)
    if varieties := tuple(code for code in known if primary(code) == wanted):
        return varieties
    kin = [code for code in known if _is_kin(primary(code), primary(wanted)) and script_of(code) == script_of(wanted)]
    distances = {code: langcodes.tag_distance(wanted, code) for code in kin}
    nearest = min(distances, key=lambda code: distances[code], default=None)
    return (nearest,) if nearest is not None and distances[nearest] <= _FARTHEST else ()


def _is_kin(left: str, right: str) -> bool:
    return left == right or {left, right} <= _NORWEGIAN
