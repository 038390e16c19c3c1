import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xlret.errors import DataError, UserError
from xlret.text.sides import Side
from xlret.tokens.card import EncoderCard, read_card
from xlret.tokens.texts import Tokeniser
from xlret.tokens.unigram import train_unigram

TEXTS = [
    "Wie heißt die Hauptstadt?",
    "東京は日本の首都です。",
    "",
    "a",
    "çok güzel " * 40,
    "İstanbul\u200b 2019",
    "[SEP] x [PAD]",
]
CARD = EncoderCard(
    pooling="mean", query_prompt="query: ", passage_prompt="", max_query_tokens=8, max_passage_tokens=24, pad_id=0, cut="right"
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokeniser")
    train_unigram(TEXTS * 2, 300).save(str(place / "tokenizer.json"))
    (place / "xlret.json").write_text(CARD.model_dump_json())
    return place


def split(flat: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(flat, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize("cut", ["right", "left"])
@pytest.mark.parametrize(("side", "prompt", "most"), [("query", "query: ", 8), ("passage", "", 24)])
def test_ids_are_those_of_transformers(directory: Path, side: Side, prompt: str, most: int, cut: str) -> None:
    backend = Tokenizer.from_file(str(directory / "tokenizer.json"))
    theirs = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", truncation_side=cut)
    expected = theirs([prompt + text for text in TEXTS], truncation=True, max_length=most)["input_ids"]
    card = CARD.model_copy(update={"cut": cut})
    flat, lengths = Tokeniser(Tokenizer.from_file(str(directory / "tokenizer.json")), card).ragged(TEXTS, side)
    assert split(flat, lengths) == expected
    assert max(lengths) == most
    assert flat.dtype == lengths.dtype == np.int32


def test_sides_may_alternate(directory: Path) -> None:
    tokeniser = Tokeniser.load(directory)
    long = ["çok güzel " * 40]
    assert [int(tokeniser.ragged(long, side)[1][0]) for side in ("query", "passage", "query")] == [8, 24, 8]


def test_padding_and_truncation_of_the_file_are_not_used(directory: Path, tmp_path: Path) -> None:
    backend = Tokenizer.from_file(str(directory / "tokenizer.json"))
    backend.enable_padding(length=40)
    backend.enable_truncation(4)
    backend.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "xlret.json").write_text(CARD.model_dump_json())
    found, expected = (Tokeniser.load(place).ragged(TEXTS, "passage") for place in (tmp_path, directory))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_no_texts(directory: Path) -> None:
    flat, lengths = Tokeniser.load(directory).ragged([], "query")
    assert (len(flat), len(lengths)) == (0, 0)


def test_copies_give_the_same_ids(directory: Path) -> None:
    tokeniser = Tokeniser.load(directory)
    tokeniser.ragged(TEXTS, "query")
    copied = copy.deepcopy(tokeniser)
    np.testing.assert_array_equal(copied.ragged(TEXTS, "passage")[0], tokeniser.ragged(TEXTS, "passage")[0])


def test_other_special_tokens_stay_at_both_ends() -> None:
    backend = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "<pad>": 4, "<unk>": 5}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    card = CARD.model_copy(update={"max_query_tokens": 5, "query_prompt": "b "})
    assert Tokeniser(backend, card).ragged(["a a a a a"], "query")[0].tolist() == [0, 3, 2, 2, 1]


@pytest.mark.parametrize(("text", "message"), [("\ud800x", "text 1 holds characters"), (None, "text 1 is NoneType")])
def test_bad_texts_are_named(directory: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Tokeniser.load(directory).ragged(["fine", text], "passage")


def test_damaged_directories(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such directory"):
        Tokeniser.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no xlret\.json"):
        Tokeniser.load(tmp_path)
    (tmp_path / "xlret.json").write_text("[1]")
    with pytest.raises(UserError, match="must hold an object"):
        Tokeniser.load(tmp_path)
    (tmp_path / "xlret.json").write_text("{")
    with pytest.raises(UserError, match="cannot read"):
        Tokeniser.load(tmp_path)
    (tmp_path / "xlret.json").write_text(json.dumps({**CARD.model_dump(), "max_query_tokens": 1}))
    with pytest.raises(UserError, match="max_query_tokens is 1"):
        Tokeniser.load(tmp_path)
    (tmp_path / "xlret.json").write_text(CARD.model_dump_json())
    with pytest.raises(UserError, match=r"cannot read tokenizer .*tokenizer\.json"):
        Tokeniser.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(UserError, match=r"cannot read tokenizer .*tokenizer\.json"):
        Tokeniser.load(tmp_path)
    assert read_card(directory) == CARD


def test_imports_neither_torch_nor_transformers_and_stays_in_one_thread(directory: Path) -> None:
    script = f"""
import sys, threading
from pathlib import Path
from xlret.tokens.texts import Tokeniser
Tokeniser.load(Path({str(directory)!r})).ragged(["some words"] * 500, "query")
print(sorted({{"torch", "transformers", "ray"}} & set(sys.modules)), len(list(Path("/proc/self/task").iterdir())))
"""
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.split() == ["[]", "1"], done.stderr
