"""Sentences, and which one is nearest."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from xlret.serve.engine.highlight import nearest_sentences, sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Rom liegt in Italien. Paris liegt in Frankreich.", ["Rom liegt in Italien.", "Paris liegt in Frankreich."]),
        ("東京は日本の首都です。パリはフランスの首都です。", ["東京は日本の首都です。", "パリはフランスの首都です。"]),
        ("Das kostet z. B. 3.50 Euro. Nicht mehr!", ["Das kostet z. B. 3.50 Euro.", "Nicht mehr!"]),
        ("هل هذا سؤال طويل؟ نعم، هذا سؤال طويل.", ["هل هذا سؤال طويل؟", "نعم، هذا سؤال طويل."]),
        ("ประเทศไทย", ["ประเทศไทย"]),
        ("  no end  ", ["no end"]),
        ("   ", []),
        ("", []),
        ("1. Januar", ["1. Januar"]),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == parts


@given(st.text(alphabet=st.sampled_from("ab .!。\n😀é"), max_size=400))
def test_spans_rise_cover_all_but_spaces_and_are_few(text: str) -> None:
    spans = sentences(text)
    assert len(spans) <= 12
    end = 0
    for start, stop in spans:
        assert text[end:start].strip() == ""
        assert start < stop
        assert text[start:stop] == text[start:stop].strip()
        end = stop
    assert text[end:].strip() == ""


def test_the_nearest_sentence_in_code_points_and_each_distinct_one_encoded_once() -> None:
    asked: list[str] = []

    async def encode(pieces: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(pieces)
        return np.array([[piece.count("x"), piece.count("y")] for piece in pieces], np.float32)

    text = "😀😀 nothing in here at all. Here are xxxx letters to find. And here are yyyy letters."
    vectors = [np.array([1, 0], np.float32), np.array([0, 1], np.float32), np.array([1, 1], np.float32)]
    spans = asyncio.run(nearest_sentences(vectors, [text, text, "only one sentence"], encode))
    assert [text[a:b] for a, b in spans[:2]] == ["Here are xxxx letters to find.", "And here are yyyy letters."]
    assert spans[2] == (0, 17)
    assert len(asked) == 3
