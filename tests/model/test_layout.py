"""What the files of others' encoders say is honoured: vectors equal to sentence-transformers' own."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import ABOUT, OPTIONS, TEXTS, Change, add_dense, change_module, edit, equal, move_transformer, write
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, normalizers

from xlret.errors import UserError
from xlret.model.encoder import Encoder

LENGTHS: dict[str, tuple[Change, int]] = {
    "none said: the model's positions": (lambda at: None, 64),
    "tokenizer": (lambda at: edit(at / "tokenizer_config.json", model_max_length=24), 24),
    **{
        f"sentence_{kind}_config.json": (
            lambda at, kind=kind: write(at / f"sentence_{kind}_config.json", {"max_seq_length": 9}),
            9,
        )
        for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    },
    "the first file that says something": (
        lambda at: (write(at / OPTIONS, {}), write(at / "sentence_albert_config.json", {"max_seq_length": 7})),
        7,
    ),
    "null": (lambda at: write(at / OPTIONS, {"max_seq_length": None}), 64),
    "shorter than the tokenizer's": (
        lambda at: (edit(at / "tokenizer_config.json", model_max_length=40), write(at / OPTIONS, {"max_seq_length": 12})),
        12,
    ),
    "longer than the tokenizer's": (
        lambda at: (edit(at / "tokenizer_config.json", model_max_length=12), write(at / OPTIONS, {"max_seq_length": 40})),
        40,
    ),
    "processor_kwargs": (
        lambda at: write(at / OPTIONS, {"max_seq_length": 40, "processor_kwargs": {"model_max_length": 11}}),
        11,
    ),
    "tokenizer_args": (lambda at: write(at / OPTIONS, {"tokenizer_args": {"model_max_length": 13}}), 13),
    "in the transformer's own directory": (
        lambda at: move_transformer(at, "sentence_roberta_config.json", max_seq_length=10),
        10,
    ),
    "cut from the left": (
        lambda at: (edit(at / "tokenizer_config.json", truncation_side="left"), write(at / OPTIONS, {"max_seq_length": 9})),
        9,
    ),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_length_limits(theirs: Path, case: str) -> None:
    change, expected = LENGTHS[case]
    change(theirs)
    card = equal(theirs).card
    assert (card.max_query_tokens, card.max_passage_tokens) == (expected, expected)


def test_length_limits_of_the_sides(theirs: Path) -> None:
    write(theirs / OPTIONS, {"max_seq_length": 20, "query_length": 7, "document_length": 12})
    encoder, other = Encoder.load(theirs), SentenceTransformer(str(theirs), device="cpu")
    assert (encoder.card.max_query_tokens, encoder.card.max_passage_tokens) == (7, 12)
    np.testing.assert_allclose(encoder.encode(TEXTS, "query"), other.encode_query(TEXTS), atol=2e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS, "passage"), other.encode_document(TEXTS), atol=2e-6)
    assert Encoder.load(theirs, max_query_tokens=30).card.max_query_tokens == 30


def lower_case_twice(at: Path) -> None:
    tokenizer = Tokenizer.from_file(str(at / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.save(str(at / "tokenizer.json"))
    write(at / OPTIONS, {"do_lower_case": True})


EQUAL: dict[str, Change] = {
    "lower case": lambda at: write(at / OPTIONS, {"do_lower_case": True}),
    "lower case that the tokenizer has too": lower_case_twice,
    "last token": lambda at: write(at / "1_Pooling/config.json", {"embedding_dimension": 16, "pooling_mode": "lasttoken"}),
    "first token": lambda at: write(at / "1_Pooling/config.json", {"embedding_dimension": 16, "pooling_mode": ["cls"]}),
    "new names of classes": lambda at: (
        change_module(at, 0, type="sentence_transformers.base.modules.transformer.Transformer"),
        change_module(at, 1, type="sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
        change_module(at, 2, type="sentence_transformers.base.modules.normalize.Normalize"),
    ),
    "saved by release 6": lambda at: SentenceTransformer(str(at), device="cpu").save(str(at)),
    "dense": add_dense,
    "dense without activation": lambda at: add_dense(at, activation_function="torch.nn.modules.linear.Identity"),
    "dense with GELU": lambda at: add_dense(at, activation_function="torch.nn.modules.activation.GELU"),
    "arguments that change no vector": lambda at: write(
        at / OPTIONS, {"model_args": {"attn_implementation": "eager", "add_pooling_layer": False}, "config_args": {}}
    ),
    "similarity of vectors of one length": lambda at: write(at / ABOUT, {"similarity_fn_name": "dot"}),
    "prompts of no text": lambda at: write(at / ABOUT, {"prompts": {"query": "", "document": None}}),
    "default prompt": lambda at: write(
        at / ABOUT, {"prompts": {"retrieval": "find : ", "sts": "tell : "}, "default_prompt_name": "retrieval"}
    ),
}


@pytest.mark.parametrize("case", EQUAL)
def test_what_is_honoured(theirs: Path, case: str) -> None:
    EQUAL[case](theirs)
    encoder = equal(theirs)
    encoder.save(theirs.with_name("saved"))
    np.testing.assert_array_equal(
        Encoder.load(theirs.with_name("saved")).encode(TEXTS, "query"), encoder.encode(TEXTS, "query")
    )
    equal(theirs.with_name("saved"), ("query", "document"))


@pytest.mark.parametrize(
    ("prompts", "default", "names", "overrides"),
    [
        ({"query": "ask : ", "document": "tell : "}, None, ("query", "document"), {}),
        ({"query": "ask : ", "passage": "tell : "}, "query", ("query", "passage"), {}),
        ({"query": "ask : ", "corpus": "tell : "}, None, ("query", "corpus"), {}),
        ({"query": "ask : ", "passage": "find : ", "document": "tell : "}, None, ("query", "document"), {}),
        ({"query": "ask : ", "retrieval": "find : "}, "retrieval", ("query", None), {}),
        ({"query": "ask : "}, None, ("query", None), {}),
        (
            {"s2p": "find : ", "doc": "tell : "},
            None,
            ("s2p", "doc"),
            {"query_prompt_name": "s2p", "passage_prompt_name": "doc"},
        ),
        ({"query": "ask : ", "document": "tell : ", "s2p": "find : "}, None, ("s2p", "document"), {"query_prompt_name": "s2p"}),
    ],
)
def test_prompts(
    theirs: Path,
    prompts: dict[str, str],
    default: str | None,
    names: tuple[str | None, str | None],
    overrides: dict[str, Any],
) -> None:
    write(theirs / ABOUT, {"prompts": prompts, "default_prompt_name": default})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        encoder = equal(theirs, names, **overrides)
    assert encoder.card.query_prompt == prompts[names[0] or "query"]


def test_prompts_that_are_nobodys_are_told(theirs: Path) -> None:
    write(theirs / ABOUT, {"prompts": {"s2p": "find : "}})
    with (
        pytest.warns(UserWarning, match="before queries; there are s2p, to be chosen with query_prompt_name"),
        pytest.warns(UserWarning, match="before passages; there are s2p"),
    ):
        assert Encoder.load(theirs).card.query_prompt == ""
    with pytest.raises(UserError, match=r"query_prompt_name is 's2s'; .* has s2p"):
        Encoder.load(theirs, query_prompt_name="s2s")
    with pytest.raises(UserError, match="say the same thing"):
        Encoder.load(theirs, query_prompt_name="s2p", query_prompt="ask")


@pytest.mark.parametrize("values", [{"padding_side": "left"}, {"model_input_names": ["input_ids"]}])
def test_a_vector_does_not_depend_on_the_texts_beside(theirs: Path, values: dict[str, object]) -> None:
    """Padding on the left moves positions there, and without a mask it is read: only texts alone have one vector each."""
    edit(theirs / "tokenizer_config.json", **values)
    encoder, other = Encoder.load(theirs), SentenceTransformer(str(theirs), device="cpu")
    np.testing.assert_allclose(encoder.encode(TEXTS, "query"), other.encode(TEXTS, batch_size=1), rtol=0, atol=2e-6)
    assert np.abs(encoder.encode(TEXTS, "query") - other.encode(TEXTS)).max() > 1e-2
