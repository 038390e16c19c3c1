"""Settings of the losses."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from xlret.config import Settings
from xlret.files import expand_path
from xlret.storage.url import is_url
from xlret.text.languages import language
from xlret.text.sides import SIDES, Side

HOTTEST, COLDEST = 1.0, 0.01
"""Bounds of a temperature that is learned."""


LossKind = Literal["infonce", "four_way", "xlco", "mimo", "lakda", "clear", "jensen_shannon", "rank_distillation", "margin_mse"]
ListLoss = Literal["pointwise", "pairwise", "listwise", "rank_distillation", "margin_mse"]
"""Losses of a reranker."""
TAUGHT: tuple[ListLoss, ...] = ("rank_distillation", "margin_mse")
"""Those of them that take over a teacher's scores."""
_PARALLEL: dict[LossKind, tuple[Side, ...]] = {
    "xlco": SIDES,
    "mimo": SIDES,
    "lakda": ("query",),
    "clear": ("query",),
    "jensen_shannon": SIDES,
}
"""Whose translations a loss compares."""
_ALONE: tuple[LossKind, ...] = ("four_way", "xlco", "mimo", "clear")
"""Published without InfoNCE beside them, or with it inside."""
_RERANKED: tuple[LossKind, ...] = ("rank_distillation", "margin_mse")
_ONLY_OF: dict[str, tuple[LossKind, ...]] = {
    "distillation_share": ("mimo",),
    "teacher": ("mimo",),
    "reverse_share": ("clear",),
    "agreement_share": ("clear",),
    "directions": ("four_way",),
    "hardness": ("four_way",),
    "hardness_strength": ("four_way",),
    "teacher_temperature": _RERANKED,
}
"""Settings of some kinds alone, which change nothing under the others."""
Direction = Literal["query_to_passage", "query_to_query", "passage_to_query", "passage_to_passage"]
FOUR: tuple[Direction, ...] = ("query_to_passage", "query_to_query", "passage_to_query", "passage_to_passage")


class LossSettings(Settings):
    """The loss of a retriever: InfoNCE (van den Oord et al. 2018), or one that aligns languages, alone or beside it."""

    kind: LossKind = "infonce"
    """infonce: each query finds its passage. four_way: the same in four directions, with hardness. xlco: each text finds its
    translation (InfoXLM). mimo: a teacher's space for all languages, mixed with xlco (arXiv 2605.31171). lakda: a query and its
    translation rank alike (arXiv 2509.06195). clear: infonce, back from passages to translated queries, agreement of the two
    (arXiv 2604.05821). jensen_shannon: texts and translations as distributions (arXiv 2604.05684). rank_distillation,
    margin_mse: a reranker's scores of mined hard negatives, as a distribution or as margins."""
    retrieval_weight: float | None = Field(None, ge=0)
    """Of InfoNCE beside the term of `kind`. None: 0 for four_way, xlco, mimo and clear, which are published without or have it
    inside, 1 for the others."""
    term_weight: float = Field(1.0, gt=0)
    """Of the term of `kind` beside InfoNCE."""
    distillation_share: float = Field(0.8, ge=0, le=1)
    """Of mimo: what the teacher has a say in, the rest is xlco's; 1 is the paper's first stage."""
    reverse_share: float = Field(0.4, ge=0, le=1)
    """Of clear: the way back from passages to translated queries; what this and `agreement_share` leave is InfoNCE's."""
    agreement_share: float = Field(0.2, ge=0, le=1)
    """Of clear: the divergence between both ways."""
    directions: tuple[Direction, ...] = FOUR
    """Of four_way: what stands in its one denominator; query_to_passage always does."""
    hardness: Literal["none", "in_batch", "hard", "all"] = "none"
    """Of four_way: which query-to-passage negatives count more the nearer they are: other rows', the row's hard ones, all."""
    hardness_strength: float = Field(5.0, gt=0)
    """Of four_way: what is added to a negative's logit for each unit of cosine; 9 for in_batch and 5 for hard are published."""
    teacher_temperature: float | None = Field(None, gt=0)
    """Of rank_distillation and margin_mse: what the teacher's scores are divided by. None: 1, which goes with a reranker's
    logits; an encoder's cosines need the temperature that it was trained at, such as 0.05, and are refused without one."""
    spread_weight: float = Field(0.0, ge=0)
    """Of a regulariser beside any kind that spreads vectors over the sphere (GOR); 0: none."""
    pair_weights: dict[str, float] = Field(default_factory=dict)
    """What the loss of a row is multiplied by, by its languages, such as {"de>en": 2, "*>th": 1.5}; the first that fits of
    query>passage, query>*, *>passage, and 1 where none does. A reranker has none."""
    pivot: str = "en"
    """The language that translations are taken from where the batch has another; a text in it gets a drawn one."""
    teacher: str = "start"
    """Of mimo: whose vectors of the pivot language the others are drawn to: the run's own start, a directory or a hub name.
    They are worked out once, for the texts that the run's batches are of, and kept under `storage/teachers`."""

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
        return 0.0 if self.kind in _ALONE else 1.0

    @property
    def parallel_sides(self) -> tuple[Side, ...]:
        """The sides whose translations a batch has to bring."""
        return _PARALLEL.get(self.kind, ())

    @property
    def has_teacher(self) -> bool:
        """Whether a batch has to bring a teacher's vectors."""
        return self.kind == "mimo"

    @property
    def has_reranked(self) -> bool:
        """Whether a batch has to bring a reranker's scores of the hard negatives."""
        return self.kind in _RERANKED

    @field_validator("pair_weights", mode="after")
    @classmethod
    def _known_pairs(cls, weights: dict[str, float]) -> dict[str, float]:
        known = {}
        for pair, weight in weights.items():
            sides = pair.split(">")
            if len(sides) != 2 or weight < 0 or sides == ["*", "*"]:
                raise ValueError(f"{pair}: {weight} is not of the form query>passage: 0 or more, such as de>en: 2 or *>en: 1.5")
            known[">".join(side if side == "*" else language(side) for side in sides)] = weight
        return known

    @field_validator("pivot", mode="after")
    @classmethod
    def _known_language(cls, pivot: str) -> str:
        return language(pivot)

    @field_validator("teacher", mode="after")
    @classmethod
    def _absolute(cls, teacher: str) -> str:
        is_path = teacher.startswith(("/", ".", "~", "$")) or is_url(teacher) or expand_path(Path(teacher)).is_dir()
        return str(expand_path(Path(teacher))) if is_path and teacher != "start" else teacher

    @model_validator(mode="after")
    def _possible(self) -> "LossSettings":
        if self.printed_form and self.symmetric:
            raise ValueError("printed_form has no passage-to-query side; set symmetric or printed_form to false")
        if self.learned_temperature and not COLDEST <= self.temperature <= HOTTEST:
            raise ValueError(f"a learned temperature starts within {COLDEST} and {HOTTEST}, not at {self.temperature}")
        if self.kind != "infonce" and self.learned_temperature:
            raise ValueError(f"loss.kind {self.kind} has a fixed temperature; set learned_temperature to false")
        if self.kind != "clear" and self.retrieval == 0 and (self.symmetric or self.printed_form or not self.mask):
            raise ValueError(
                f"symmetric, printed_form and mask are InfoNCE's; loss.kind {self.kind} has it with a retrieval_weight"
            )
        if (shares := self.reverse_share + self.agreement_share) > 1:
            raise ValueError(f"reverse_share and agreement_share are {shares:g} together; at most 1 is left to share")
        if "query_to_passage" not in self.directions or len(set(self.directions)) < len(self.directions):
            raise ValueError("directions name query_to_passage, which holds the right pair, and each at most once")
        if self.kind == "infonce" and self.retrieval == 0:
            raise ValueError("retrieval_weight 0 leaves nothing of loss.kind infonce; choose another kind or leave it out")
        return self

    @model_validator(mode="after")
    def _all_have_a_say(self) -> "LossSettings":
        for name, kinds in _ONLY_OF.items():
            if self.kind not in kinds and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} is of loss.kind {' or '.join(kinds)} and changes nothing under {self.kind}; "
                    f"set kind or leave {name} out"
                )
        if self.kind == "infonce" and self.retrieval != 1:
            raise ValueError("retrieval_weight is InfoNCE's beside another term; choose a kind or leave it out")
        if self.term_weight != 1 and (self.kind == "infonce" or self.retrieval == 0):
            raise ValueError("term_weight is of a term beside InfoNCE; choose a kind and a retrieval_weight, or leave it out")
        if self.hardness == "none" and self.hardness_strength != type(self).model_fields["hardness_strength"].default:
            raise ValueError("hardness_strength changes nothing with hardness none; set hardness to in_batch, hard or all")
        return self
