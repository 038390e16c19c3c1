import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from tokenizers import processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

from xlret.errors import DataError, UserError
from xlret.files import shared_directory
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.reranker import Reranker, start_reranker
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.tokens.unigram import train_unigram

TEXTS = ["the capital of france is paris", "die hauptstadt von frankreich", "", "日本の首都は東京です", "rom " * 60, " x\n y "]
PAIRS = [(query, passage) for query in TEXTS for passage in TEXTS]
FRESH = FreshEncoder(vocabulary=200, layers=2, hidden=32, heads=2, feed_forward=64, max_positions=48)
SETTINGS = EncoderSettings(fresh=FRESH, max_query_tokens=16, max_passage_tokens=24)


def same(one: np.ndarray, other: np.ndarray, within: float = 1e-6) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=within)


def trained(reranker: Reranker) -> Reranker:
    """With weights large enough for scores to differ from pair to pair."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in reranker.parameters():
            weight.add_(0.15 * torch.randn(weight.shape, generator=random))
    return reranker


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return trained(start_reranker(SETTINGS, lambda: TEXTS, 0))


@pytest.fixture(scope="module")
def saved(reranker: Reranker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reranker") / "model"
    reranker.save(path)
    return path


def test_sentence_transformers_gives_the_same_scores(reranker: Reranker, saved: Path) -> None:
    scores = reranker.score(PAIRS)
    assert scores.std() > 0.05, "scores that are all alike show nothing"
    same(CrossEncoder(str(saved), device="cpu").predict(PAIRS), scores, 1e-5)


def test_saved_is_loaded_alike(reranker: Reranker, saved: Path, tmp_path: Path) -> None:
    again = Reranker.load(saved)
    assert again.card == reranker.card
    assert (again.card.max_tokens, again.card.types) == (40, True)
    assert not again.training
    np.testing.assert_array_equal(again.score(PAIRS), reranker.score(PAIRS))
    again.save(tmp_path / "again")
    files = sorted(path.relative_to(saved) for path in saved.rglob("*") if path.is_file())
    assert [path for path in files if (saved / path).read_bytes() != (tmp_path / "again" / path).read_bytes()] == []
    assert {path.suffix for path in files} == {".json", ".safetensors"}


def test_chunks_company_and_order_change_nothing(reranker: Reranker) -> None:
    together = reranker.score(PAIRS)
    same(np.concatenate([reranker.score([pair]) for pair in PAIRS]), together)
    same(reranker.score(PAIRS, tokens_per_batch=1), together)
    same(reranker.score(PAIRS[::-1], tokens_per_batch=100)[::-1], together)
    assert together[1] != reranker.score([PAIRS[6]])[0], "which text is the query matters"


def test_scores_are_float32_one_a_pair(reranker: Reranker) -> None:
    nothing = reranker.score([])
    assert (nothing.shape, nothing.dtype) == ((0,), np.float32)
    exact, rough = reranker.score(PAIRS), reranker.score(PAIRS, precision="bfloat16")
    assert (exact.dtype, rough.dtype) == (np.float32, np.float32)
    assert 1e-6 < np.abs(exact - rough).max() < 0.2
    with pytest.raises(DataError, match="text 1 holds"):
        reranker.score([("a", "\ud800")])


def test_score_leaves_the_mode_as_it_was(reranker: Reranker) -> None:
    reranker.train()
    reranker.score(PAIRS[:1])
    assert reranker.training
    reranker.eval()


def test_fresh_weights_depend_on_the_seed_alone() -> None:
    def weights(seed: int) -> np.ndarray:
        made = start_reranker(SETTINGS, lambda: TEXTS, seed)
        return torch.cat([one.detach().flatten() for one in made.parameters()]).numpy()

    before = torch.random.get_rng_state()
    np.testing.assert_array_equal(weights(3), weights(3))
    assert torch.equal(before, torch.random.get_rng_state()), "torch's own generator is left alone"
    assert np.abs(weights(3) - weights(4)).max() > 0.01


def test_a_trained_retriever_is_a_start(tmp_path: Path) -> None:
    encoder = start_encoder(SETTINGS, lambda: TEXTS, 0)
    encoder.save(tmp_path / "encoder")
    made = start_reranker(SETTINGS.model_copy(update={"start": str(tmp_path / "encoder")}), None, 0)
    weights = {name.removeprefix("bert."): one for name, one in made.classifier.state_dict().items()}
    for name, one in encoder.backbone.state_dict().items():
        if not name.startswith("pooler.") and "token_type" not in name:
            assert torch.equal(weights[name], one), name
    assert made.card.types, "a second kind of token was added for the passage"
    assert all(one.requires_grad for one in made.parameters())
    trained(made).save(tmp_path / "model")
    same(CrossEncoder(str(tmp_path / "model"), device="cpu").predict(PAIRS), made.score(PAIRS), 1e-5)
    with pytest.raises(UserError, match="is not a reranker"):
        Reranker.load(tmp_path / "encoder")
    with pytest.raises(UserError, match="is a reranker, which reads pairs, and no encoder"):
        Encoder.load(tmp_path / "model")


@pytest.mark.parametrize("labels", [1, 2])
def test_a_cross_encoder_of_other_make_keeps_its_head(tmp_path: Path, labels: int) -> None:
    """One that, as XLM-RoBERTa, has no kinds of tokens and two separators between the texts."""
    tokenizer = train_unigram(TEXTS, 200)
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B [SEP]", special_tokens=ends
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=40,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(tmp_path / "theirs")
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = XLMRobertaConfig(
        vocab_size=200, max_position_embeddings=43, pad_token_id=0, type_vocab_size=1, num_labels=labels, **size
    )
    torch.manual_seed(0)
    XLMRobertaForSequenceClassification(config).save_pretrained(tmp_path / "theirs")
    settings = SETTINGS.model_copy(update={"start": str(tmp_path / "theirs")})
    if labels > 1:
        with pytest.raises(UserError, match="tells 2 classes apart"):
            start_reranker(settings, None, 0)
        return
    made = start_reranker(settings, None, 0)
    assert not made.card.types
    loaded = Reranker.load(tmp_path / "theirs", max_tokens=40)
    assert loaded.card == made.card
    np.testing.assert_array_equal(loaded.score(PAIRS), made.score(PAIRS))
    theirs = CrossEncoder(str(tmp_path / "theirs"), device="cpu", activation_fn=torch.nn.Identity())
    same(theirs.predict(PAIRS), made.score(PAIRS), 1e-5)
    made.save(tmp_path / "ours")
    same(CrossEncoder(str(tmp_path / "ours"), device="cpu").predict(PAIRS), made.score(PAIRS), 1e-5)


def theirs_saved(reranker: Reranker, directory: Path) -> CrossEncoder:
    """As sentence-transformers saves a cross-encoder, with modules.json; pairs of up to 40 tokens."""
    reranker.save(directory.with_name("ours"))
    CrossEncoder(str(directory.with_name("ours")), device="cpu").save(str(directory))
    return CrossEncoder(str(directory), device="cpu")


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("limit", [None, 12])
def test_a_cross_encoder_that_sentence_transformers_saved(reranker: Reranker, tmp_path: Path, limit: int | None) -> None:
    theirs_saved(reranker, tmp_path / "theirs")
    edit(tmp_path / "theirs" / "sentence_bert_config.json", max_seq_length=limit)
    theirs, loaded = CrossEncoder(str(tmp_path / "theirs"), device="cpu"), Reranker.load(tmp_path / "theirs")
    assert loaded.card.max_tokens == (limit or 40)
    same(theirs.predict(PAIRS), loaded.score(PAIRS), 1e-5)
    settings = SETTINGS.model_copy(update={"start": str(tmp_path / "theirs")})
    same(start_reranker(settings, None, 0).score(PAIRS), loaded.score(PAIRS))
    with pytest.raises(UserError, match="lack Pooling"):
        Encoder.load(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model_type is 'SparseEncoder'"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"ask": "ask: "}, "default_prompt_name": "ask"},
            "default_prompt_name is 'ask'",
        ),
        ("sentence_bert_config.json", {"warp": 1}, "warp is an option"),
        ("sentence_bert_config.json", {"transformer_task": "text-generation"}, "transformer_task is 'text-generation'"),
        ("config.json", {"auto_map": {"AutoModel": "x.X"}}, "auto_map names code"),
    ],
)
def test_cross_encoders_that_are_refused(
    reranker: Reranker, tmp_path: Path, file: str, values: dict[str, object], message: str
) -> None:
    theirs_saved(reranker, tmp_path / "theirs")
    edit(tmp_path / "theirs" / file, **values)
    with pytest.raises(UserError, match=message):
        Reranker.load(tmp_path / "theirs")


def test_pickled_and_headless_weights_are_refused(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin .* never opened"):
        Reranker.load(tmp_path / "pickled")
    encoder = start_encoder(SETTINGS, lambda: TEXTS, 0)
    encoder.save(tmp_path / "headless")
    shutil.copy(saved / "xlret.json", tmp_path / "headless")
    with pytest.raises(UserError, match=r"its weights lack (bert\.pooler|classifier)"):
        Reranker.load(tmp_path / "headless")
    (tmp_path / "headless" / "xlret.json").unlink()
    with pytest.raises(UserError, match=r"is not a reranker: its config\.json names no \.\.\.ForSequenceClassification"):
        Reranker.load(tmp_path / "headless")


def test_unknown_starts_are_refused() -> None:
    with pytest.raises(UserError, match="no such directory"):
        start_reranker(SETTINGS.model_copy(update={"start": "/nowhere"}), None, 0)


@pytest.mark.slow
def test_a_real_encoder_becomes_a_reranker(tmp_path: Path) -> None:
    start = shared_directory() / "models" / "mini-vt"
    if not start.is_dir():
        pytest.skip(f"no base encoder at {start}; set XLRET_SHARED")
    made = start_reranker(EncoderSettings(start=str(start)), None, 0)
    made.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["architectures"] == ["BertForSequenceClassification"]
    same(CrossEncoder(str(tmp_path / "model"), device="cpu").predict(PAIRS), made.score(PAIRS), 1e-5)
