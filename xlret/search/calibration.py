"""What passages of each language usually score, whatever they say: the part of a score that is language, not relevance."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xlret.artifacts import first_fault
from xlret.errors import CorruptError, UserError
from xlret.files import local, write_text
from xlret.keys import generator
from xlret.shapes import FloatArray

CALIBRATION = "calibration.json"
PER_LANGUAGE = 2000
"""Passages of a language that are enough to calibrate it: its mean score is then known to some 2 % of its spread."""
_SAMPLE = 4096
_SAMPLE_PER_LANGUAGE = 512
_ASKING = 1000
"""Passages that stand for queries when spreads are measured, over all languages."""
_PRIOR = 50
"""So many passages of the average language are added to each, so that a language of a few passages is not judged by them."""
_LEAST = 1e-6
"""The least standard deviation: passages that are all alike have none."""

Vector = NDArray[np.float32]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def sampled(languages: int) -> int:
    """Passages of each language that an index of so many languages keeps as its sample: 4,096 in all, or 512 of each.

    >>> sampled(2), sampled(30)
    (2048, 512)
    """
    return max(_SAMPLE_PER_LANGUAGE, _SAMPLE // max(1, languages))


class Calibration(BaseModel):
    """For each language of an index where the scores of its passages lie: their mean and their spread.

    The mean score that a query has with the passages of a language is its inner product with their mean vector, so it is
    known for every query, without knowing the query's language. (Subtracting it is the same as moving all passage vectors of
    the language so that their mean is zero.)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    means: dict[str, tuple[Finite, ...]]
    """Language -> mean vector of its passages, D numbers."""
    spreads: dict[str, Spread]
    """Language -> standard deviation of its passages' scores around a query's mean, over queries in all languages."""
    made_from: str = ""
    """In words, for people."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Calibration":
        if not self.means or self.means.keys() != self.spreads.keys():
            raise ValueError("a calibration needs the mean and the spread of the same languages, at least one")
        if len({len(vector) for vector in self.means.values()}) != 1 or not self.dimension:
            raise ValueError("mean vectors must have one and the same length, at least 1")
        return self

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted(self.means))

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return len(next(iter(self.means.values())))

    def standardised(self, scores_N: Vector, langs: Sequence[str], query_vector_D: Vector) -> FloatArray:
        """Scores of one query in standard deviations above what passages of their language usually have with it; shape [N].

        A language that the calibration does not know counts as the average of those that it knows.

        Args:
            scores_N: inner products of the query with passages.
            langs: the passages' languages.
            query_vector_D: the query.

        Raises:
            UserError: a query of another dimension.

        >>> one = Calibration(means={"de": (0.5, 0.0), "en": (0.1, 0.0)}, spreads={"de": 0.1, "en": 0.2})
        >>> one.standardised(np.float32([0.7, 0.7]), ["de", "en"], np.float32([1, 0])).round(3).tolist()
        [2.0, 3.0]
        """
        mean_L, spread_L = self.levels(np.asarray(query_vector_D)[None], langs := list(langs))
        known: FloatArray = (np.asarray(scores_N, np.float64) - mean_L[0]) / spread_L
        return known

    def levels(self, queries_QD: Vector, langs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Mean score [Q, N] of each query with the language of each of N passages, and its spread [N].

        Raises:
            UserError: queries of another dimension.
        """
        if queries_QD.shape[1:] != (self.dimension,):
            raise UserError(
                f"queries have {' x '.join(map(str, queries_QD.shape[1:]))} numbers and the calibration {self.dimension}; "
                "calibrate with the encoder that is searched with"
            )
        known = {lang: row for row, lang in enumerate(self.languages)}
        row_N = np.fromiter((known.get(lang, len(known)) for lang in langs), np.int64, len(langs))
        means_LD, spread_L = self._arrays
        return (queries_QD @ means_LD.T)[:, row_N].astype(np.float64), spread_L[row_N]

    @cached_property
    def _arrays(self) -> tuple[Vector, FloatArray]:
        """Mean vectors [L + 1, D] and spreads [L + 1]; the last ones for languages that are not known."""
        means_LD = np.array([self.means[lang] for lang in self.languages], dtype=np.float32)
        spread_L = np.array([self.spreads[lang] for lang in self.languages], dtype=np.float64)
        return np.vstack([means_LD, means_LD.mean(axis=0)]), np.append(spread_L, spread_L.mean())

    def save(self, path: Path) -> None:
        """Writes JSON in one step; some 10 bytes a number."""
        write_text(path, self.model_dump_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Reads what `save` wrote.

        Raises:
            UserError: no such file.
            CorruptError: it is no calibration; the message says what is wrong.
        """
        try:
            return cls.model_validate_json(local(Path(path)).read_bytes())
        except OSError as error:
            raise UserError(f"cannot read calibration {path}: {error.strerror}") from error
        except ValidationError as error:
            raise CorruptError(f"{path} is no calibration: {first_fault(error)}; make the index again") from error


def estimate_calibration(passages: Mapping[str, Vector], *, made_from: str = "") -> Calibration:
    """A calibration from passages alone: no queries, no encoder, nothing about what is relevant.

    Some passages stand for queries when spreads are measured (each is left out of its own scores); with real questions the
    spreads of languages have the same proportions.

    Args:
        passages: language -> vectors [M, D] of its passages or a fair sample of them. No more are looked at than an index
            of these languages samples (`sampled`), nor than `PER_LANGUAGE`, so that an evaluation calibrates as an index does;
            of more a sample is drawn, the same each time.
        made_from: says what these are.

    Cost: one product of 1,000 passages with all; 2 s for 30 languages and 384 dimensions on one core.

    Raises:
        UserError: no passages, or vectors that do not fit each other.

    >>> estimate_calibration({"de": np.float32([[1, 0], [0.6, 0.8]]), "en": np.float32([[0, 1]])}).languages
    ('de', 'en')
    """
    passages = {lang: rows for lang, rows in sorted(passages.items()) if len(rows)}
    most = min(PER_LANGUAGE, sampled(len(passages)))
    passages = {lang: _sample(rows, most, lang) for lang, rows in passages.items()}
    shapes = {rows.shape[1:] for rows in passages.values()}
    if len(shapes) != 1:
        raise UserError(f"to calibrate, passages with vectors of one dimension are needed, not of {sorted(shapes) or 'none'}")
    counts = {lang: len(rows) for lang, rows in passages.items()}
    total = sum(counts.values())
    average_D = np.sum([rows.sum(axis=0, dtype=np.float64) for rows in passages.values()], axis=0) / total
    means = {
        lang: (rows.sum(axis=0, dtype=np.float64) + _PRIOR * average_D) / (len(rows) + _PRIOR)
        for lang, rows in passages.items()
    }
    per_language = max(1, _ASKING // len(passages))
    asking = {lang: rows[:per_language] for lang, rows in passages.items()}
    variances = {lang: _variance(asking, lang, rows, means[lang]) for lang, rows in passages.items()}
    usual = sum(variances[lang] * counts[lang] for lang in passages) / total
    spreads = {lang: ((variances[lang] * counts[lang] + _PRIOR * usual) / (counts[lang] + _PRIOR)) ** 0.5 for lang in passages}
    return Calibration(
        means={lang: tuple(round(float(value), 7) for value in vector) for lang, vector in means.items()},
        spreads={lang: max(_LEAST, round(float(value), 7)) for lang, value in spreads.items()},
        made_from=made_from,
    )


def _variance(asking: Mapping[str, Vector], lang: str, rows_MD: Vector, mean_D: FloatArray) -> float:
    """Mean squared distance of a language's scores from the mean that its vector says."""
    total, count = 0.0, 0
    for code, asked in asking.items():
        squares = np.square(asked @ rows_MD.T - (asked @ mean_D.astype(np.float32))[:, None])
        if code == lang:
            np.fill_diagonal(squares, 0.0)  # the first rows are the ones that ask
            count -= len(asked)
        total += float(squares.sum(dtype=np.float64))
        count += squares.size
    return total / max(1, count)


def _sample(rows_MD: Vector, most: int, lang: str) -> Vector:
    order = generator(0, "calibration", lang).permutation(len(rows_MD))[:most]
    return np.asarray(rows_MD[order], dtype=np.float32)
