"""The sentence of a passage that is nearest to the question."""

from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from xlret.switch.units import SENTENCE_END

Span = tuple[int, int]
"""Start and end in code points."""

_MOST = 12
"""Sentences of one passage that are looked at; the rest counts as one."""
_SHORT = 16
"""Bytes. What is shorter (`Dr.`, `12.`) belongs to the sentence after it."""


def sentences(text: str) -> list[Span]:
    """The sentences of a text, without the spaces around them.

    >>> [text[a:b] for text in ["Rom liegt in Italien. Dr. Who wohnt dort nicht! "] for a, b in sentences(text)]
    ['Rom liegt in Italien.', 'Dr. Who wohnt dort nicht!']
    """
    ends = [match.end() for match in SENTENCE_END.finditer(text) if not _abbreviated(text, match.start())]
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    spans: list[Span] = []
    start = 0
    for end in ends:
        last = end == len(text)
        if not last and (len(spans) == _MOST - 1 or len(text[start:end].encode()) < _SHORT):
            continue
        piece = text[start:end]
        left = len(piece) - len(piece.lstrip())
        stripped = piece.strip()
        if stripped:
            spans.append((start + left, start + left + len(stripped)))
        start = end
    return spans


def _abbreviated(text: str, dot: int) -> bool:
    """Whether the dot stands after a single letter or digit, as in `z. B.`"""
    return text[dot] == "." and text[max(0, dot - 2) : dot].strip().isalnum() and (dot < 2 or not text[dot - 2].isalnum())


async def nearest_sentences(
    vectors_ND: Sequence[NDArray[np.float32]],
    texts: Sequence[str],
    encode: Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]],
) -> list[Span]:
    """For each of N (question vector, passage text) pairs the sentence with the highest cosine; the first of equals.

    Cost: encoding every sentence of passages that have several; each distinct sentence once.
    """
    spans = [sentences(text) for text in texts]
    pieces = {
        text[a:b]: None
        for text, spans_of_text in zip(texts, spans, strict=True)
        if len(spans_of_text) > 1
        for a, b in spans_of_text
    }
    rows_of = {piece: row for row, piece in enumerate(pieces)}
    vectors = await encode(list(pieces)) if pieces else None
    best = []
    for vector_D, text, spans_of_text in zip(vectors_ND, texts, spans, strict=True):
        if len(spans_of_text) == 1 or vectors is None:
            best.append(spans_of_text[0] if spans_of_text else (0, len(text)))
        else:
            rows = [rows_of[text[a:b]] for a, b in spans_of_text]
            best.append(spans_of_text[int(np.argmax(vectors[rows] @ vector_D))])
    return best
