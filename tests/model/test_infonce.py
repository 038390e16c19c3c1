"""InfoNCE over processes: gradients through real DDP against plain loops in one process, in float64."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from pydantic import ValidationError
from together import run_together
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from xlret.errors import UserError
from xlret.model.losses.base import Embeddings
from xlret.model.losses.infonce import InfoNCE
from xlret.model.losses.settings import LossSettings

ROWS, FEATURES, NEGATIVES = 8, 5, 2
CLUSTERS = [0, 1, 2, 0, 4, 1, 6, 7]  # rows 0 and 3, 1 and 5 answer each other, across every split
NEGATIVE_CLUSTERS = [[20, 21], [4, -1], [22, 0], [-1, -1], [23, 1], [24, 25], [6, 26], [27, -1]]  # row 6: one of its own

CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "mask": ({"temperature": 0.1}, False),
    "no mask": ({"temperature": 0.1, "mask": False}, False),
    "hard negatives": ({"temperature": 0.1}, True),
    "hard negatives, no mask": ({"temperature": 0.1, "mask": False}, True),
    "symmetric": ({"temperature": 0.2, "symmetric": True}, True),
    "learned": ({"temperature": 0.3, "learned_temperature": True, "symmetric": True}, True),
    "printed": ({"temperature": 0.1, "printed_form": True}, True),
}


def value(loss: InfoNCE, *embeddings: Tensor | None) -> Tensor:
    return loss.from_embeddings(Embeddings(*embeddings))["loss"]


class Step(nn.Module):
    """A small encoder that both sides share, and the loss, as training has them."""

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.loss = InfoNCE(settings)
        random = torch.Generator().manual_seed(3)
        self.net = nn.Sequential(nn.Linear(FEATURES, 7), nn.Tanh(), nn.Linear(7, 4)).double()
        with torch.no_grad():
            for weight in self.net.parameters():
                weight.copy_(torch.randn(weight.shape, generator=random, dtype=torch.float64))

    def forward(self, query: Tensor, passage: Tensor, cluster: Tensor, negative: Tensor | None, other: Tensor | None) -> Tensor:
        vectors = None if negative is None else self.net(negative)
        return value(self.loss, self.net(query), self.net(passage), cluster, vectors, other)


def batch(hard: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    random = torch.Generator().manual_seed(11)
    query, passage = torch.randn(2, ROWS, FEATURES, generator=random, dtype=torch.float64)
    negative = torch.randn(ROWS, NEGATIVES, FEATURES, generator=random, dtype=torch.float64)
    return query, passage, torch.tensor(CLUSTERS), negative if hard else None, torch.tensor(NEGATIVE_CLUSTERS) if hard else None


def gradient(module: nn.Module) -> list[float]:
    return [value for weight in module.parameters() for value in weight.grad.flatten().tolist()]


def reference(case: str) -> tuple[float, list[float]]:
    """The loss of the global batch and its gradient, one score after the other."""
    settings, hard = CASES[case]
    step = Step(LossSettings(**settings))
    query, passage, cluster, negative, other = batch(hard)
    q, p = step.net(query), step.net(passage)
    scale = step.loss.log_scale.double().exp() if step.loss.log_scale is not None else torch.tensor(1 / settings["temperature"])
    mask, printed = settings.get("mask", True), settings.get("printed_form", False)

    def score(a: Tensor, b: Tensor) -> Tensor:
        return scale * (a @ b) / (a.norm() * b.norm())

    def rows_loss(from_side: Tensor, to_side: Tensor, with_negatives: bool) -> list[Tensor]:
        losses = []
        for i in range(ROWS):
            others = [
                score(from_side[i], to_side[j])
                for j in range(ROWS)
                if j != i and not printed and not (mask and cluster[i] == cluster[j])
            ]
            if with_negatives:
                n = step.net(negative)
                for j in range(ROWS):
                    for h in range(NEGATIVES):
                        if other[j, h] >= 0 and not (mask and other[j, h] == cluster[i]):
                            others.append(score(from_side[i], n[j, h]))
            own = score(from_side[i], to_side[i])
            losses.append(torch.logsumexp(torch.stack([own, *others]), 0) - own)
        return losses

    losses = rows_loss(q, p, hard)
    total = sum(losses) / len(losses)
    if settings.get("symmetric"):
        total = (total + sum(rows_loss(p, q, False)) / ROWS) / 2
    total.backward()
    return total.item(), gradient(step)


def worker(rank: int, world: int, place: str) -> None:
    """One training process: its slice of the batch through DDP, for every case."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/rendezvous", rank=rank, world_size=world)
    found = {}
    for case, (settings, hard) in CASES.items():
        step = DistributedDataParallel(Step(LossSettings(**settings)))
        mine = slice(ROWS * rank // world, ROWS * (rank + 1) // world)
        loss = step(*(None if one is None else one[mine] for one in batch(hard)))
        loss.backward()
        losses = [torch.zeros_like(loss) for _ in range(world)]
        dist.all_gather(losses, loss.detach())
        found[case] = (float(torch.stack(losses).mean()), gradient(step))
    if rank == world - 1:
        Path(place, "found.json").write_text(json.dumps(found))


@pytest.fixture(scope="module", params=[1, 2, 4], ids="{} processes".format)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, list[float]]]:
    """Loss and gradient of every case, from real processes with gloo."""
    place = tmp_path_factory.mktemp("ddp")
    place = run_together(worker, request.param, (request.param,), place)
    return json.loads((place / "found.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_one_process(case: str, found: dict[str, tuple[float, list[float]]]) -> None:
    loss, mine = found[case][0], np.array(found[case][1])
    expected_loss, expected = reference(case)
    wanted = np.array(expected)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert np.linalg.norm(mine) / np.linalg.norm(wanted) == pytest.approx(1, abs=1e-6)
    assert mine @ wanted / (np.linalg.norm(mine) * np.linalg.norm(wanted)) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(mine, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


def test_the_cases_differ() -> None:
    """Otherwise equality above would say nothing of mask, negatives and forms."""
    losses = sorted(reference(case)[0] for case in CASES)
    assert min(np.diff(losses)) > 1e-3


@pytest.mark.parametrize(("hard", "symmetric"), [(False, False), (True, False), (False, True)])
def test_equals_multiple_negatives_ranking(hard: bool, symmetric: bool) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    random = torch.Generator().manual_seed(5)
    query, passage, negative = torch.randn(3, 6, 16, generator=random, dtype=torch.float64)
    directions = ("query_to_doc", "doc_to_query") if symmetric else ("query_to_doc",)
    theirs = MultipleNegativesRankingLoss(
        SentenceTransformer(modules=[nn.Identity()]), scale=1 / 0.05, directions=directions, partition_mode="per_direction"
    )
    expected = theirs.compute_loss_from_embeddings([query, passage, negative] if hard else [query, passage], None)
    mine = InfoNCE(LossSettings(temperature=0.05, symmetric=symmetric))
    negatives = (negative[:, None], torch.arange(100, 106)[:, None]) if hard else (None, None)
    assert value(mine, query, passage, torch.arange(6), *negatives).item() == pytest.approx(expected.item(), rel=1e-6)


def test_padding_vectors_are_not_looked_at() -> None:
    random = torch.Generator().manual_seed(1)
    query, passage = torch.randn(2, 3, 8, generator=random)
    negative = torch.randn(3, 2, 8, generator=random)
    other = torch.tensor([[10, -1], [-1, -1], [11, 12]])
    loss = InfoNCE(LossSettings())
    before = value(loss, query, passage, torch.arange(3), negative, other)
    changed = torch.where((other < 0)[:, :, None], 7.0, negative)
    assert value(loss, query, passage, torch.arange(3), changed, other) == before
    assert value(loss, query, passage, torch.arange(3), negative, other.abs()) != before


def test_computes_in_float32_under_autocast() -> None:
    query, passage = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(2))
    loss = InfoNCE(LossSettings())
    plain = value(loss, query, passage, torch.arange(4))
    with torch.autocast("cpu", torch.bfloat16):
        assert value(loss, query, passage, torch.arange(4)) == plain
    assert plain.dtype == torch.float32
    assert value(loss, query.bfloat16(), passage.bfloat16(), torch.arange(4)).dtype == torch.float32
    assert value(loss, query.double(), passage.double(), torch.arange(4)).dtype == torch.float64


def test_learned_temperature_stays_within_bounds_and_goes_on_learning() -> None:
    query, passage = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(2))
    loss = InfoNCE(LossSettings(learned_temperature=True))
    assert loss.temperature == pytest.approx(0.05)
    with torch.no_grad():
        loss.log_scale.fill_(50)
    value(loss, query, passage, torch.arange(4)).backward()
    assert loss.temperature == pytest.approx(0.01)
    assert math.isfinite(loss.log_scale.grad.item())
    assert loss.log_scale.grad.item() != 0


def test_impossible_settings() -> None:
    with pytest.raises(ValidationError, match="passage-to-query"):
        LossSettings(printed_form=True, symmetric=True)
    with pytest.raises(ValidationError, match="starts within"):
        LossSettings(learned_temperature=True, temperature=5)
    rows = torch.eye(2)
    with pytest.raises(UserError, match="needs hard negatives"):
        value(InfoNCE(LossSettings(printed_form=True)), rows, rows, torch.arange(2))


def test_this_process_has_no_group() -> None:
    assert not dist.is_initialized(), f"a test of {os.getpid()} left a process group behind"
