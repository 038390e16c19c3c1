"""The language component of vectors: what a vector has because of its language, and how it is taken out."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xlret.artifacts import first_fault
from xlret.errors import CorruptError, UserError
from xlret.files import expand_path, local, write_text
from xlret.shapes import FloatArray, FloatMatrix
from xlret.text.languages import languages_meant
from xlret.text.sides import Side

DebiasMethod = Literal["centre", "shift", "shift-passages", "project"]
METHODS: tuple[DebiasMethod, ...] = get_args(DebiasMethod)
DEBIAS = "debias.json"
"""What the file is called in an index."""
_SHORTEST = 1e-6
"""A vector of which less than this is left is all language; it stays as it is, since it has no other direction."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


def component_or_method(choice: str) -> "LanguageComponent | DebiasMethod":
    """What a flag `--debias` names: a method, whose component is then estimated from the passages at hand, or a file.

    Raises:
        UserError: neither a method nor a file that can be read.
        CorruptError: the file is no language component.
    """
    for method in METHODS:
        if choice == method:
            return method
    path = expand_path(Path(choice))
    if not path.is_file():
        raise UserError(f"debias {choice!r} is neither a method nor a file; methods are {', '.join(METHODS)}")
    return LanguageComponent.load(path)


class LanguageComponent(BaseModel):
    """What is taken out of the unit vector x of a text; what is left gets length 1 again.

    - `centre`: x - alpha m of the text's language, for queries and passages. m is the mean of passages in that language.
    - `shift`: the same with m - (the average of all languages' m), so that what all languages have in common stays.
    - `shift-passages`: the same, of passages alone: the language of a query need not be known.
    - `project`: x - U'U x, with directions U that the means of the languages span. No language is needed at all, and it is one
      linear map, which an encoder can carry (`linear.with_projection`).

    A language that the component does not know gets the offset of the languages that are meant by it (`pt` for `pt-BR`), else
    the average of all: nothing with `shift`, the common mean with `centre`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    method: DebiasMethod
    offsets: dict[str, tuple[Finite, ...]] = {}
    """Language -> D numbers that are taken off the vectors of its texts, alpha already in them. None with `project`."""
    directions: tuple[tuple[Finite, ...], ...] = ()
    """Orthonormal rows of D numbers, of `project` alone."""
    texts: dict[str, int]
    """Language -> the texts that were looked at."""
    made_from: str = ""
    """In words, for people."""
    encoder: dict[str, str] = {}
    """Files of the encoder that made the vectors -> hex SHA-256; empty where that is not known."""

    @model_validator(mode="after")
    def _fits_together(self) -> "LanguageComponent":
        rows = self.directions if self.method == "project" else tuple(self.offsets.values())
        if not rows or bool(self.directions) == bool(self.offsets):
            raise ValueError("directions belong to project, offsets to the other methods, and there is at least one")
        if len({len(row) for row in rows}) != 1 or not rows[0]:
            raise ValueError("offsets and directions must have one and the same length, at least 1")
        if self.directions and not np.allclose(np.inner(rows, rows), np.eye(len(rows)), atol=1e-5):
            raise ValueError("directions must be orthonormal")
        return self

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return len((*self.directions, *self.offsets.values())[0])

    @property
    def sha256(self) -> str:
        """Hex, of the file that `save` writes."""
        return hashlib.sha256(self._content().encode()).hexdigest()

    def remove(self, vectors_ND: FloatMatrix, langs: Sequence[str | None], side: Side) -> FloatMatrix:
        """The vectors without their language component, [N, D] float32, of length 1.

        Args:
            vectors_ND: unit vectors.
            langs: the language of each; None: not known.
            side: whether these are queries or passages.

        Raises:
            UserError: vectors of another dimension, not finite, or another number of languages.

        >>> component = LanguageComponent(method="centre", offsets={"de": (0.6, 0.0), "en": (0.0, 0.0)}, texts={})
        >>> component.remove(np.float32([[0.6, 0.8], [0.6, 0.8]]), ["de", "en"], "query").round(3).tolist()
        [[0.0, 1.0], [0.6000000238418579, 0.800000011920929]]
        """
        self._check(vectors_ND, langs)
        if self.method == "shift-passages" and side == "query":
            return vectors_ND
        exact_ND = vectors_ND.astype(np.float64)
        if self.directions:
            directions_KD = np.array(self.directions)
            left_ND = exact_ND - exact_ND @ directions_KD.T @ directions_KD
        else:
            left_ND = exact_ND - self._offsets(langs)
        length_N = np.linalg.norm(left_ND, axis=1, keepdims=True)
        return np.where(length_N < _SHORTEST, exact_ND, left_ND / np.maximum(length_N, _SHORTEST)).astype(np.float32)

    def check_encoder(self, files: Mapping[str, str]) -> None:
        """Checks that vectors of an encoder with these files are what the component was made for.

        Args:
            files: name -> SHA-256; empty where they are not known.

        Raises:
            UserError: it was made for another encoder.
        """
        if self.encoder and files and self.encoder != files:
            raise UserError(
                f"the language component was made from {self.made_from or 'texts'} with another encoder; "
                "make it anew with this one: xlret debias ENCODER ..."
            )

    def _check(self, vectors_ND: FloatMatrix, langs: Sequence[str | None]) -> None:
        if vectors_ND.ndim != 2 or vectors_ND.shape[1] != self.dimension:
            raise UserError(
                f"vectors have shape {list(vectors_ND.shape)}, and a language component of {self.dimension} numbers is to be "
                "taken out of them; make it with the encoder that makes the vectors"
            )
        if len(langs) != len(vectors_ND):
            raise UserError(
                f"{len(langs)} languages for {len(vectors_ND)} vectors; give the language of each, None if not known"
            )
        if not np.isfinite(vectors_ND).all():
            raise UserError("a vector holds NaN or infinity; encode its text again")

    def _offsets(self, langs: Iterable[str | None]) -> FloatArray:
        row_of: dict[str | None, int] = {}
        row_N = np.fromiter((row_of.setdefault(lang, len(row_of)) for lang in langs), np.int64)
        offsets_UD: FloatArray = np.array([self._offset(lang) for lang in row_of]).reshape(-1, self.dimension)
        return offsets_UD[row_N]

    def _offset(self, lang: str | None) -> FloatArray:
        meant = () if lang is None else languages_meant(lang, self.offsets)
        average_D: FloatArray = np.mean([self._rows[code] for code in meant or self._rows], axis=0)
        return average_D

    @cached_property
    def _rows(self) -> dict[str, FloatArray]:
        return {lang: np.array(offset) for lang, offset in self.offsets.items()}

    def save(self, path: Path) -> None:
        """Writes JSON in one step; some 11 bytes a number. The same component makes the same bytes."""
        write_text(path, self._content())

    def _content(self) -> str:
        return self.model_dump_json() + "\n"

    @classmethod
    def load(cls, path: Path) -> "LanguageComponent":
        """Reads what `save` wrote.

        Raises:
            UserError: no such file.
            CorruptError: it is no language component; the message says what is wrong.
        """
        try:
            return cls.model_validate_json(local(Path(path)).read_bytes())
        except OSError as error:
            raise UserError(f"cannot read language component {path}: {error.strerror}; make one with xlret debias") from error
        except ValidationError as error:
            raise CorruptError(
                f"{path} is no language component: {first_fault(error)}; make it anew with xlret debias"
            ) from error
