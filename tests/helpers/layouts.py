"""Encoders in the layout of sentence-transformers as others may have saved them, and what changes their files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xlret.model.encoder import Encoder

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
