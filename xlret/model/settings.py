"""Settings of encoders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

from pydantic import Field, field_validator, model_validator

from xlret.config import Settings
from xlret.files import expand_path
from xlret.storage.url import is_url
from xlret.text.languages import LanguageCodes
from xlret.text.sides import SIDES
from xlret.tokens.card import Dimensions, PoolingMode

PackedSetting = bool | Literal["auto"]


class FreshEncoder(Settings):
    """A small encoder from random weights, with a Unigram tokenizer trained on the corpus."""

    vocabulary: int = Field(16_000, ge=200)
    """Most pieces that the tokenizer knows."""
    layers: int = Field(3, ge=1)
    """Transformer layers."""
    hidden: int = Field(192, ge=16)
    """Numbers in a vector; a multiple of `heads`."""
    heads: int = Field(6, ge=1)
    """Attention heads of a layer."""
    feed_forward: int = Field(768, ge=16)
    """Width between a layer's two linear maps."""
    max_positions: int = Field(256, ge=16)
    """Longest text in tokens."""
    languages: LanguageCodes | None = None
    """Corpus languages whose texts the vocabulary is learned from; by default those that the batches are made of."""


class LoraSettings(Settings):
    """Low-rank adapters in place of training all weights, for encoders whose optimiser memory does not hold."""

    rank: int = Field(0, ge=0)
    """Rank of each adapter, such as 16. 0: none, all weights are trained."""
    alpha: float = Field(32, gt=0)
    """What an adapter gives is multiplied with alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Of what goes into the adapters."""
    layers: tuple[str, ...] = ()
    """Ends of the names of the linear layers that get one, such as [q_proj, v_proj]; all of them by default."""
    half: bool = False
    """Keep the weights that are not trained in bfloat16: half the memory; needs precision bfloat16."""
    four_bit: bool = False
    """Keep the weights of linear layers that are not trained in 4 bits (QLoRA, by bitsandbytes): an eighth of the memory."""
    keep: bool = False
    """Write the adapters by themselves too, into `model/adapter/`; `model/` has them merged into its weights."""


class EncoderSettings(Settings):
    """Which encoder to start from and how a text becomes a vector."""

    start: str = "fresh"
    """`fresh`, a directory in Hugging Face or sentence-transformers layout, or a hub name such as xlm-roberta-base."""
    fresh: FreshEncoder = FreshEncoder()
    layers: int | None = Field(None, ge=1)
    """Only so many of the start's layers are kept, the lowest: cheaper, and worse until trained. None: all."""
    pooling: PoolingMode | None = None
    """None: what the directory says, else mean."""
    query_prompt: str | None = None
    """Text before each query. None: as the encoder's files say (`model/prompts.py`)."""
    passage_prompt: str | None = None
    """The same for passages."""
    query_prompt_name: str | None = None
    """Which of the prompts that the encoder's files name is for queries, in place of its own choice."""
    passage_prompt_name: str | None = None
    """The same for passages."""
    max_query_tokens: int = Field(64, ge=4)
    """Tokens kept of a query, prompt and special tokens included."""
    max_passage_tokens: int = Field(192, ge=4)
    """The same for passages."""
    lora: LoraSettings = LoraSettings()
    """Train adapters and not the weights of the start."""
    gradient_checkpointing: bool = False
    """Compute a layer's activations again when its gradient is needed, and do not keep them: less memory, more time."""
    packed: PackedSetting = "auto"
    """Put the texts of a forward pass into one row, one after the other, and compute no padding; vectors and gradients are
    those of a padded pass, up to rounding (docs/design/large-batches.md). auto: on CPUs, where the transformer allows it; true
    refuses others."""
    dimensions: Dimensions = ()
    """Lengths below the whole that vectors may be cut to; a retriever is trained so that their beginnings are good vectors
    too (Matryoshka). The encoder's card keeps them."""

    @model_validator(mode="after")
    def _fresh_layers_are_named_there(self) -> "EncoderSettings":
        if self.start == "fresh" and self.layers is not None:
            raise ValueError("layers is for a start that is there already; a fresh encoder has fresh.layers")
        return self

    @model_validator(mode="after")
    def _adapters_have_a_start(self) -> "EncoderSettings":
        if self.start == "fresh" and self.lora.rank:
            raise ValueError("lora.rank is for a start that is there already; a fresh encoder has nothing to keep")
        if not self.lora.rank and self.lora != LoraSettings():
            raise ValueError("lora: its settings change nothing without lora.rank; set it to 8 or more")
        return self

    @model_validator(mode="after")
    def _one_prompt_each(self) -> "EncoderSettings":
        for side in SIDES:
            if getattr(self, f"{side}_prompt") is not None and getattr(self, f"{side}_prompt_name") is not None:
                raise ValueError(f"{side}_prompt and {side}_prompt_name say the same thing; give one of them")
        return self

    @field_validator("start", mode="after")
    @classmethod
    def _absolute(cls, start: str) -> str:
        is_path = start.startswith(("/", ".", "~", "$")) or is_url(start) or expand_path(Path(start)).is_dir()
        return str(expand_path(Path(start))) if is_path and start != "fresh" else start


class EncoderOverrides(TypedDict, total=False):
    """The fields of `EncoderSettings` that an encoder which is there already can be loaded with in place of its own."""

    pooling: PoolingMode | None
    query_prompt: str | None
    passage_prompt: str | None
    query_prompt_name: str | None
    passage_prompt_name: str | None
    max_query_tokens: int
    max_passage_tokens: int
    dimensions: Sequence[int]
    packed: PackedSetting
