import numpy as np
import pytest
import torch

from xlret.batches.assemble import Assembled, Ragged
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.losses.contrast import SwitchedContrast
from xlret.model.losses.infonce import InfoNCE
from xlret.model.losses.settings import LossSettings
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.training.steps.retriever import RetrieverStep, encode_sides

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
        query_bD, passage_PD = encode_sides(encoder, (queries, passages), budget)
    np.testing.assert_allclose(query_bD, encoder.encode(TEXTS[:2], "query"), atol=1e-6)
    np.testing.assert_allclose(passage_PD, encoder.encode(TEXTS[1:], "passage"), atol=1e-6)


def test_copies_of_queries_add_their_weighted_loss(encoder: Encoder) -> None:
    """By hand: cross entropy of cosines over the temperature, row i's own passage and own copy being the right ones."""
    queries, copies, passages = TEXTS[:3], ["bi ba", "bo", "be be bo bu"], TEXTS[2:]
    step = RetrieverStep(encoder, SwitchedContrast(InfoNCE(LossSettings(temperature=0.5)), 0.25), 64, autocast=False)
    sides = [
        Ragged(*encoder.tokeniser.ragged(texts, side)) for texts, side in ((queries + copies, "query"), (passages, "passage"))
    ]
    nothing = np.empty(0, np.int64)
    with torch.inference_mode():
        parts = step(Assembled(0, 0, "mono", *sides, np.arange(3), nothing, 0, 0))
    query, copy, passage = (
        encoder.encode(texts, side).astype(np.float64)
        for texts, side in ((queries, "query"), (copies, "query"), (passages, "passage"))
    )
    losses = []
    for answers in (passage, copy):
        scores = query @ answers.T / 0.5
        losses.append(float(np.mean(np.log(np.exp(scores).sum(1)) - np.diag(scores))))
    assert parts["loss"].item() == pytest.approx(losses[0] + 0.25 * losses[1], abs=1e-5)
    assert parts["contrast"].item() == pytest.approx(losses[1], abs=1e-5)
