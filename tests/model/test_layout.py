"""What the files of others' encoders say: vectors equal to sentence-transformers' own, or one line that names the key."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2Model

from xlret.errors import DataError, UserError
from xlret.model.encoder import Encoder
from xlret.model.layout import read_layout

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *(f"{word}" for word in ["ask", "tell", "find", ":", "rome", "paris", "Rome", "PARIS", "is", "a", "city"]),
]
TEXTS = ["Rome is a city", "PARIS", "rome rome is", "", "a city is paris " * 30, "is " * 21]
OPTIONS = "sentence_bert_config.json"
ABOUT = "config_sentence_transformers.json"
Change = Callable[[Path], object]


def write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def edit(path: Path, **values: object) -> None:
    write(path, {**(json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}), **values})


def tokenizer_of(words: list[str], special: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        ends = [("[CLS]", words.index("[CLS]")), ("[SEP]", words.index("[SEP]"))]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def save_tokenizer(directory: Path, tokenizer: Tokenizer, **named: object) -> None:
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", **named
    ).save_pretrained(directory)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder in sentence-transformers layout, with positions for 64 tokens and weights large enough to tell texts apart."""
    directory = tmp_path_factory.mktemp("layout") / "encoder"
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, initializer_range=0.5, pad_token_id=0, **size)
        BertModel(config, add_pooling_layer=False).save_pretrained(directory)
        (directory / "2_Dense").mkdir()
        save_file({"linear.weight": torch.randn(8, 16), "linear.bias": torch.randn(8)}, directory / "2_Dense/model.safetensors")
    save_tokenizer(directory, tokenizer_of(WORDS), model_max_length=512)
    modules = ["Transformer", "Pooling", "Normalize"]
    paths = ["", "1_Pooling", "2_Normalize"]
    write(
        directory / "modules.json",
        [
            {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for row, (kind, path) in enumerate(zip(modules, paths, strict=True))
        ],
    )
    write(directory / "1_Pooling/config.json", {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True})
    write(directory / "2_Dense/config.json", {"in_features": 16, "out_features": 8})
    return directory


@pytest.fixture
def theirs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "theirs"))


def equal(directory: Path, prompts: tuple[str | None, str | None] = (None, None), **overrides: Any) -> Encoder:
    """Checks both sides' vectors against sentence-transformers' with these prompt names (None: what it does by itself)."""
    encoder, other = Encoder.load(directory, **overrides), SentenceTransformer(str(directory), device="cpu")
    for side, name in zip(("query", "passage"), prompts, strict=True):
        expected = other.encode(TEXTS, prompt_name=name)
        np.testing.assert_allclose(encoder.encode(TEXTS, side), expected, rtol=0, atol=2e-6, err_msg=side)
    return encoder


def change_module(directory: Path, row: int, **values: object) -> None:
    modules = json.loads((directory / "modules.json").read_text())
    modules[row] |= values
    write(directory / "modules.json", modules)


def add_dense(directory: Path, **values: object) -> None:
    modules = json.loads((directory / "modules.json").read_text())
    dense = {"idx": 2, "name": "d", "path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"}
    write(directory / "modules.json", [*modules[:2], dense, modules[2]])
    edit(directory / "2_Dense/config.json", **values)


def move_transformer(directory: Path, name: str, **options: object) -> None:
    """The transformer's files in a directory of their own, options under another name."""
    (directory / "0_Encoder").mkdir()
    for file in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (directory / file).rename(directory / "0_Encoder" / file)
    change_module(directory, 0, path="0_Encoder")
    write(directory / "0_Encoder" / name, options)


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


REFUSED: dict[str, tuple[Change, str]] = {
    "somebody's own class": (
        lambda at: change_module(at, 0, type="custom_st.Transformer"),
        r"modules\.json: .*custom_st\.Transf",
    ),
    "somebody's own package": (
        lambda at: change_module(at, 1, type="my.sentence_transformers.models.Pooling"),
        r"modules\.json: .*my\.sentence_transformers\.models\.Pooling",
    ),
    "a class of another name": (
        lambda at: change_module(at, 1, type="sentence_transformers.models.WeightedLayerPooling"),
        "WeightedLayerPooling",
    ),
    "a path above": (
        lambda at: change_module(at, 1, path="../other/1_Pooling"),
        r"modules\.json: path .* leaves the directory",
    ),
    "a path inside and out": (lambda at: change_module(at, 1, path="1_Pooling/../../x"), "leaves the directory"),
    "a path from the root": (lambda at: change_module(at, 0, path="/etc"), "leaves the directory"),
    "a path of Windows": (lambda at: change_module(at, 0, path="..\\x"), "leaves the directory"),
    "code of the model's own": (
        lambda at: edit(at / "config.json", auto_map={"AutoModel": "modeling_x.XModel"}),
        r"theirs/config\.json: auto_map",
    ),
    "code of the tokenizer's own": (
        lambda at: edit(at / "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.X", None]}),
        r"tokenizer_config\.json: auto_map",
    ),
    "an adapter": (lambda at: write(at / "adapter_config.json", {"peft_type": "LORA"}), "adapter_config"),
    "truncate_dim": (lambda at: write(at / ABOUT, {"truncate_dim": 8}), rf"{ABOUT}: truncate_dim is 8"),
    "a default that is not there": (lambda at: write(at / ABOUT, {"default_prompt_name": "x"}), "default_prompt_name is 'x'"),
    "a default of the other side": (
        lambda at: write(at / ABOUT, {"prompts": {"query": "ask : "}, "default_prompt_name": "query"}),
        f"{ABOUT}: default_prompt_name is 'query', and there is no prompt of passages; say passage_prompt",
    ),
    "a prompt that is no text": (lambda at: write(at / ABOUT, {"prompts": {"query": 7}}), r"prompts\.query is 7"),
    "another similarity": (
        lambda at: write(at / ABOUT, {"similarity_fn_name": "manhattan"}),
        "similarity_fn_name is 'manhattan'",
    ),
    "dot products of vectors of any length": (
        lambda at: (
            write(at / "modules.json", json.loads((at / "modules.json").read_text())[:2]),
            write(at / ABOUT, {"similarity_fn_name": "dot"}),
        ),
        "similarity_fn_name is 'dot' of vectors that are not normalised",
    ),
    "a sparse encoder": (lambda at: write(at / ABOUT, {"model_type": "SparseEncoder"}), "model_type is 'SparseEncoder'"),
    "an option that is not known": (lambda at: write(at / OPTIONS, {"warp": 1}), rf"{OPTIONS}: warp is an option"),
    "an option under another file's name": (lambda at: write(at / "sentence_xlnet_config.json", {"warp": 1}), "xlnet.*warp"),
    "arguments of the tokenizer": (
        lambda at: write(at / OPTIONS, {"tokenizer_args": {"do_lower_case": True}}),
        r"tokenizer_args\.do_lower_case is not supported",
    ),
    "arguments of the model": (
        lambda at: write(at / OPTIONS, {"model_kwargs": {"num_layers": 1}}),
        r"model_kwargs\.num_layers",
    ),
    "another task": (lambda at: write(at / OPTIONS, {"transformer_task": "fill-mask"}), "transformer_task is 'fill-mask'"),
    "another output": (
        lambda at: write(at / OPTIONS, {"modality_config": {"text": {"method_output_name": "pooler_output"}}}),
        "pooler_output",
    ),
    "another method": (
        lambda at: write(at / OPTIONS, {"modality_config": {"text": {"method": "get_text_features"}}}),
        r"modality_config\.text\.method is 'get_text_features'",
    ),
    "a limit that is no number": (lambda at: write(at / OPTIONS, {"max_seq_length": "32"}), "max_seq_length is '32'"),
    "a limit too short": (lambda at: write(at / OPTIONS, {"max_seq_length": 2}), "max_seq_length is 2"),
    "lower case that is no yes or no": (lambda at: write(at / OPTIONS, {"do_lower_case": "no"}), "do_lower_case is 'no'"),
    "options that are no object": (lambda at: write(at / OPTIONS, [1]), "not of sentence-transformers' form"),
    "two ways of pooling": (
        lambda at: edit(at / "1_Pooling/config.json", pooling_mode_cls_token=True),
        r"1_Pooling/config\.json: pooling",
    ),
    "weighted mean": (
        lambda at: edit(at / "1_Pooling/config.json", pooling_mode="weightedmean"),
        "weightedmean is not supported",
    ),
    "pooling without the prompt": (lambda at: edit(at / "1_Pooling/config.json", include_prompt=False), "include_prompt"),
    "an option of pooling": (lambda at: edit(at / "1_Pooling/config.json", warp=1), r"1_Pooling/config\.json: warp"),
    "an activation of that name": (
        lambda at: add_dense(at, activation_function="mine.Tanh"),
        r"2_Dense/config\.json: activation_function mine\.Tanh",
    ),
    "a dense layer of tokens": (lambda at: add_dense(at, module_input_name="token_embeddings"), "module_input_name"),
    "a dense layer of another size": (
        lambda at: (
            add_dense(at, in_features=8),
            save_file({"linear.weight": torch.ones(8, 8), "linear.bias": torch.ones(8)}, at / "2_Dense/model.safetensors"),
        ),
        "in_features is 8, and the transformer's vectors have 16",
    ),
    "another thing to normalise": (
        lambda at: write(at / "2_Normalize/config.json", {"module_input_name": "token_embeddings"}),
        r"2_Normalize/config\.json: module_input_name",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(theirs: Path, case: str) -> None:
    change, message = REFUSED[case]
    change(theirs)
    with pytest.raises(UserError, match=message) as refusal:
        Encoder.load(theirs)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"hidden_size": "x"}),
        ("config.json", {"vocab_size": None}),
        ("config.json", {"dtype": []}),
        ("config.json", {"max_position_embeddings": -1}),
        ("config.json", {"model_type": 7}),
        ("tokenizer.json", {"model": {}}),
        ("tokenizer.json", {"version": 0}),
        ("tokenizer.json", {"post_processor": 7}),
        ("tokenizer.json", {"truncation": {}}),
    ],
)
def test_damaged_files_are_one_line(theirs: Path, file: str, values: dict[str, object]) -> None:
    edit(theirs / file, **values)
    with pytest.raises(UserError, match=r"cannot load the (encoder|tokenizer) in .*theirs: .") as refusal:
        Encoder.load(theirs)
    assert "\n" not in str(refusal.value)


def test_files_of_a_plain_directory_are_passed_over_as_there(theirs: Path) -> None:
    """Without modules.json, sentence-transformers reads none of its own files either."""
    (theirs / "modules.json").unlink()
    write(theirs / OPTIONS, {"max_seq_length": 8})
    write(theirs / ABOUT, {"prompts": {"query": "ask : "}})
    encoder, other = Encoder.load(theirs), SentenceTransformer(str(theirs), device="cpu")
    np.testing.assert_allclose(
        encoder.encode(TEXTS, "query"), other.encode(TEXTS, normalize_embeddings=True), rtol=0, atol=2e-6
    )
    assert (encoder.card.max_query_tokens, encoder.card.query_prompt) == (64, "")


def test_a_language_model_ends_in_the_vector(tmp_path: Path) -> None:
    """A plain directory whose architecture says that it continues texts is pooled over the last token.

    (transformers gives it a tokenizer of its own kind, with one more token.)
    """
    size = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = Qwen2Config(vocab_size=len(WORDS) + 1, max_position_embeddings=64, initializer_range=0.5, **size)
        Qwen2Model(config).save_pretrained(tmp_path)
    edit(tmp_path / "config.json", architectures=["Qwen2ForCausalLM"])
    save_tokenizer(tmp_path, tokenizer_of(WORDS), model_max_length=512)
    encoder, other = Encoder.load(tmp_path), SentenceTransformer(str(tmp_path), device="cpu")
    assert encoder.card.pooling == "last"
    np.testing.assert_allclose(
        encoder.encode(TEXTS, "query"), other.encode(TEXTS, normalize_embeddings=True), rtol=0, atol=5e-6
    )


@pytest.mark.parametrize("limits", [(9, 9), (7, 20), (20, 7)])
def test_what_is_saved_gives_the_same_vectors_elsewhere(
    theirs: Path, limits: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = Encoder.load(
        theirs,
        query_prompt="ask : ",
        passage_prompt="tell : ",
        max_query_tokens=limits[0],
        max_passage_tokens=limits[1],
        dimensions=[4],
    )
    saved = theirs.with_name("saved")
    encoder.save(saved)
    other = SentenceTransformer(str(saved), device="cpu")
    np.testing.assert_allclose(other.encode_query(TEXTS), encoder.encode(TEXTS, "query"), rtol=0, atol=2e-6)
    np.testing.assert_allclose(other.encode_document(TEXTS), encoder.encode(TEXTS, "passage"), rtol=0, atol=2e-6)
    assert other.prompts == {"query": "ask : ", "document": "tell : "}, "the names that tools know, and no other"
    differs = np.abs(other.encode(TEXTS, prompt_name="query") - encoder.encode(TEXTS, "query")).max() > 1e-4
    readme = (saved / "README.md").read_text(encoding="utf-8")
    assert differs == (limits == (7, 20)) == ("except for queries of more tokens" in readme)
    assert ("except for passages of more tokens" in readme) == (limits == (20, 7))
    assert f'| queries | `"ask : "` | {limits[0]} |' in readme
    assert "first 4 numbers" in readme
    assert read_layout(saved).max_tokens == max(limits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda at: edit(at / OPTIONS, max_seq_length=8), r"tokens.* is 64 by xlret\.json and 8 by"),
        (lambda at: edit(at / ABOUT, prompts={"query": "find : "}), r"query_prompt is '' by xlret\.json and 'find : ' by"),
        (lambda at: edit(at / "1_Pooling/config.json", pooling_mode="cls"), r"pooling is 'mean' by xlret\.json and 'cls' by"),
    ],
)
def test_files_that_disagree_with_the_card(theirs: Path, change: Change, message: str) -> None:
    saved = theirs.with_name("saved")
    Encoder.load(theirs).save(saved)
    change(saved)
    with pytest.raises(UserError, match=message):
        Encoder.load(saved)
    (saved / "xlret.json").unlink()
    equal(saved, ("query", None))


def test_ids_beyond_the_table(theirs: Path) -> None:
    save_tokenizer(theirs, tokenizer_of([*WORDS, "berlin"]), model_max_length=512)
    with pytest.raises(UserError, match=rf"ids go up to {len(WORDS)} \('berlin'\), and the model has vectors for 0 to"):
        Encoder.load(theirs)


def test_a_text_without_a_token(theirs: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    save_tokenizer(theirs, tokenizer, model_max_length=512)
    encoder = Encoder.load(theirs)
    assert encoder.encode(["rome", "paris is"], "query").shape == (2, 16)
    with pytest.raises(DataError, match="text 1 is '', for which this tokenizer has no token"):
        encoder.encode(["rome", ""], "query")
    with pytest.raises(DataError, match=r"text 0 is ' \\n ', for which"):
        encoder.encode([" \n ", ""], "passage")


def test_kinds_of_tokens_in_one_text(theirs: Path) -> None:
    tokenizer = tokenizer_of(WORDS)
    ends = [("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS]:1 $A:0 [SEP]:0", special_tokens=ends)
    save_tokenizer(theirs, tokenizer, model_max_length=512)
    with pytest.raises(UserError, match="token_type_ids"):
        Encoder.load(theirs)
