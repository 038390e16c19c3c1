"""What the sources of judged collections have in common: their languages and the grade that counts."""

from pydantic import Field, field_validator

from xlret.data.sources.base import SourceSettings
from xlret.text.languages import language


class JudgedSettings(SourceSettings):
    """Languages and the smallest grade of a relevant pair."""

    lang: str
    """Language of the queries."""
    passage_lang: str | None = None
    """Language of the passages where it is another than that of the queries."""
    at_least: float = Field(1.0, gt=0)
    """Smallest grade that counts as relevant."""

    @field_validator("lang", "passage_lang")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        return language(code) if code is not None else None
