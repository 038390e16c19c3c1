"""Settings of the losses."""

from pydantic import Field, model_validator

from xlret.config import Settings

HOTTEST, COLDEST = 1.0, 0.01
"""Bounds of a temperature that is learned."""


class LossSettings(Settings):
    """The contrastive loss of a retriever (van den Oord et al. 2018)."""

    temperature: float = Field(0.05, gt=0)
    """Cosines are divided by it. Where it is learned, the value it starts with."""
    learned_temperature: bool = False
    """Train the temperature along, kept within 0.01 and 1."""
    mask: bool = True
    """Leave passages of the query's own cluster (other than its positive) out of the denominator."""
    symmetric: bool = False
    """The mean of query-to-passage and passage-to-query."""
    printed_form: bool = False
    """The hybrid paper's printed formula: a denominator of the positive and the hard negatives alone."""

    @model_validator(mode="after")
    def _possible(self) -> "LossSettings":
        if self.printed_form and self.symmetric:
            raise ValueError("printed_form has no passage-to-query side; set symmetric or printed_form to false")
        if self.learned_temperature and not COLDEST <= self.temperature <= HOTTEST:
            raise ValueError(f"a learned temperature starts within {COLDEST} and {HOTTEST}, not at {self.temperature}")
        return self
