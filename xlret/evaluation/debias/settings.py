"""From which texts a language component is made, by which method, and on what the method is chosen."""

from typing import Literal

from pydantic import Field, model_validator

from xlret.config import PathSetting, Settings
from xlret.model.debias.component import DebiasMethod
from xlret.model.debias.estimate import LEAST
from xlret.text.languages import LanguageCodes


class DebiasSettings(Settings):
    """Texts, method and dev groups."""

    text: tuple[PathSetting, ...] = ()
    """Files of passages: JSON lines, Parquet, CSV or TSV with columns id, lang, text, perhaps title."""
    corpus: PathSetting | None = None
    """Or the passages of a prepared corpus."""
    languages: LanguageCodes | None = None
    """Only texts in these languages."""
    lang: str | None = Field(None, min_length=1)
    """Language of texts in files that do not say theirs."""
    texts: int = Field(1000, ge=LEAST)
    """At most so many texts of each language, drawn."""
    method: DebiasMethod | None = None
    """project by default; with dev groups all methods are tried."""
    alpha: float | None = Field(None, gt=0, le=2)
    """How much of what a language has by itself is taken off; 1 by default, or chosen on dev groups."""
    directions: int | None = Field(None, ge=1)
    """How many project takes out; as many as there are languages by default, up to 32, or chosen on dev groups."""
    dev: PathSetting | None = None
    """A prepared corpus of other groups, on which method, alpha and the number of directions are chosen."""
    dev_groups: int = Field(200, ge=1)
    """At most so many of its groups."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of encoding."""

    @model_validator(mode="after")
    def _fits_together(self) -> "DebiasSettings":
        if bool(self.text) == (self.corpus is not None):
            raise ValueError("give either files of texts or a corpus")
        if self.corpus is not None and self.lang is not None:
            raise ValueError("lang: the texts of a corpus say theirs; leave it out")
        if self.dev is not None and (self.alpha is not None or self.directions is not None):
            raise ValueError("alpha and directions are chosen on dev; leave them out, or dev")
        if self.dev is None and {"dev_groups"} & self.model_fields_set:
            raise ValueError("dev_groups changes nothing without dev")
        return self
