"""Pairs of a query and a passage to token ids, exactly as a reranker reads them; without torch or transformers."""

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Literal, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray
from pydantic import Field

from xlret.config import Settings, settings_from
from xlret.errors import UserError
from xlret.tokens.card import CARD, card_values
from xlret.tokens.texts import bad_texts_named, ragged_ids, read_backend

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # as in texts.py

Pair = tuple[str, str]
"""A query and a passage."""


class RerankerCard(Settings):
    """`xlret.json` in a reranker's directory: what the other files do not say to a process without transformers."""

    version: Literal[1] = 1
    kind: Literal["reranker"] = "reranker"
    max_tokens: int = Field(ge=8)
    """Tokens kept of a pair, special tokens included."""
    pad_id: int = Field(ge=0)
    types: bool
    """Whether the model is told which tokens are the query's and which the passage's."""
    cut: Literal["left", "right"] = "right"
    """The end at which the longer text of a pair loses tokens first."""


class PairIds(NamedTuple):
    """Token ids of several pairs, one after the other, without padding."""

    ids: NDArray[np.int32]  # [sum of lengths]
    types: NDArray[np.int32]  # [sum of lengths]; 0 for the query's part, 1 for the passage's where the tokenizer says so
    lengths: NDArray[np.int32]  # [pairs]


class PairTokeniser:
    """Pairs to token ids. Threads may share one; it uses one thread unless TOKENIZERS_PARALLELISM says true."""

    def __init__(self, backend: tokenizers.Tokenizer, card: RerankerCard) -> None:
        """`backend` belongs to this object from here on."""
        backend.no_padding()
        backend.enable_truncation(card.max_tokens, strategy="longest_first", direction=card.cut)
        self.card = card
        self._backend = backend
        self._lock = Lock()

    def __reduce__(self) -> tuple[type, tuple[tokenizers.Tokenizer, RerankerCard]]:
        return type(self), (self._backend, self.card)  # a lock cannot be copied

    @classmethod
    def load(cls, directory: Path) -> "PairTokeniser":
        """Reads `tokenizer.json` and `xlret.json` of a directory that `Reranker.save` wrote.

        Raises:
            UserError: no such directory, not a reranker's, or a damaged file.
        """
        card = read_reranker_card(directory)
        return cls(read_backend(directory), card)

    def ragged(self, pairs: Sequence[Pair]) -> PairIds:
        """The ids of all pairs; of a pair that is too long the longer text loses tokens first.

        Raises:
            DataError: something is no text that UTF-8 can hold; names its position (the texts of pair i are 2i and 2i + 1).
        """
        with self._lock, bad_texts_named(list(chain.from_iterable(pairs))):
            encodings = self._backend.encode_batch_fast(list(pairs))
        ids, lengths = ragged_ids(encodings, pairs)
        types = chain.from_iterable(encoding.type_ids for encoding in encodings)
        return PairIds(
            ids, np.fromiter(types, np.int32, len(ids)) if self.card.types else np.zeros(len(ids), np.int32), lengths
        )


def read_reranker_card(directory: Path) -> RerankerCard:
    """`xlret.json` of a reranker's directory.

    Raises:
        UserError: no such directory or file, or it is of something else.
    """
    values = card_values(directory, "reranker")
    if values.get("kind") != "reranker":
        raise UserError(f"{directory} is not a reranker (no kind: reranker in its {CARD}); train one with model: reranker")
    return settings_from(RerankerCard, values)
