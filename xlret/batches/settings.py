"""Settings of the batch plan."""

from typing import Literal

from pydantic import Field, field_validator

from xlret.config import Settings
from xlret.text.languages import LanguageCodes


class AlphaSchedule(Settings):
    """The share of monolingual batches as it changes from `start` at step 0 to `end` at step `steps`, constant after that."""

    shape: Literal["linear", "cosine"] = "linear"
    """How it changes in between."""
    start: float = Field(ge=0, le=1)
    """The share at step 0."""
    end: float = Field(ge=0, le=1)
    """The share from step `steps` on."""
    steps: int = Field(ge=1)
    """When the end is reached."""


class PlanSettings(Settings):
    """Which (query, passage) pairs make up the batch of each step (Elmahdy, Lin and Ahmad, arXiv 2408.10536)."""

    regime: Literal["mixed", "mono", "cross", "hybrid"] = "hybrid"
    """mixed: same-language pairs, languages mixed; mono: one language a batch; cross: query language != passage language;
    hybrid: each batch is mono with probability alpha, else cross."""
    alpha: float | AlphaSchedule = 0.5
    """Share of monolingual batches of the hybrid regime, or how it changes with the steps."""
    alpha_draw: Literal["bernoulli", "stratified"] = "bernoulli"
    """bernoulli: each step is mono with probability alpha, over seeds, and 64 steps hold their share; a shorter stretch may be
    far off. stratified: every `alpha_block` steps hold exactly alpha of them, whatever the seed, in an order that is drawn;
    what rounding leaves over goes to the next block, under schedules too."""
    alpha_block: int = Field(10, ge=2, le=4096)
    """Steps of a block of stratified draws, counted from step 0."""
    pair_per: Literal["example", "batch"] = "example"
    """Whether the language pair of a cross batch is drawn for each example or once for the batch."""
    batch_size: int = Field(64, ge=2)
    """Pairs in the global batch, over all workers."""
    languages: LanguageCodes | None = None
    """Train on these languages only; all of the corpus by default."""
    exclude: LanguageCodes = ()
    """Languages never trained on (held out for zero-shot evaluation)."""
    language_tau: float = Field(0.0, ge=0, le=1)
    """Weight of a language or pair is (its number of groups in all corpora)^tau; 0 is uniform, as in the hybrid paper."""
    corpus_tau: float = Field(1.0, ge=0, le=1)
    """Weight of a corpus among those that have a language or pair is (its number of groups of it)^tau; 1 is the hybrid paper's
    `based on dataset size`."""
    small_pools: Literal["error", "drop"] = "error"
    """What to do with a pool that cannot fill its part of a batch: stop, or leave that language (pair) out."""
    seed: int = Field(0, ge=0)
    """Of all that the plan draws."""

    @field_validator("alpha", mode="after")
    @classmethod
    def _alpha_in_range(cls, alpha: float | AlphaSchedule) -> float | AlphaSchedule:
        if isinstance(alpha, float | int) and not 0 <= alpha <= 1:
            raise ValueError("allowed is 0 to 1")
        return alpha
