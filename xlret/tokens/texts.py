"""Texts to token ids without torch or transformers, for the many processes that hold no model."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Lock

import numpy as np
import tokenizers
from numpy.typing import NDArray

from xlret.errors import DataError, UserError
from xlret.files import local
from xlret.text.sides import Side
from xlret.tokens.card import EncoderCard, read_card

# One thread by default: a Ray node runs a process for each share of a CPU already, and a process that forks after the
# thread pool of `tokenizers` has started may hang. Set TOKENIZERS_PARALLELISM=true where one process has the machine.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class Tokeniser:
    """Texts to token ids exactly as the encoder does it. Threads may share one.

    It uses one thread unless TOKENIZERS_PARALLELISM says true.
    """

    def __init__(self, backend: tokenizers.Tokenizer, card: EncoderCard) -> None:
        """`backend` belongs to this object from here on: its truncation changes with the side."""
        backend.no_padding()
        backend.no_truncation()
        self.card = card
        self._backend = backend
        self._kept: int | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[type, tuple[tokenizers.Tokenizer, EncoderCard]]:
        return type(self), (self._backend, self.card)  # a lock cannot be copied

    @classmethod
    def load(cls, directory: Path) -> "Tokeniser":
        """Reads `tokenizer.json` and `xlret.json` of a directory that `Encoder.save` wrote.

        Raises:
            UserError: no such directory, not an encoder's, or a damaged file.
        """
        card = read_card(directory)
        return cls(read_backend(directory), card)

    @property
    def pad_id(self) -> int:
        """The id that fills up short rows of a batch."""
        return self.card.pad_id

    @property
    def vocabulary_size(self) -> int:
        """Number of distinct ids, special ones included."""
        return int(self._backend.get_vocab_size())

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the vocabulary and of how texts are cut into its pieces; length limits and prompts are the card's."""
        with self._lock:
            self._backend.no_truncation()
            self._kept = None
            return hashlib.blake2b(self._backend.to_str().encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def ragged(self, texts: Sequence[str], side: Side) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The ids of all texts one after the other, [sum of lengths], and the lengths, [texts].

        The side's prompt is put before each text; a text that is too long is cut so that its special tokens stay.

        Raises:
            DataError: something is no text that UTF-8 can hold, or has no token at all; names its position.
        """
        prompt, kept = self.card.prompt(side), self.card.max_tokens(side)
        prompted = [prompt + text for text in texts] if prompt else list(texts)
        with self._lock:
            if kept != self._kept:
                self._backend.enable_truncation(kept, direction=self.card.cut)
                self._kept = kept
            with bad_texts_named(texts):
                encodings = self._backend.encode_batch_fast(prompted)
        return ragged_ids(encodings, texts)

    def heads(self, texts: Sequence[str], most: int) -> list[str]:
        """Each text up to the end of its `most`-th token, without prompt and special tokens; one that is shorter as it is.

        Raises:
            DataError: as `ragged`.
        """
        with self._lock:
            self._backend.no_truncation()
            self._kept = None
            with bad_texts_named(texts):
                encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [
            text if len(encoding.ids) <= most else text[: encoding.offsets[most - 1][1]]
            for text, encoding in zip(texts, encodings, strict=True)
        ]


def read_backend(directory: Path) -> tokenizers.Tokenizer:
    """`tokenizer.json` of an encoder's directory.

    Raises:
        UserError: no such file, or it is damaged.
    """
    path = local(Path(directory)) / "tokenizer.json"
    try:
        return tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # `tokenizers` raises bare Exception for a file that it cannot read
        raise UserError(f"cannot read tokenizer {path}: {error}") from error


def ragged_ids(
    encodings: Sequence[tokenizers.Encoding], texts: Sequence[object]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The ids of all encodings one after the other, [sum of lengths], and the lengths, [encodings].

    Raises:
        DataError: a text has no token, which only a tokenizer without special tokens gives: a model has no vector for nothing.
    """
    ids = [encoding.ids for encoding in encodings]
    lengths = np.fromiter(map(len, ids), np.int32, len(ids))
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        text = repr(texts[empty[0]])
        raise DataError(
            f"text {empty[0]} is {text if len(text) <= 60 else text[:57] + '...'}, for which this tokenizer has no token: it "
            "adds none of its own ([CLS] or the like) and knows nothing in the text; leave the text out, or give the tokenizer "
            "a post-processor that adds special tokens"
        )
    return np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum())), lengths


@contextmanager
def bad_texts_named(texts: Sequence[str]) -> Iterator[None]:
    """Where a tokenizer is given `texts`: what it refuses becomes a DataError that names which text it was, and why."""
    try:
        yield
    except (TypeError, UnicodeEncodeError) as error:
        raise _bad_text(texts, error) from error


def _bad_text(texts: Sequence[str], error: Exception) -> DataError:
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            return DataError(f"text {position} is {type(text).__name__}, not a string")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return DataError(f"text {position} holds characters that UTF-8 cannot: {text[:40]!r}")
    return DataError(f"texts cannot be tokenised: {error}")
