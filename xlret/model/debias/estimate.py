"""Estimating the language component from texts alone: no queries, no pairs, nothing about what is relevant."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xlret.errors import UserError
from xlret.model.debias.component import METHODS, DebiasMethod, LanguageComponent
from xlret.shapes import FloatArray, FloatMatrix

LEAST = 20
"""Texts of a language below which nothing is said of it: they are about something, and that would be taken for language."""
DIRECTIONS = 32
"""How many directions `project` takes at most where nobody says; else as many as there are languages. With fewer, languages
stay apart; each takes something of what texts say with it, so that many languages need a choice."""
_DIGITS = 8


@dataclass(frozen=True)
class LanguageMeans:
    """Where the texts of each language lie: L means of D numbers, and how many texts they are of."""

    means_LD: FloatArray
    """Drawn towards their average by as much as they are uncertain, see `language_means`."""
    counts: Mapping[str, int]
    """Language -> texts, in the order of the means."""
    too_few: Mapping[str, int]
    """Languages that were left out, with fewer than `LEAST` texts."""


def language_means(texts: Mapping[str, FloatMatrix]) -> LanguageMeans:
    """The mean vector of each language, drawn towards the average language (empirical Bayes; James and Stein 1961).

    With w the mean squared distance of a text from its language's mean, and b that of the languages' true means from their
    average, the mean of n texts keeps b / (b + w / n) of its distance to the average: nearly all from some hundred texts on,
    half where it says as much of the texts' subjects as of their language.

    Args:
        texts: language -> vectors [N, D] of texts in it, or a fair sample of them.

    Raises:
        UserError: vectors that do not fit each other or are not finite, or fewer than two languages with `LEAST` texts.

    Cost: two passes over the vectors, in float64.

    >>> twenty = np.tile(np.float32([[1, 0]]), (20, 1))
    >>> language_means({"de": twenty, "en": twenty[:, ::-1], "sw": twenty[:3]}).too_few
    {'sw': 3}
    """
    texts = dict(sorted(texts.items()))
    shapes = {rows.shape[1:] for rows in texts.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise UserError(f"vectors of one dimension are needed to take languages out of, not of {sorted(shapes)}")
    for lang, rows in texts.items():
        if not np.isfinite(rows).all():
            raise UserError(f"a vector of a text in {lang} holds NaN or infinity; encode the texts again")
    enough = {lang: rows for lang, rows in texts.items() if len(rows) >= LEAST}
    too_few = {lang: len(rows) for lang, rows in texts.items() if lang not in enough}
    if len(enough) < 2:
        counts = ", ".join(f"{lang} {len(rows):,}" for lang, rows in texts.items())
        raise UserError(
            f"at least two languages with {LEAST} texts each are needed to tell languages apart; there are {counts or 'none'}"
        )
    count_L = np.array([len(rows) for rows in enough.values()], np.float64)
    raw_LD = np.array([rows.mean(axis=0, dtype=np.float64) for rows in enough.values()])
    squares = sum(
        float(np.square(rows.astype(np.float64) - mean_D).sum()) for rows, mean_D in zip(enough.values(), raw_LD, strict=True)
    )
    within = squares / (count_L.sum() - len(enough))
    average_D = raw_LD.mean(axis=0)
    apart_LD = raw_LD - average_D
    between = max(0.0, float(np.square(apart_LD).sum()) / (len(enough) - 1) - within * float(np.mean(1 / count_L)))
    uncertain_L = within / count_L
    kept_L = np.divide(between, between + uncertain_L, out=np.zeros(len(enough)), where=between + uncertain_L > 0)
    return LanguageMeans(average_D + kept_L[:, None] * apart_LD, {lang: len(rows) for lang, rows in enough.items()}, too_few)


def component_from(
    means: LanguageMeans,
    method: DebiasMethod,
    *,
    alpha: float | None = None,
    directions: int | None = None,
    made_from: str = "",
    encoder: Mapping[str, str] | None = None,
) -> LanguageComponent:
    """The language component by one method.

    Args:
        means: of the languages.
        method: see `LanguageComponent`.
        alpha: how much of an offset is taken off; 1 by default. Not with `project`.
        directions: how many `project` takes out, at most as many as there are languages; that many by default, up to
            `DIRECTIONS`. Those in which the means lie farthest from zero come first: what all languages have in common.
        made_from: says what the texts were.
        encoder: files of the encoder -> SHA-256.

    Raises:
        UserError: a method, alpha or number of directions that is not possible.

    >>> means = LanguageMeans(np.array([[0.5, 0.1, 0.0], [0.5, -0.1, 0.0]]), {"de": 300, "en": 300}, {})
    >>> component_from(means, "shift").offsets
    {'de': (0.0, 0.1, 0.0), 'en': (0.0, -0.1, 0.0)}
    >>> component_from(means, "project", directions=1).directions
    ((1.0, 0.0, 0.0),)
    """
    if method not in METHODS:
        raise UserError(f"unknown method {method!r} of taking languages out; allowed are {', '.join(METHODS)}")
    about = {"texts": dict(means.counts), "made_from": made_from, "encoder": dict(encoder or {})}
    if method == "project":
        if alpha is not None:
            raise UserError("alpha changes nothing with project, which takes all of its directions out; leave it out")
        return LanguageComponent(method=method, directions=_directions(means.means_LD, directions), **about)
    if directions is not None:
        raise UserError(f"directions belong to project, and the method is {method}; leave them out")
    alpha = 1.0 if alpha is None else alpha
    if not 0 < alpha <= 2:
        raise UserError(f"alpha is {alpha}; allowed is above 0 to 2 (1 takes off all that is known)")
    common_D = 0.0 if method == "centre" else means.means_LD.mean(axis=0)
    offsets_LD = alpha * (means.means_LD - common_D)
    return LanguageComponent(
        method=method, offsets={lang: _rounded(row) for lang, row in zip(means.counts, offsets_LD, strict=True)}, **about
    )


def estimate_component(
    texts: Mapping[str, FloatMatrix],
    method: DebiasMethod,
    *,
    made_from: str = "",
    encoder: Mapping[str, str] | None = None,
) -> LanguageComponent:
    """`component_from` the `language_means` of these texts, with the method's defaults.

    Raises:
        UserError: as these two.
    """
    return component_from(language_means(texts), method, made_from=made_from, encoder=encoder)


def _directions(means_LD: FloatArray, wanted: int | None) -> tuple[tuple[float, ...], ...]:
    most = min(means_LD.shape)
    if wanted is not None and not 1 <= wanted <= most:
        raise UserError(f"directions is {wanted}; with {len(means_LD)} languages and {means_LD.shape[1]} numbers, 1 to {most}")
    _, size_K, rows_KD = np.linalg.svd(means_LD, full_matrices=False)
    kept = rows_KD[: wanted or DIRECTIONS][size_K[: wanted or DIRECTIONS] > size_K[0] * 1e-9]
    largest_K = kept[np.arange(len(kept)), np.abs(kept).argmax(axis=1)]
    return tuple(_rounded(row) for row in kept * np.sign(largest_K)[:, None])  # or the sign would be the machine's


def _rounded(row_D: FloatArray) -> tuple[float, ...]:
    return tuple(round(float(value), _DIGITS) + 0.0 for value in row_D)
