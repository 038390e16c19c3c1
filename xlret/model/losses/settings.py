"""Settings of the losses."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from xlret.config import Settings
from xlret.files import expand_path
from xlret.text.languages import language
from xlret.text.sides import SIDES, Side

HOTTEST, COLDEST = 1.0, 0.01
"""Bounds of a temperature that is learned."""


LossKind = Literal["infonce", "xlco", "mimo", "lakda"]
_PARALLEL: dict[LossKind, tuple[Side, ...]] = {"xlco": SIDES, "mimo": SIDES, "lakda": ("query",)}
"""Whose translations a loss compares."""


class LossSettings(Settings):
    """The loss of a retriever: InfoNCE (van den Oord et al. 2018), or one that aligns languages, alone or beside it."""

    kind: LossKind = "infonce"
    """infonce: each query finds its passage. xlco: each text finds its translation (InfoXLM). mimo: a teacher's space for all
    languages, mixed with xlco (arXiv 2605.31171). lakda: a query and its translation rank alike (arXiv 2509.06195)."""
    retrieval_weight: float | None = Field(None, ge=0)
    """Of InfoNCE beside the term of `kind`. None: 0 for xlco and mimo, which are published alone, 1 for the others."""
    term_weight: float = Field(1.0, gt=0)
    """Of the term of `kind` beside InfoNCE."""
    distillation_share: float = Field(0.8, ge=0, le=1)
    """Of mimo: what the teacher has a say in, the rest is xlco's; 1 is the paper's first stage."""
    pivot: str = "en"
    """The language that translations are taken from where the batch has another; a text in it gets a drawn one."""
    teacher: str = "start"
    """Of mimo: whose vectors of the pivot language the others are drawn to: the run's own start, a directory or a hub name.
    They are worked out once and kept under `storage/teachers`."""

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

    @property
    def retrieval(self) -> float:
        """The weight of InfoNCE."""
        if self.retrieval_weight is not None:
            return self.retrieval_weight
        return 0.0 if self.kind in ("xlco", "mimo") else 1.0

    @property
    def parallel_sides(self) -> tuple[Side, ...]:
        """The sides whose translations a batch has to bring."""
        return _PARALLEL.get(self.kind, ())

    @property
    def has_teacher(self) -> bool:
        """Whether a batch has to bring a teacher's vectors."""
        return self.kind == "mimo"

    @field_validator("pivot", mode="after")
    @classmethod
    def _known_language(cls, pivot: str) -> str:
        return language(pivot)

    @field_validator("teacher", mode="after")
    @classmethod
    def _absolute(cls, teacher: str) -> str:
        is_path = teacher.startswith(("/", ".", "~", "$")) or expand_path(Path(teacher)).is_dir()
        return str(expand_path(Path(teacher))) if is_path and teacher != "start" else teacher

    @model_validator(mode="after")
    def _possible(self) -> "LossSettings":
        if self.printed_form and self.symmetric:
            raise ValueError("printed_form has no passage-to-query side; set symmetric or printed_form to false")
        if self.learned_temperature and not COLDEST <= self.temperature <= HOTTEST:
            raise ValueError(f"a learned temperature starts within {COLDEST} and {HOTTEST}, not at {self.temperature}")
        if self.kind != "infonce" and self.learned_temperature:
            raise ValueError(f"loss.kind {self.kind} has a fixed temperature; set learned_temperature to false")
        if self.kind == "infonce" and self.retrieval == 0:
            raise ValueError("retrieval_weight 0 leaves nothing of loss.kind infonce; choose another kind or leave it out")
        return self
