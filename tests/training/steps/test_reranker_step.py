"""A reranker's loss and gradients over processes, through real DDP, against one process."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from xlret.batches.pairs import AssembledPairs
from xlret.errors import UserError
from xlret.model.reranker import Reranker, start_reranker
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.tokens.pairs import Pair
from xlret.tokens.ragged import Ragged
from xlret.training.settings import TrainJob
from xlret.training.steps.reranker import RerankerStep

TEXTS = ["ba ba", "be bi bo bu", "bo bo bo bu ba be", "bu " * 20]
PAIRS: list[Pair] = [(query, passage) for query in TEXTS for passage in TEXTS][:10]
LABELS = [1, 0, 0, 0, 0, 1, 0, 0, 1, 0]
FIRST = 7  # pairs of the first of two workers: as many for both, a wrong mean would not show


def step_of() -> RerankerStep:
    fresh = FreshEncoder(vocabulary=200, layers=1, hidden=32, heads=2, feed_forward=64, max_positions=64)
    reranker = start_reranker(EncoderSettings(fresh=fresh), lambda: TEXTS, 0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in reranker.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=random))
    return RerankerStep(reranker.double(), tokens_per_forward=64, autocast=False)


def batch(reranker: Reranker, rows: slice) -> AssembledPairs:
    ids = reranker.tokeniser.ragged(PAIRS[rows])
    return AssembledPairs(0, 0, "mono", Ragged(ids.ids, ids.lengths), ids.types, np.array(LABELS[rows]), 0, 0)


def gradient(module: nn.Module) -> list[float]:
    return [value for weight in module.parameters() for value in weight.grad.flatten().tolist()]


def test_the_loss_is_the_mean_cross_entropy_of_the_pairs() -> None:
    step = step_of()
    scores = torch.from_numpy(step.reranker.score(PAIRS))
    expected = functional.binary_cross_entropy_with_logits(scores, torch.tensor(LABELS).float())
    assert step(batch(step.reranker, slice(None)))["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert scores.std() > 0.02


def test_some_steps_tell_the_pairs_apart() -> None:
    step = step_of().float()
    optimiser = torch.optim.AdamW(step.parameters(), lr=3e-3)
    everything = batch(step.reranker, slice(None))
    for _ in range(60):
        step.run(everything)
        optimiser.step()
        optimiser.zero_grad()
    scores = step.reranker.score(PAIRS)
    assert scores[np.array(LABELS) == 1].min() > scores[np.array(LABELS) == 0].max()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reranker": {"negatives": 0}}, "a reranker needs wrong passages"),
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


def test_a_user_error_names_the_setting() -> None:
    from xlret.config import settings_from

    with pytest.raises(UserError, match="model is 'ranker'"):
        settings_from(TrainJob, {"name": "x", "corpora": ["/c"], "model": "ranker"})
