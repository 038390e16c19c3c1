"""Settings of code-switching."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from xlret.config import PathSetting, Settings
from xlret.text.languages import LanguageCodes


class SwitchSettings(Settings):
    """Artificial code-switching of training text through bilingual lexicons (Litschko et al. 2023, arXiv:2305.05295)."""

    policy: Literal["none", "bl", "ml", "ml-sentence", "wiki"] = "none"
    """bl: all words of a text go to one language; ml: each word draws its own; ml-sentence: each sentence does;
    wiki: as bl, through a lexicon of page titles of up to three words, the longest match first."""
    lexicons: tuple[PathSetting, ...] = ()
    """Lexicon files or directories."""
    languages: LanguageCodes | None = None
    """Target languages; all of the lexicon by default."""
    query_languages: LanguageCodes | None = None
    """Target languages of queries, some of `languages`; all of them by default."""
    passage_languages: LanguageCodes | None = None
    """The same for passages."""
    p: float | tuple[float, float] = 0.5
    """Probability that a word is switched (wiki: that a title is; the paper has 1), or a range to draw a text's own from."""
    rows: float = Field(1.0, ge=0, le=1)
    """Share of the batch's rows that are switched at all."""
    keep_english: float | None = Field(None, ge=0, le=1)
    """Share of texts (ml-sentence: sentences) that stay in their language; by default 0, and for wiki an equal share
    beside the target languages, as in the paper."""
    side: Literal["query", "passage", "both"] = "both"
    """Which texts are switched."""
    choice: Literal["first", "random", "score"] = "random"
    """Which candidate translation: the best, any with equal chance, or any with chances by score."""
    objective: Literal["replace", "contrast"] = "replace"
    """replace: the switched text is trained on. contrast: batches stay as they are, and a loss that pulls each query towards
    its own switched copy is added (ContrastiveMix, Do et al., NAACL 2024); `side` then has no say."""
    contrast_weight: float = Field(0.1, gt=0)
    """What the added loss is multiplied by."""

    @field_validator("p", mode="after")
    @classmethod
    def _p_in_range(cls, p: float | tuple[float, float]) -> float | tuple[float, float]:
        low, high = p if isinstance(p, tuple) else (p, p)
        if not 0 <= low <= high <= 1:
            raise ValueError("allowed is 0 to 1, or a range [low, high] within")
        return p

    @model_validator(mode="after")
    def _fits_together(self) -> "SwitchSettings":
        if self.policy != "none" and not self.lexicons:
            raise ValueError(f"policy {self.policy} needs switch.lexicons; name a lexicon or set policy to none")
        for name, languages in (("query_languages", self.query_languages), ("passage_languages", self.passage_languages)):
            others = sorted(set(languages or ()) - set(self.languages if self.languages is not None else languages or ()))
            if others:
                raise ValueError(f"{name} has {', '.join(others)}, which languages has not; add it there")
        if self.objective == "contrast" and self.policy == "none":
            raise ValueError("objective contrast needs switched copies; choose a policy such as ml, or objective replace")
        if self.languages == () or self.query_languages == () or self.passage_languages == ():
            raise ValueError("an empty list of languages; name at least one, or leave the key out for all of the lexicon")
        return self
