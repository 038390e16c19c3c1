"""Losses that align languages: against loops and torch's own formulas in float64, at 1 and 2 workers."""

import json
import os
from pathlib import Path
from typing import Any

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
from xlret.model.losses.settings import FOUR, Direction, LossSettings

ROWS, FEATURES, WIDTH, NEGATIVES = 8, 5, 4, 2
CLUSTERS = [0, 1, 2, 0, 4, 1, 6, 7]  # rows 0 and 3, 1 and 5 answer each other, across the split
KNOWN = {"query": [1, 1, 0, 1, 1, 1, 1, 0], "passage": [1, 1, 1, 1, 1, 1, 0, 1]}  # unequal numbers on the two workers
READ = [1, 1, 1, 0, 1, 1, 1, 1]  # rows that have a text in the teacher's language
NEGATIVE_CLUSTERS = [[20, 21], [24, -1], [22, 0], [-1, -1], [23, 1], [24, 25], [26, 27], [27, -1]]
WEIGHTS = [1.0, 2.0, 1.0, 0.5, 1.0, 0.0, 3.0, 1.0]
TEMPERATURE = 0.3

CASES: dict[str, LossSettings] = {
    "xlco": LossSettings(kind="xlco", temperature=TEMPERATURE),
    "mimo": LossSettings(kind="mimo", temperature=TEMPERATURE),
    "mimo, first stage": LossSettings(kind="mimo", temperature=TEMPERATURE, distillation_share=1),
    "lakda": LossSettings(kind="lakda", temperature=TEMPERATURE, term_weight=0.5, retrieval_weight=2),
    "four_way": LossSettings(kind="four_way", temperature=TEMPERATURE, hardness="all"),
    "clear": LossSettings(kind="clear", temperature=TEMPERATURE),
    "jensen_shannon": LossSettings(kind="jensen_shannon", temperature=TEMPERATURE, term_weight=3),
    "rank_distillation": LossSettings(
        kind="rank_distillation", temperature=TEMPERATURE, teacher_temperature=2, retrieval_weight=0
    ),
    "margin_mse": LossSettings(kind="margin_mse", temperature=TEMPERATURE, retrieval_weight=0),
    "spread": LossSettings(temperature=TEMPERATURE, spread_weight=4),
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
                teacher_score_bC=batch["teacher scores"][rows],
                weight_b=torch.tensor(WEIGHTS[rows], dtype=torch.float64),
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
    batch["teacher scores"] = 3 * torch.randn(ROWS, 1 + NEGATIVES, generator=random, dtype=torch.float64)
    batch["teacher scores"][4, 0] = torch.nan  # a row whose positive was not scored
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
                losses.append(WEIGHTS[i] * functional.cross_entropy(scores, torch.tensor(rivals.index(i))))
    return torch.stack(losses).mean()


def weighted(losses: list[Tensor], rows: list[int]) -> Tensor:
    return torch.stack([WEIGHTS[row] * loss for row, loss in zip(rows, losses, strict=True)]).mean()


def answers(row: int, negatives: bool = True) -> list[tuple[str, int, int]]:
    """The row's own positive, then the passages of the batch that do not answer it."""
    others = [("passage", j, 0) for j in range(ROWS) if CLUSTERS[j] != CLUSTERS[row]]
    pairs = [(j, h) for j in range(ROWS) for h in range(NEGATIVES) if NEGATIVE_CLUSTERS[j][h] not in (-1, CLUSTERS[row])]
    return [("passage", row, 0), *others, *(("negative", j, h) for j, h in pairs if negatives)]


def picked(vectors: dict[str, Tensor], candidate: tuple[str, int, int]) -> Tensor:
    name, row, number = candidate
    return vectors[name][row, number] if name == "negative" else vectors[name][row]


def infonce(vectors: dict[str, Tensor]) -> Tensor:
    losses = []
    for i in range(ROWS):
        scores = torch.stack([cosine(vectors["query"][i], picked(vectors, other)) / TEMPERATURE for other in answers(i)])
        losses.append(torch.logsumexp(scores, 0) - scores[0])
    return weighted(losses, list(range(ROWS)))


def four_way(vectors: dict[str, Tensor]) -> Tensor:
    """All directions, hardness 5 on all query-to-passage negatives."""
    losses = []
    for i in range(ROWS):
        query, passage = vectors["query"][i], vectors["passage"][i]
        strangers = [j for j in range(ROWS) if CLUSTERS[j] != CLUSTERS[i]]
        positive = cosine(query, passage) / TEMPERATURE
        logits = [positive]
        for other in answers(i)[1:]:
            near = cosine(query, picked(vectors, other))
            logits.append(near / TEMPERATURE + 5 * near.detach())
        logits += [cosine(query, vectors["query"][j]) / TEMPERATURE for j in strangers]
        logits += [cosine(passage, vectors["query"][j]) / TEMPERATURE for j in [i, *strangers]]
        logits += [cosine(passage, picked(vectors, other)) / TEMPERATURE for other in answers(i)[1:] if other[1] != i]
        losses.append(torch.logsumexp(torch.stack(logits), 0) - positive)
    return weighted(losses, list(range(ROWS)))


def clear(vectors: dict[str, Tensor]) -> Tensor:
    reverse, agreement = [], []
    rows = [i for i in range(ROWS) if KNOWN["query"][i]]
    for i in rows:
        columns = [i, *(j for j in rows if CLUSTERS[j] != CLUSTERS[i])]
        back = torch.stack([cosine(vectors["passage"][i], vectors["other query"][j]) / TEMPERATURE for j in columns])
        forth = torch.stack([cosine(vectors["query"][i], vectors["passage"][j]) / TEMPERATURE for j in columns])
        reverse.append(functional.cross_entropy(back, torch.tensor(0)))
        agreement.append(functional.kl_div(forth.log_softmax(0), back.softmax(0), reduction="sum"))
    return 0.4 * infonce(vectors) + 0.4 * weighted(reverse, rows) + 0.2 * weighted(agreement, rows)


def jensen_shannon(vectors: dict[str, Tensor]) -> Tensor:
    sides = []
    for side in ("query", "passage"):
        rows = [i for i in range(ROWS) if KNOWN[side][i]]
        distances = []
        for i in rows:
            left, right = (functional.normalize(vectors[name][i], dim=0).softmax(0) for name in (side, f"other {side}"))
            middle = ((left + right) / 2).log()
            both = [functional.kl_div(middle, part, reduction="sum") for part in (left, right)]
            distances.append(((both[0] + both[1]) / 2).sqrt())
        sides.append(weighted(distances, rows))
    return infonce(vectors) + 3 * torch.stack(sides).mean()


def own_candidates(vectors: dict[str, Tensor], scores: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Row, cosines over the temperature and teacher's scores of the candidates that both have, the positive first."""
    rows = []
    for i in range(ROWS):
        kept = [h for h in range(NEGATIVES) if NEGATIVE_CLUSTERS[i][h] >= 0]
        if kept and not scores[i, 0].isnan():
            candidates = [vectors["passage"][i], *(vectors["negative"][i, h] for h in kept)]
            student = torch.stack([cosine(vectors["query"][i], text) / TEMPERATURE for text in candidates])
            rows.append((i, student, scores[i, [0, *(1 + h for h in kept)]]))
    return rows


def distilled(kind: str, vectors: dict[str, Tensor], scores: Tensor) -> Tensor:
    own = own_candidates(vectors, scores)
    if kind == "margin_mse":
        margins = [
            WEIGHTS[row] * ((student[0] - student[h]) - (teacher[0] - teacher[h])) ** 2
            for row, student, teacher in own
            for h in range(1, len(student))
        ]
        return torch.stack(margins).mean()
    losses = [
        functional.kl_div(student.log_softmax(0), (teacher / 2).softmax(0), reduction="sum") for _, student, teacher in own
    ]
    return weighted(losses, [row for row, _, _ in own])


def spread(vectors: dict[str, Tensor]) -> Tensor:
    sides = []
    for side in ("query", "passage"):
        pairs = [(i, j) for i in range(ROWS) for j in range(ROWS) if CLUSTERS[i] != CLUSTERS[j]]
        cosines = torch.stack([cosine(vectors[side][i], vectors[side][j]) for i, j in pairs])
        sides.append(cosines.mean() ** 2 + (cosines.square().mean() - 1 / WIDTH).clamp(min=0))
    return infonce(vectors) + 4 * torch.stack(sides).mean()


def by_hand(case: str, vectors: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    settings = CASES[case]
    plain = {"four_way": four_way, "clear": clear, "jensen_shannon": jensen_shannon, "spread": spread}
    if case in plain:
        return plain[case](vectors)
    if settings.has_reranked:
        return distilled(settings.kind, vectors, batch["teacher scores"])
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
                distances = [1 - cosine(vectors[name][i], batch[f"teacher {side}"][i]) for i in rows]
                means.append(weighted(distances, rows))
        share = settings.distillation_share
        return share * torch.stack(means).mean() + (1 - share) * xlco
    candidates = [
        *vectors["passage"],
        *(vectors["negative"][i, h] for i in range(ROWS) for h in range(NEGATIVES) if NEGATIVE_CLUSTERS[i][h] >= 0),
    ]
    divergences, rows = [], [i for i in range(ROWS) if KNOWN["query"][i]]
    for i in rows:
        logs = [
            torch.log_softmax(torch.stack([cosine(vectors[name][i], text) / TEMPERATURE for text in candidates]), 0)
            for name in ("query", "other query")
        ]
        both_ways = [functional.kl_div(a, b, log_target=True, reduction="sum") for a, b in (logs, logs[::-1])]
        divergences.append(sum(both_ways) / 2)
    return 2 * infonce(vectors) + 0.5 * weighted(divergences, rows)


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


@pytest.mark.parametrize("kind", sorted({settings.kind for settings in CASES.values()} - {"infonce", "four_way"}))
def test_a_batch_without_what_the_loss_compares_is_refused(kind: str) -> None:
    rows = torch.eye(2)
    with pytest.raises(UserError, match=f"loss.kind {kind}"):
        make_loss(LossSettings(kind=kind)).from_embeddings(Embeddings(rows, rows, torch.arange(2)))


@pytest.mark.parametrize("hardness", ["none", "in_batch", "hard", "all"])
@pytest.mark.parametrize("directions", [FOUR, FOUR[:1], ("query_to_passage", "query_to_query")])
def test_four_ways_are_those_of_sentence_transformers(directions: tuple[Direction, ...], hardness: str) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    random = torch.Generator().manual_seed(5)
    query, passage, first, second = torch.randn(4, 6, 16, generator=random, dtype=torch.float64)
    modes = {"none": None, "in_batch": "in_batch_negatives", "hard": "hard_negatives", "all": "all_negatives"}
    theirs = MultipleNegativesRankingLoss(
        SentenceTransformer(modules=[nn.Identity()]),
        scale=1 / TEMPERATURE,
        directions=tuple(direction.replace("passage", "doc") for direction in directions),
        hardness_mode=modes[hardness],
        hardness_strength=5.0,
    )
    expected = theirs.compute_loss_from_embeddings([query, passage, first, second], None)
    settings = LossSettings(kind="four_way", temperature=TEMPERATURE, directions=directions, hardness=hardness)
    clusters, negatives = torch.arange(6), torch.stack([first, second], dim=1)
    ours = make_loss(settings).from_embeddings(
        Embeddings(query, passage, clusters, negatives, 10 + torch.arange(12).reshape(6, 2))
    )
    assert ours["loss"].item() == pytest.approx(expected.item(), rel=1e-12)


def test_distillation_and_spread_are_those_of_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.util import pairwise_cos_sim

    model = SentenceTransformer(modules=[nn.Identity()])
    random = torch.Generator().manual_seed(6)
    query, passage, first, second = torch.randn(4, 6, 16, generator=random, dtype=torch.float64)
    scores = torch.randn(6, 3, generator=random, dtype=torch.float64)
    columns, ids = [query, passage, first, second], 10 + torch.arange(12).reshape(6, 2)
    batch = Embeddings(query, passage, torch.arange(6), torch.stack([first, second], dim=1), ids, teacher_score_bC=scores)

    def ours(**settings: Any) -> dict[str, Tensor]:
        return make_loss(LossSettings(temperature=TEMPERATURE, **settings)).from_embeddings(batch)

    kl = losses.DistillKLDivLoss(
        model, similarity_fct=pairwise_cos_sim, student_temperature=TEMPERATURE, teacher_temperature=0.7
    ).compute_loss_from_embeddings(columns, scores)
    distilled = ours(kind="rank_distillation", retrieval_weight=0, teacher_temperature=0.7)["loss"]
    assert distilled.item() * TEMPERATURE**2 == pytest.approx(kl.item(), rel=1e-12)

    def similarity(left: Tensor, right: Tensor) -> Tensor:
        return pairwise_cos_sim(left, right) / TEMPERATURE

    margin = losses.MarginMSELoss(model, similarity_fct=similarity).compute_loss_from_embeddings(columns, scores)
    assert ours(kind="margin_mse", retrieval_weight=0)["loss"].item() == pytest.approx(margin.item(), rel=1e-12)
    cooled = losses.MarginMSELoss(model, similarity_fct=similarity).compute_loss_from_embeddings(columns, scores / 0.3)
    margins = ours(kind="margin_mse", retrieval_weight=0, teacher_temperature=0.3)["loss"]
    assert margins.item() == pytest.approx(cooled.item(), rel=1e-12)
    gor = losses.GlobalOrthogonalRegularizationLoss(model).compute_loss_from_embeddings([query, passage])
    assert ours(spread_weight=1.0)["spread"].item() == pytest.approx(sum(gor.values()).item(), rel=1e-12)


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
