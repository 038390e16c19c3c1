"""The language of a short text, by py3langid (the extra `detect`)."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from xlret.errors import UserError
from xlret.text.languages import language, primary

_PRIOR = 10.0
"""How many times as probable a language of the index is as any other, before a word is read."""
_NOTHING = 3.0
"""A best guess below this many times the even share means that the detector knows none of the words."""
_NO_LANGUAGES = frozenset({"zxx", "und", "mul"})


def detect(text: str, expected: Collection[str] = ()) -> str | None:
    """The BCP-47 code of the language a text is most likely in; None where nothing tells, as for `42`.

    Args:
        text: what to judge.
        expected: languages that questions are likely in; a few words alone are often in many, as far as statistics can tell.

    Cost: well under a millisecond; the first call loads the model (a second or two).

    Raises:
        UserError: the extra `detect` is not installed.

    >>> detect("Wo liegt die Hauptstadt von Frankreich?"), detect("首都はどこですか"), detect("42")
    ('de', 'ja', None)
    """
    if not any(sign.isalpha() for sign in text):
        return None
    ranked: list[tuple[str, float]] = [pair for pair in _identifier().rank(text[:1000]) if pair[0] not in _NO_LANGUAGES]
    if ranked[0][1] * len(ranked) < _NOTHING:
        return None
    known = {primary(code) for code in expected}
    best, _ = max(ranked, key=lambda pair: pair[1] * (_PRIOR if pair[0] in known else 1.0))
    return language(best)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise UserError("detecting languages needs py3langid; install xlret[detect] or set detect to false") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
