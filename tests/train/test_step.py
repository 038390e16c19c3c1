import numpy as np
import pytest
import torch

from xlret.config import EncoderSettings, FreshEncoder
from xlret.data.assemble import Ragged
from xlret.model.encoder import Encoder, start_encoder
from xlret.train.step import encode_ragged

TEXTS = ["ba ba", "ba", "be bi bo bu ba be bi bo", "bo bo bo", "bu " * 20]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    fresh = FreshEncoder(vocabulary=200, layers=1, hidden=32, heads=2, feed_forward=64, max_positions=64)
    return start_encoder(EncoderSettings(fresh=fresh), lambda: TEXTS, 0).eval()


@pytest.mark.parametrize("budget", [1, 16, 10_000])
def test_vectors_do_not_depend_on_the_chunks(encoder: Encoder, budget: int) -> None:
    queries = Ragged(*encoder.tokeniser.ragged(TEXTS[:2], "query"))
    passages = Ragged(*encoder.tokeniser.ragged(TEXTS[1:], "passage"))
    with torch.inference_mode():
        query_bD, passage_PD = encode_ragged(encoder, (queries, passages), budget)
    np.testing.assert_allclose(query_bD, encoder.encode(TEXTS[:2], "query"), atol=1e-6)
    np.testing.assert_allclose(passage_PD, encoder.encode(TEXTS[1:], "passage"), atol=1e-6)
