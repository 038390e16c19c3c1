"""Plain directories, what xlret saves, and texts and tables that do not fit each other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import ABOUT, OPTIONS, TEXTS, WORDS, Change, edit, equal, save_tokenizer, tokenizer_of, write
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import Qwen2Config, Qwen2Model

from xlret.errors import DataError, UserError
from xlret.model.encoder import Encoder
from xlret.model.layout import read_layout


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
