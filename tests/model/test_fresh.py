import pytest
import torch

from xlret.errors import UserError
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder

TEXTS = ["the capital of france is paris", "die hauptstadt von frankreich ist paris", "日本の首都は東京です"] * 3
SMALL = FreshEncoder(vocabulary=200, layers=2, hidden=32, heads=2, feed_forward=64, max_positions=40)


def start(seed: int) -> Encoder:
    return start_encoder(EncoderSettings(fresh=SMALL), lambda: TEXTS, seed)


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = start(0)
    assert torch.equal(torch.get_rng_state(), state), "torch's own generator was used"
    torch.manual_seed(2)
    again, other = start(0).state_dict(), start(1).state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in first.state_dict().items())
    different = [name for name, weight in first.state_dict().items() if not torch.equal(weight, other[name])]
    assert any("word_embeddings" in name for name in different)
    assert any("intermediate" in name for name in different)


def test_size_and_limits() -> None:
    encoder = start(0)
    assert encoder.dimension == 32
    assert len(encoder.backbone.encoder.layer) == 2
    assert encoder.backbone.embeddings.word_embeddings.num_embeddings == encoder.tokeniser.vocabulary_size
    assert (encoder.card.max_query_tokens, encoder.card.max_passage_tokens) == (40, 40)
    assert encoder.encode(["paris " * 100], "passage").shape == (1, 32)


def test_every_weight_that_is_trained_gets_a_gradient() -> None:
    """DDP stops at a weight that takes no part in the loss."""
    encoder = start(0)
    encoder(torch.tensor([[2, 7, 3]]), torch.ones(1, 3, dtype=torch.long))[:, 0].sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters() if weight.requires_grad)
    assert sum(weight.requires_grad for weight in encoder.parameters()) > 30


def test_first_vectors_are_a_fair_retriever() -> None:
    """Texts that share words are closer than others before any training."""
    encoder = start(0)
    query = encoder.encode(["capital of france"], "query")
    assert (query @ encoder.encode(TEXTS[:3], "passage").T).argmax() == 0


def test_wrong_settings() -> None:
    with pytest.raises(UserError, match=r"multiple of encoder\.fresh\.heads, now 5"):
        start_encoder(EncoderSettings(fresh=SMALL.model_copy(update={"heads": 5})), lambda: TEXTS, 0)
    with pytest.raises(UserError, match="there are none"):
        start_encoder(EncoderSettings(fresh=SMALL), None, 0)
