"""What an encoder is put together from, whether it was loaded, downloaded or made afresh."""

from collections.abc import Mapping
from dataclasses import dataclass
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
    query_prompt: str | None = None
    passage_prompt: str | None = None
    dimensions: Dimensions = ()
