"""Losses that align languages: against loops and torch's own formulas in float64, at 1 and 2 workers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from together import run_together
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from xlret.errors import UserError
from xlret.model.losses.base import Embeddings, Translations
from xlret.model.losses.make import make_loss
from xlret.model.losses.settings import LossSettings

ROWS, FEATURES, WIDTH, NEGATIVES = 8, 5, 4, 2
CLUSTERS = [0, 1, 2, 0, 4, 1, 6, 7]  # rows 0 and 3, 1 and 5 answer each other, across the split
KNOWN = {"query": [1, 1, 0, 1, 1, 1, 1, 0], "passage": [1, 1, 1, 1, 1, 1, 0, 1]}  # unequal numbers on the two workers
READ = [1, 1, 1, 0, 1, 1, 1, 1]  # rows that have a text in the teacher's language
NEGATIVE_CLUSTERS = [[20, 21], [24, -1], [22, 0], [-1, -1], [23, 1], [24, 25], [26, 27], [27, -1]]
TEMPERATURE = 0.3

CASES: dict[str, LossSettings] = {
    "xlco": LossSettings(kind="xlco", temperature=TEMPERATURE),
    "mimo": LossSettings(kind="mimo", temperature=TEMPERATURE),
    "mimo, first stage": LossSettings(kind="mimo", temperature=TEMPERATURE, distillation_share=1),
    "lakda": LossSettings(kind="lakda", temperature=TEMPERATURE, term_weight=0.5, retrieval_weight=2),
}


class Step(nn.Module):
    """A small encoder that all texts share, and the loss, as training has them."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.loss = make_loss(CASES[case])
        self.net = nn.Sequential(nn.Linear(FEATURES, 7), nn.Tanh(), nn.Linear(7, WIDTH)).double()
        random = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in self.net.parameters():
                weight.copy_(torch.randn(weight.shape, generator=random, dtype=torch.float64))

    def forward(self, rows: slice) -> Tensor:
        batch = texts()
        vectors = {
            name: self.net(batch[name][rows]) for name in ("query", "passage", "other query", "other passage", "negative")
        }
        known = {side: torch.tensor(KNOWN[side][rows]).bool() for side in KNOWN}
        return self.loss.from_embeddings(
            Embeddings(
                vectors["query"],
                vectors["passage"],
                torch.tensor(CLUSTERS[rows]),
                vectors["negative"],
                torch.tensor(NEGATIVE_CLUSTERS[rows]),
                parallel_query=Translations(vectors["other query"], known["query"]),
                parallel_passage=Translations(vectors["other passage"], known["passage"]),
                teacher_query_bD=batch["teacher query"][rows],
                teacher_passage_bD=batch["teacher passage"][rows],
            )
        )["loss"]


def texts() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(11)
    names = ("query", "passage", "other query", "other passage")
    batch = {name: torch.randn(ROWS, FEATURES, generator=random, dtype=torch.float64) for name in names}
    batch["negative"] = torch.randn(ROWS, NEGATIVES, FEATURES, generator=random, dtype=torch.float64)
    for side in ("query", "passage"):
        vectors = torch.randn(ROWS, WIDTH, generator=random, dtype=torch.float64)
        batch[f"teacher {side}"] = vectors * torch.tensor(READ)[:, None]
    return batch


def cosine(left: Tensor, right: Tensor) -> Tensor:
    return functional.cosine_similarity(left, right, dim=0)


def translations_found(text: Tensor, other: Tensor, known: list[int]) -> Tensor:
    """Each text finds its translation, and each translation its text: one cross entropy after the other."""
    losses = []
    for left, right in ((text, other), (other, text)):
        for i in range(ROWS):
            if known[i]:
                rivals = [j for j in range(ROWS) if j == i or (known[j] and CLUSTERS[j] != CLUSTERS[i])]
                scores = torch.stack([cosine(left[i], right[j]) / TEMPERATURE for j in rivals])
                losses.append(functional.cross_entropy(scores, torch.tensor(rivals.index(i))))
    return torch.stack(losses).mean()


def by_hand(case: str, vectors: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    settings = CASES[case]
    xlco = torch.stack(
        [translations_found(vectors[side], vectors[f"other {side}"], KNOWN[side]) for side in ("query", "passage")]
    ).mean()
    if settings.kind == "xlco":
        return xlco
    if settings.kind == "mimo":
        means = []
        for side in ("query", "passage"):
            for name, counted in ((side, READ), (f"other {side}", np.array(READ) * KNOWN[side])):
                rows = [i for i in range(ROWS) if counted[i]]
                means.append(torch.stack([1 - cosine(vectors[name][i], batch[f"teacher {side}"][i]) for i in rows]).mean())
        share = settings.distillation_share
        return share * torch.stack(means).mean() + (1 - share) * xlco
    candidates = [
        *vectors["passage"],
        *(vectors["negative"][i, h] for i in range(ROWS) for h in range(NEGATIVES) if NEGATIVE_CLUSTERS[i][h] >= 0),
    ]
    divergences = []
    for i in range(ROWS):
        if KNOWN["query"][i]:
            logs = [
                torch.log_softmax(torch.stack([cosine(vectors[name][i], text) / TEMPERATURE for text in candidates]), 0)
                for name in ("query", "other query")
            ]
            both_ways = [functional.kl_div(a, b, log_target=True, reduction="sum") for a, b in (logs, logs[::-1])]
            divergences.append(sum(both_ways) / 2)
    clusters, others = torch.tensor(CLUSTERS), torch.tensor(NEGATIVE_CLUSTERS)
    pairs = Embeddings(vectors["query"], vectors["passage"], clusters, vectors["negative"], others)
    retrieval = make_loss(LossSettings(temperature=TEMPERATURE)).from_embeddings(pairs)["loss"]  # has tests of its own
    return 2 * retrieval + 0.5 * torch.stack(divergences).mean()


def gradient(module: nn.Module) -> list[float]:
    return [value for weight in module.parameters() for value in weight.grad.flatten().tolist()]


def reference(case: str) -> tuple[float, list[float]]:
    step, batch = Step(case), texts()
    vectors = {name: step.net(rows) for name, rows in batch.items() if not name.startswith("teacher")}
    loss = by_hand(case, vectors, batch)
    loss.backward()
    return loss.item(), gradient(step)


def worker(rank: int, directory: str) -> None:
    """One of two training processes: its half of the batch through DDP, for every case."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/rendezvous", rank=rank, world_size=2)
    results = {}
    for case in CASES:
        step = DistributedDataParallel(Step(case))
        loss = step(slice(ROWS * rank // 2, ROWS * (rank + 1) // 2))
        loss.backward()
        losses = [torch.zeros_like(loss) for _ in range(2)]
        dist.all_gather(losses, loss.detach())
        results[case] = (float(torch.stack(losses).mean()), gradient(step))
    if rank == 1:
        Path(directory, "results.json").write_text(json.dumps(results))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, list[float]]]:
    directory = run_together(worker, 2, (), tmp_path_factory.mktemp("ddp"))
    results: dict[str, tuple[float, list[float]]] = json.loads((directory / "results.json").read_text())
    return results


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_are_those_written_out_row_by_row(case: str) -> None:
    step = Step(case)
    loss = step(slice(0, ROWS))
    loss.backward()
    expected, wanted = reference(case)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(gradient(step), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_two_workers_have_the_loss_and_gradient_of_one(case: str, together: dict[str, tuple[float, list[float]]]) -> None:
    loss, ours = together[case]
    expected, wanted = reference(case)
    assert loss == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(ours, wanted, rtol=1e-6, atol=1e-9)


def test_the_cases_differ() -> None:
    losses = sorted(reference(case)[0] for case in CASES)
    assert min(np.diff(losses)) > 1e-3


@pytest.mark.parametrize("kind", sorted({settings.kind for settings in CASES.values()}))
def test_a_batch_without_what_the_loss_compares_is_refused(kind: str) -> None:
    rows = torch.eye(2)
    with pytest.raises(UserError, match=f"loss.kind {kind}"):
        make_loss(LossSettings(kind=kind)).from_embeddings(Embeddings(rows, rows, torch.arange(2)))


def test_a_batch_in_which_no_row_has_a_translation_trains_nothing() -> None:
    rows = torch.eye(2, requires_grad=True)
    unknown = Translations(rows, torch.tensor([False, False]))
    batch = Embeddings(rows, rows, torch.tensor([3, 3]), parallel_query=unknown, parallel_passage=unknown)
    loss = make_loss(LossSettings(kind="xlco")).from_embeddings(batch)["loss"]
    loss.backward()
    assert loss.item() == 0
    assert rows.grad.abs().max() == 0


def test_a_teacher_with_vectors_of_another_length_is_refused() -> None:
    rows = torch.eye(2)
    batch = Embeddings(rows, rows, torch.arange(2), teacher_query_bD=torch.ones(2, 3))
    with pytest.raises(UserError, match="teacher's vectors have 3 numbers, the encoder's 2"):
        make_loss(LossSettings(kind="mimo")).from_embeddings(batch)


def test_this_test_leaves_no_process_group() -> None:
    assert not dist.is_initialized(), f"process {os.getpid()}"
