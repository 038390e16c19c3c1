"""Every job's settings: YAML recipes, `--set a.b=c` overrides, and one-line errors that name key, value and what is allowed."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xlret.errors import UserError
from xlret.files import expand_path
from xlret.text.languages import language


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors and values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)

PathSetting = Annotated[Path, AfterValidator(expand_path)]
"""A path that may hold `~` and environment variables; absolute from here on (Ray's workers have directories of their own)."""


def _languages(codes: Iterable[str] | None) -> tuple[str, ...] | None:
    if codes is None:
        return None
    found = tuple(language(code) for code in codes)
    if len(set(found)) != len(found):
        raise ValueError(f"{list(found)} names a language twice")
    return found


class AlphaSchedule(Settings):
    """The share of monolingual batches as it changes from `start` at step 0 to `end` at step `steps`, constant after that."""

    shape: Literal["linear", "cosine"] = "linear"
    start: float = Field(ge=0, le=1)
    end: float = Field(ge=0, le=1)
    steps: int = Field(ge=1)


class PlanSettings(Settings):
    """Which (query, passage) pairs make up the batch of each step (REFERENCE.md section 1)."""

    regime: Literal["mixed", "mono", "cross", "hybrid"] = "hybrid"
    """mixed: same-language pairs, languages mixed; mono: one language a batch; cross: query language != passage language;
    hybrid: each batch is mono with probability alpha, else cross."""
    alpha: float | AlphaSchedule = 0.5
    pair_per: Literal["example", "batch"] = "example"
    """Whether the language pair of a cross batch is drawn for each example or once for the batch."""
    batch_size: int = Field(64, ge=2)
    """Pairs in the global batch, over all workers."""
    languages: tuple[str, ...] | None = None
    """Train on these languages only; all of the corpus by default."""
    exclude: tuple[str, ...] = ()
    """Languages never trained on (held out for zero-shot evaluation)."""
    language_tau: float = Field(0.0, ge=0, le=1)
    """Weight of a language or pair is (its number of groups)^tau; 0 is uniform, as in the hybrid paper."""
    corpus_tau: float = Field(1.0, ge=0, le=1)
    """Weight of a corpus is (its number of groups)^tau; 1 is the hybrid paper's `based on dataset size`."""
    small_pools: Literal["error", "drop"] = "error"
    """What to do with a pool that cannot fill its part of a batch: stop, or leave that language (pair) out."""
    seed: int = Field(0, ge=0)

    _check_languages = field_validator("languages", "exclude", mode="before")(_languages)

    @field_validator("alpha", mode="after")
    @classmethod
    def _alpha_in_range(cls, alpha: float | AlphaSchedule) -> float | AlphaSchedule:
        if isinstance(alpha, float | int) and not 0 <= alpha <= 1:
            raise ValueError("allowed is 0 to 1")
        return alpha


class SwitchSettings(Settings):
    """Artificial code-switching of training text through bilingual lexicons (REFERENCE.md section 2)."""

    policy: Literal["none", "bl", "ml", "ml-sentence", "wiki"] = "none"
    """bl: all words of a text go to one language; ml: each word draws its own; ml-sentence: each sentence does;
    wiki: as bl, through a lexicon of page titles of up to three words, the longest match first."""
    lexicons: tuple[PathSetting, ...] = ()
    """Lexicon files or directories."""
    languages: tuple[str, ...] | None = None
    """Target languages; all of the lexicon by default."""
    query_languages: tuple[str, ...] | None = None
    passage_languages: tuple[str, ...] | None = None
    """Target languages of one side only, some of `languages`; all of them by default."""
    p: float | tuple[float, float] = 0.5
    """Probability that a word is switched (wiki: that a title is; the paper has 1), or a range to draw a text's own from."""
    rows: float = Field(1.0, ge=0, le=1)
    """Share of the batch's rows that are switched at all."""
    keep_english: float | None = Field(None, ge=0, le=1)
    """Share of texts (ml-sentence: sentences) that stay in their language; by default 0, and for wiki an equal share
    beside the target languages, as in the paper."""
    side: Literal["query", "passage", "both"] = "both"
    choice: Literal["first", "random", "score"] = "random"
    """Which candidate translation: the best, any with equal chance, or any with chances by score."""
    objective: Literal["replace", "contrast"] = "replace"
    """replace: the switched text is trained on. contrast: batches stay as they are, and a loss that pulls each query towards
    its own switched copy is added (ContrastiveMix, Do et al., NAACL 2024); `side` then has no say."""
    contrast_weight: float = Field(0.1, gt=0)
    """What the added loss is multiplied by."""

    _check_languages = field_validator("languages", "query_languages", "passage_languages", mode="before")(_languages)

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
        for name, some in (("query_languages", self.query_languages), ("passage_languages", self.passage_languages)):
            others = sorted(set(some or ()) - set(self.languages if self.languages is not None else some or ()))
            if others:
                raise ValueError(f"{name} has {', '.join(others)}, which languages has not; add it there")
        if self.objective == "contrast" and self.policy == "none":
            raise ValueError("objective contrast needs switched copies; choose a policy such as ml, or objective replace")
        if self.languages == () or self.query_languages == () or self.passage_languages == ():
            raise ValueError("an empty list of languages; name at least one, or leave the key out for all of the lexicon")
        return self


class FreshEncoder(Settings):
    """A small encoder from random weights, with a Unigram tokenizer trained on the corpus."""

    vocabulary: int = Field(16_000, ge=200)
    layers: int = Field(3, ge=1)
    hidden: int = Field(192, ge=16)
    heads: int = Field(6, ge=1)
    feed_forward: int = Field(768, ge=16)
    max_positions: int = Field(256, ge=16)
    languages: tuple[str, ...] | None = None
    """Corpus languages whose texts the vocabulary is learned from; by default those that the batches are made of."""

    _check_languages = field_validator("languages", mode="before")(_languages)


def _ascending(dimensions: tuple[int, ...]) -> tuple[int, ...]:
    if any(later <= earlier for earlier, later in pairwise((0, *dimensions))):
        raise ValueError("allowed are lengths of 1 or more, ascending, each once, such as [64, 128]")
    return dimensions


Dimensions = Annotated[tuple[int, ...], AfterValidator(_ascending)]
"""Lengths that a vector may be cut to."""


class EncoderSettings(Settings):
    """Which encoder to start from and how a text becomes a vector."""

    start: str = "fresh"
    """`fresh`, a directory in Hugging Face or sentence-transformers layout, or a hub name such as xlm-roberta-base."""
    fresh: FreshEncoder = FreshEncoder()
    pooling: Literal["mean", "cls", "last"] | None = None
    """None: what the directory says, else mean."""
    query_prompt: str | None = None
    passage_prompt: str | None = None
    max_query_tokens: int = Field(64, ge=4)
    max_passage_tokens: int = Field(192, ge=4)
    dimensions: Dimensions = ()
    """Lengths below the whole that vectors may be cut to; a retriever is trained so that their beginnings are good vectors
    too (Matryoshka). The encoder's card keeps them."""

    @field_validator("start", mode="after")
    @classmethod
    def _absolute(cls, start: str) -> str:
        is_path = start.startswith(("/", ".", "~", "$")) or expand_path(Path(start)).is_dir()
        return str(expand_path(Path(start))) if is_path and start != "fresh" else start


def read_recipe(kind: type[S], path: Path | None, overrides: Iterable[str] = ()) -> S:
    """Reads a YAML recipe into `kind` and applies overrides `a.b=value` (values are YAML).

    Raises:
        UserError: no such file, not YAML, an unknown key, a wrong type or an impossible combination.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"cannot read recipe {path}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"recipe {path} is not YAML: {error}") from error
        if read is not None and not isinstance(read, dict):
            raise UserError(f"recipe {path} must be a mapping of keys to values, not {type(read).__name__}")
        values = read or {}
    for override in overrides:
        _apply(values, override)
    return settings_from(kind, values)


def settings_from(kind: type[S], values: Mapping[str, Any]) -> S:
    """`kind` from plain values, with pydantic's errors as one line that names the key, the value and what is allowed."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError("; ".join(_sentence(kind, one) for one in error.errors()[:3])) from error


def as_yaml(settings: Settings) -> str:
    """The full settings as YAML; `read_recipe` of it gives equal settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply(values: dict[str, Any], override: str) -> None:
    key, found, text = override.partition("=")
    if not found or not key.strip():
        raise UserError(f"--set {override!r} is not of the form key.subkey=value, such as train.steps=200")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override!r}: the value is not YAML: {error}") from error
    *parents, last = key.strip().split(".")
    inner: Any = values
    for parent in parents:
        step = int(parent) if isinstance(inner, list) and parent.isdigit() else parent
        if isinstance(inner, dict):
            if not isinstance(inner.get(parent), dict | list):
                inner[parent] = {}
            inner = inner[parent]
        elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
            inner = inner[step]
        else:
            raise UserError(f"--set {override!r}: there is no {parent!r} to set something in")
    if isinstance(inner, list):
        if not last.isdigit() or int(last) >= len(inner):
            raise UserError(f"--set {override!r}: {last!r} is not a position in a list of {len(inner)}")
        inner[int(last)] = value
    else:
        inner[last] = value


def _sentence(kind: type[Settings], error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location) or kind.__name__
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        allowed = _keys_at(kind, location[:-1])
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}" if allowed else f"{key}: unknown key"
    if error["type"] == "missing":
        return f"{key}: is needed and was not given"
    value = repr(error.get("input"))
    if len(value) > 80:
        value = value[:77] + "..."
    return f"{key} is {value}: {message}"


def _keys_at(kind: type[Settings], location: list[str]) -> list[str]:
    """The field names allowed at a place in the settings tree; empty where the place is not a plain settings class."""
    here: Any = kind
    for part in location:
        field = getattr(here, "model_fields", {}).get(part)
        if field is None:
            return []
        here = field.annotation
    return sorted(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []
