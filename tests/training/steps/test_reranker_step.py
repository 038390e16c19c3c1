"""A reranker's loss and gradients over processes, through real DDP, against one process."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from together import run_together
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


def worker(rank: int, place: str) -> None:
    """One of two training processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/rendezvous", rank=rank, world_size=2)
    step = step_of()
    step.distribute()
    loss = step.run(batch(step.reranker, slice(FIRST) if rank == 0 else slice(FIRST, None)))["loss"]
    losses = [torch.zeros(1) for _ in range(2)]
    dist.all_gather(losses, torch.tensor([loss]))
    if rank == 1:
        Path(place, "found.json").write_text(json.dumps([float(torch.stack(losses).mean()), gradient(step)]))


def test_two_workers_with_unequal_numbers_of_pairs_have_the_gradient_of_one(tmp_path: Path) -> None:
    place = run_together(worker, 2, (), tmp_path)
    loss, mine = json.loads((place / "found.json").read_text())
    step = step_of()
    alone = step.run(batch(step.reranker, slice(None)))["loss"]
    wanted = np.array(gradient(step))
    assert loss == pytest.approx(alone, rel=1e-5)  # logits are float32
    assert np.linalg.norm(wanted) > 0.01
    np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


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
