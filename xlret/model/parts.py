"""What an encoder is put together from, whether it was loaded, downloaded or made afresh."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tokenizers
from torch import nn

from xlret.model.projection import Projection
from xlret.tokens.card import Dimensions, PoolingMode


@dataclass(frozen=True)
class Parts:
    """A backbone and its tokenizer, and what the files that they came from say about their use (None: nothing)."""

    backbone: nn.Module
    tokenizer: tokenizers.Tokenizer
    tokenizer_files: Mapping[str, bytes]
    """The files of the tokenizer other than `tokenizer.json`, as they are to be saved again."""
    pad_id: int
    positions: int
    """Tokens that the backbone can take."""
    max_query_tokens: int
    """Tokens kept of a query, as the files say; at most `positions`. So is the next."""
    max_passage_tokens: int
    cut: Literal["left", "right"] = "right"
    """The end at which the tokenizer cuts texts that are too long."""
    pooling: PoolingMode | None = None
    projection: Projection | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Texts that may stand before others, by the names that the files give them."""
    default_prompt_name: str | None = None
    directory: Path | None = None
    """Where the files are, to be named in errors."""
    dimensions: Dimensions = ()
    exported: bool = False
    """Whether the backbone is one for inference alone."""
