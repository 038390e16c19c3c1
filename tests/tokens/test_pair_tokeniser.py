from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from xlret.errors import DataError, UserError
from xlret.tokens.pairs import PairTokeniser, RerankerCard, read_reranker_card
from xlret.tokens.unigram import train_unigram

CARD = RerankerCard(max_tokens=12, pad_id=0, types=True)
TEXTS = ["ba be bi bo bu", "bo bu"]


@pytest.fixture(scope="module")
def backend() -> Tokenizer:
    return train_unigram(TEXTS, 60)


@given(st.lists(st.tuples(st.text("abe iou", max_size=30), st.text("abe iou", max_size=30)), max_size=6))
def test_pairs_are_cut_to_length_and_keep_their_special_tokens(backend: Tokenizer, pairs: list[tuple[str, str]]) -> None:
    found = PairTokeniser(Tokenizer.from_str(backend.to_str()), CARD).ragged(pairs)
    assert len(found.lengths) == len(pairs)
    assert found.lengths.sum() == len(found.ids) == len(found.types)
    cls, sep = 2, 3
    start = 0
    for (query, passage), length in zip(pairs, found.lengths, strict=True):
        ids, types = (one[start : start + length].tolist() for one in (found.ids, found.types))
        start += length
        one, two = (backend.encode(text, add_special_tokens=False).ids for text in (query, passage))
        while len(one) + len(two) > CARD.max_tokens - 3:  # the longer one loses its last token; the second where they are equal
            (one if len(one) > len(two) else two).pop()
        assert (len(ids), ids[0]) == (len(one) + len(two) + 3, cls)
        assert length <= CARD.max_tokens
        assert ids.count(sep) == 2
        first = ids.index(sep) + 1
        assert (types[:first], types[first:]) == ([0] * first, [1] * (length - first))
        if len(backend.encode(query, passage)) <= CARD.max_tokens:
            assert ids == [cls, *one, sep, *two, sep]


def test_a_model_without_types_gets_none(backend: Tokenizer) -> None:
    plain = PairTokeniser(Tokenizer.from_str(backend.to_str()), CARD.model_copy(update={"types": False}))
    assert not plain.ragged([("ba", "bo")]).types.any()


def test_no_pairs_are_no_ids(backend: Tokenizer) -> None:
    assert [len(one) for one in PairTokeniser(Tokenizer.from_str(backend.to_str()), CARD).ragged([])] == [0, 0, 0]


def test_a_text_that_utf8_cannot_hold_is_named(backend: Tokenizer) -> None:
    tokeniser = PairTokeniser(Tokenizer.from_str(backend.to_str()), CARD)
    with pytest.raises(DataError, match="text 3 holds characters"):
        tokeniser.ragged([("ba", "bo"), ("bi", "b\ud800")])
    assert np.array_equal(tokeniser.ragged([("ba", "bo")]).ids, tokeniser.ragged([("ba", "bo")]).ids)


def test_other_directories_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no reranker at .*nowhere: no such directory"):
        read_reranker_card(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"was not saved by xlret"):
        read_reranker_card(tmp_path)
    (tmp_path / "xlret.json").write_text('{"version": 1, "pooling": "mean"}')
    with pytest.raises(UserError, match=r"is not a reranker"):
        read_reranker_card(tmp_path)
    (tmp_path / "xlret.json").write_text('{"kind": "reranker", "max_tokens": 2, "pad_id": 0, "types": true}')
    with pytest.raises(UserError, match=r"max_tokens is 2"):
        read_reranker_card(tmp_path)
