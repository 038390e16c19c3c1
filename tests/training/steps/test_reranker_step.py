"""A reranker's step: its losses over the pairs of a batch, and settings that make no sense for it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from xlret.batches.pairs import AssembledPairs
from xlret.errors import UserError
from xlret.model.losses.settings import ListLoss
from xlret.model.reranker import Reranker, start_reranker
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.tokens.pairs import Pair
from xlret.tokens.ragged import Ragged
from xlret.training.settings import TrainJob
from xlret.training.steps.reranker import RerankerStep

TEXTS = ["ba ba", "be bi bo bu", "bo bo bo bu ba be", "bu " * 20]
PAIRS: list[Pair] = [(query, passage) for query in TEXTS for passage in TEXTS][:10]
LABELS = [1, 0, 0, 0, 0, 1, 0, 0, 1, 0]
SCORES = [2.0, float("nan"), 0.5, -1.0, 1.0, 3.0, 1.0, float("nan"), 0.3, -0.2]  # a teacher's
LOSSES: tuple[ListLoss, ...] = ("pointwise", "pairwise", "listwise", "rank_distillation", "margin_mse")


def step_of(loss: ListLoss = "pointwise") -> RerankerStep:
    fresh = FreshEncoder(vocabulary=200, layers=1, hidden=32, heads=2, feed_forward=64, max_positions=64)
    reranker = start_reranker(EncoderSettings(fresh=fresh), lambda: TEXTS, 0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in reranker.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=random))
    return RerankerStep(reranker.double(), tokens_per_forward=64, autocast=False, loss=loss)


def batch(reranker: Reranker, rows: slice) -> AssembledPairs:
    ids = reranker.tokeniser.ragged(PAIRS[rows])
    labels, scores = np.array(LABELS[rows]), np.array(SCORES[rows], np.float32)
    return AssembledPairs(0, 0, "mono", Ragged(ids.ids, ids.lengths), ids.types, labels, 0, 0, scores)


def gradient(module: nn.Module) -> list[float]:
    return [value for weight in module.parameters() for value in weight.grad.flatten().tolist()]


def test_the_loss_is_the_mean_cross_entropy_of_the_pairs() -> None:
    step = step_of()
    scores = torch.from_numpy(step.reranker.score(PAIRS))
    expected = functional.binary_cross_entropy_with_logits(scores, torch.tensor(LABELS).float())
    assert step(batch(step.reranker, slice(None)))["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert scores.std() > 0.02


@pytest.mark.parametrize("loss", ["pointwise", "listwise"])
def test_some_steps_tell_the_pairs_apart(loss: ListLoss) -> None:
    step = step_of(loss).float()
    optimiser = torch.optim.AdamW(step.parameters(), lr=3e-3)
    everything = batch(step.reranker, slice(None))
    for _ in range(60):
        step.run(everything)
        optimiser.step()
        optimiser.zero_grad()
    scores = step.reranker.score(PAIRS)
    rows = np.cumsum(LABELS)
    for row in range(1, max(rows) + 1):
        of_row = scores[rows == row]
        assert of_row[0] > of_row[1:].max()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reranker": {"negatives": 0}}, "a reranker needs wrong passages"),
        ({"loss": {"kind": "margin_mse"}, "hard_negatives": 1}, "leave it out and set reranker.loss"),
        ({"loss": {"pair_weights": {"en>*": 2}}}, "pair_weights is a retriever's and changes nothing of a reranker"),
        (
            {"reranker": {"teacher_temperature": 2}},
            "teacher_temperature is of rank_distillation and margin_mse, and reranker.loss is pointwise",
        ),
        ({"encoder": {"packed": True}}, "rerankers are not packed"),
        ({"reranker": {"negatives": 16}}, "taken from the other rows of a batch of 16"),
        (
            {"switch": {"policy": "ml", "lexicons": ["/x"], "objective": "contrast"}},
            "objective contrast compares vectors, which a reranker has none of",
        ),
    ],
)
def test_settings_that_make_no_sense_for_a_reranker(changes: dict[str, object], sentence: str) -> None:
    values = {"name": "x", "corpora": ["/c"], "plan": {"batch_size": 16}, **changes}
    TrainJob.model_validate(values)
    with pytest.raises(ValueError, match=sentence):
        TrainJob.model_validate({**values, "model": "reranker"})


def test_a_taught_reranker_needs_what_a_teacher_scored() -> None:
    values = {"name": "x", "corpora": ["/c"], "model": "reranker", "reranker": {"loss": "margin_mse"}}
    with pytest.raises(ValueError, match="margin_mse takes over a teacher's scores of hard negatives"):
        TrainJob.model_validate(values)


def test_a_user_error_names_the_setting() -> None:
    from xlret.config import settings_from

    with pytest.raises(UserError, match="model is 'ranker'"):
        settings_from(TrainJob, {"name": "x", "corpora": ["/c"], "model": "ranker"})
