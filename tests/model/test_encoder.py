import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

from xlret.errors import UserError
from xlret.files import shared_directory
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.tokens.texts import Tokeniser

TEXTS = [
    "the capital of france is paris",
    "die hauptstadt von frankreich",
    "",
    "日本の首都は東京です",
    "paris",
    "rom " * 60,
    " x\n y ",
]
FRESH = FreshEncoder(vocabulary=200, layers=2, hidden=32, heads=2, feed_forward=64, max_positions=48)
SETTINGS = EncoderSettings(fresh=FRESH, query_prompt="query: ", passage_prompt="passage: ", max_query_tokens=48)


@pytest.fixture(scope="module", params=["mean", "cls", "last"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return start_encoder(SETTINGS.model_copy(update={"pooling": request.param}), lambda: TEXTS, 0)


@pytest.fixture(scope="module")
def saved(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "model"
    encoder.save(path)
    return path


def same(one: np.ndarray, other: np.ndarray, within: float = 1e-6) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=within)


def test_sentence_transformers_gives_the_same_vectors(encoder: Encoder, saved: Path) -> None:
    theirs = SentenceTransformer(str(saved), device="cpu")
    same(theirs.encode(TEXTS, prompt_name="query"), encoder.encode(TEXTS, "query"), 1e-5)
    same(theirs.encode(TEXTS, prompt_name="document"), encoder.encode(TEXTS, "passage"), 1e-5)
    same(theirs.encode_query(TEXTS), encoder.encode(TEXTS, "query"), 1e-5)
    same(theirs.encode_document(TEXTS), encoder.encode(TEXTS, "passage"), 1e-5)
    assert np.abs(encoder.encode(TEXTS, "query") - encoder.encode(TEXTS, "passage")).max() > 1e-3, "the prompts do nothing"


def test_saved_is_loaded_alike(encoder: Encoder, saved: Path, tmp_path: Path) -> None:
    again = Encoder.load(saved)
    assert again.card == encoder.card
    assert not again.training
    np.testing.assert_array_equal(again.encode(TEXTS, "query"), encoder.encode(TEXTS, "query"))
    for mine, theirs in zip(
        Tokeniser.load(saved).ragged(TEXTS, "query"), encoder.tokeniser.ragged(TEXTS, "query"), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    again.save(tmp_path / "again")
    files = sorted(path.relative_to(saved) for path in saved.rglob("*") if path.is_file())
    assert [path for path in files if (saved / path).read_bytes() != (tmp_path / "again" / path).read_bytes()] == []


def test_saved_encoder_is_a_start(encoder: Encoder, saved: Path) -> None:
    again = start_encoder(EncoderSettings(start=str(saved), max_query_tokens=48, max_passage_tokens=192), None, 0)
    assert again.card == encoder.card
    other = start_encoder(EncoderSettings(start=str(saved), pooling="mean", query_prompt=""), None, 0)
    assert (other.card.pooling, other.card.query_prompt, other.card.passage_prompt) == ("mean", "", "passage: ")


def test_padding_and_company_change_nothing(encoder: Encoder) -> None:
    together = encoder.encode(TEXTS, "passage")
    same(np.concatenate([encoder.encode([text], "passage") for text in TEXTS]), together)
    same(encoder.encode(TEXTS, "passage", tokens_per_batch=1), together)
    same(encoder.encode(TEXTS[::-1], "passage", tokens_per_batch=100)[::-1], together)
    flat, lengths = encoder.tokeniser.ragged(TEXTS[:1], "passage")
    ids = torch.from_numpy(flat).long()[None]
    wider = torch.nn.functional.pad(ids, (0, 9), value=encoder.tokeniser.pad_id)
    mask = (torch.arange(wider.shape[1]) < int(lengths[0])).long()[None]
    with torch.no_grad():
        torch.testing.assert_close(encoder(wider, mask), encoder(ids, torch.ones_like(ids)), atol=1e-6, rtol=0)


def test_vectors_have_length_one_and_their_order(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS, "query")
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    same(np.linalg.norm(vectors, axis=1), np.ones(len(TEXTS)))
    nothing = encoder.encode([], "query")
    assert nothing.shape == (0, 32)
    assert nothing.dtype == np.float32


def test_bfloat16_is_near_and_float32_outside(encoder: Encoder) -> None:
    exact, rough = encoder.encode(TEXTS, "query"), encoder.encode(TEXTS, "query", precision="bfloat16")
    assert rough.dtype == np.float32
    assert 1e-6 < np.abs(exact - rough).max() < 0.1
    same(np.linalg.norm(rough, axis=1), np.ones(len(TEXTS)))


def test_encode_leaves_the_mode_as_it_was(encoder: Encoder) -> None:
    encoder.train()
    encoder.encode(TEXTS[:1], "query")
    assert encoder.training
    encoder.eval()
    encoder.encode(TEXTS[:1], "query")
    assert not encoder.training


def test_progress_is_drawn_when_asked_for(encoder: Encoder, capsys: pytest.CaptureFixture[str]) -> None:
    encoder.encode(TEXTS, "query")
    assert capsys.readouterr().out == ""
    encoder.encode(TEXTS, "query", progress="encoding queries")
    assert "encoding queries" in capsys.readouterr().out


def test_a_float64_module_gives_float64(saved: Path) -> None:
    encoder = Encoder.load(saved).double()
    assert encoder(torch.tensor([[2, 9, 3]]), torch.ones(1, 3, dtype=torch.long)).dtype == torch.float64


def test_saving_is_one_step(encoder: Encoder, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="exists already"):
        encoder.save(saved)
    encoder.save(saved, replace=True)
    monkeypatch.setattr("xlret.model.encoder._POOLING_KEY", None)
    with pytest.raises(AttributeError):
        encoder.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="no such directory"):
        Encoder.load(tmp_path / "model")


def test_a_dense_layer_is_kept(saved: Path, tmp_path: Path) -> None:
    """As in LaBSE: pooling, dense with tanh, norm."""
    backbone = Transformer(str(saved))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dense = Dense(32, 12, activation_function=torch.nn.Tanh())
    theirs = SentenceTransformer(modules=[backbone, Pooling(32, pooling_mode="cls"), dense, Normalize()], device="cpu")
    theirs.save(str(tmp_path / "theirs"))
    encoder = start_encoder(EncoderSettings(start=str(tmp_path / "theirs")), None, 0)
    assert (encoder.dimension, encoder.card.pooling) == (12, "cls")
    same(encoder.encode(TEXTS, "passage"), theirs.encode(TEXTS), 1e-5)
    encoder.save(tmp_path / "mine")
    same(Encoder.load(tmp_path / "mine").encode(TEXTS, "passage"), encoder.encode(TEXTS, "passage"))
    same(SentenceTransformer(str(tmp_path / "mine"), device="cpu").encode(TEXTS), encoder.encode(TEXTS, "passage"), 1e-5)
    config = json.loads((tmp_path / "mine" / "2_Dense" / "config.json").read_text())
    assert config["activation_function"].endswith(".Tanh")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mini-xl", "mini-vt"])
def test_real_encoders(name: str, tmp_path: Path) -> None:
    """float16 in sentence-transformers layout of an older release."""
    directory = shared_directory() / "models" / name
    if not directory.is_dir():
        pytest.skip(f"{directory} is absent; it holds the two small base encoders")
    encoder = start_encoder(EncoderSettings(start=str(directory), max_passage_tokens=256), None, 0)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    assert (encoder.dimension, encoder.card.pooling, encoder.card.query_prompt) == (384, "mean", "")
    texts = [*TEXTS, "Wo liegt Rom? " * 100]
    mine = encoder.encode(texts, "passage")
    theirs = SentenceTransformer(str(directory), device="cpu").float()
    same(theirs.encode(texts), mine, 1e-5)
    encoder.save(tmp_path / "mine")
    same(SentenceTransformer(str(tmp_path / "mine"), device="cpu").encode(texts, prompt_name="document"), mine, 1e-5)
