"""Losses of a reranker: against sentence-transformers' on the same logits, and against loops in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import losses
from torch import Tensor, nn
from torch.nn import functional

from xlret.model.losses.lists import Lists, lists_of, make_list_loss
from xlret.model.losses.settings import TAUGHT, ListLoss

LENGTHS = [4, 2, 1, 3, 4]  # of the lists: one query has no negative at all
LOGITS = (3 * torch.randn(14, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).tolist()
TEACHER = (3 * torch.randn(14, generator=torch.Generator().manual_seed(4), dtype=torch.float64)).tolist()
LABELS = torch.tensor([label for length in LENGTHS for label in (1, *[0] * (length - 1))])
KINDS: tuple[ListLoss, ...] = ("pointwise", "pairwise", "listwise", "rank_distillation", "margin_mse")


class GivenLogits(CrossEncoder):
    """A cross-encoder whose logits are known: pairs are their numbers as text."""

    num_labels, device, config = 1, torch.device("cpu"), None

    def __init__(self, logit_N: Tensor) -> None:
        nn.Module.__init__(self)
        self.logit_N = logit_N

    def preprocess(self, pairs: list[tuple[str, str]], **how: Any) -> dict[str, Tensor]:
        return {"numbers": torch.tensor([int(passage) for _, passage in pairs])}

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": self.logit_N[inputs["numbers"]]}


def of_each_list(values: list[Any]) -> list[list[Any]]:
    rest = iter(values)
    return [[next(rest) for _ in range(length)] for length in LENGTHS]


def terms(kind: ListLoss, logit_N: Tensor, teacher_N: Tensor | None = None) -> Tensor:
    return make_list_loss(kind, 2.0)(lists_of(logit_N, LABELS, teacher_N))


def theirs(kind: str, logit_N: Tensor) -> Tensor:
    """The same by sentence-transformers, in float32 as it is there; lists without negatives left out, as they teach nothing."""
    model, queries = GivenLogits(logit_N), [f"query {row}" for row in range(len(LENGTHS))]
    passages = of_each_list([str(number) for number in range(len(LOGITS))])
    labels = [torch.tensor(values) for values in of_each_list(LABELS.tolist())]
    if kind == "pointwise":
        pairs = [(query, passage) for query, of_query in zip(queries, passages, strict=True) for passage in of_query]
        return losses.BinaryCrossEntropyLoss(model)([list(side) for side in zip(*pairs, strict=True)], torch.cat(labels))
    rows = [row for row, length in enumerate(LENGTHS) if length > 1]
    inputs = [[queries[row] for row in rows], [passages[row] for row in rows]]
    if kind == "pairwise":
        return losses.RankNetLoss(model, reduction_log="natural")(inputs, [labels[row] for row in rows])
    if kind == "listwise":  # labels of a thousand: their softmax is 1 for the positive
        return losses.ListNetLoss(model)(inputs, [1000 * labels[row] for row in rows])
    scores = [torch.tensor(values) / 2 for values in of_each_list(TEACHER)]
    if kind == "rank_distillation":  # a cross-entropy: more than the divergence by what the teacher is unsure of
        unsure = torch.stack([torch.distributions.Categorical(logits=scores[row]).entropy() for row in rows]).mean()
        return losses.ListNetLoss(model)(inputs, [scores[row] for row in rows]) - unsure
    parts = []  # lists of one length at a time, as there
    for row in rows:
        columns = [[queries[row]], *([passage] for passage in passages[row])]
        parts.append((losses.MarginMSELoss(model)(columns, scores[row][None]), LENGTHS[row] - 1))
    return torch.stack([loss * count for loss, count in parts]).sum() / sum(count for _, count in parts)


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_sentence_transformers(kind: ListLoss) -> None:
    ours, reference = (torch.tensor(LOGITS, dtype=dtype, requires_grad=True) for dtype in (torch.float64, torch.float32))
    loss = terms(kind, ours, torch.tensor(TEACHER, dtype=torch.float64)).mean()
    expected = theirs(kind, reference)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(ours.grad, reference.grad, rtol=1e-4, atol=1e-6)


def by_hand(kind: str, logit_N: Tensor, teacher: list[float]) -> list[Tensor]:
    result = []
    for logits, scores in zip(of_each_list(list(logit_N)), of_each_list(teacher), strict=True):
        negatives = range(1, len(logits))
        scored = [number for number in range(len(logits)) if np.isfinite(scores[number])]
        if kind == "pointwise":
            result += [-torch.sigmoid(logits[0]).log(), *(-torch.sigmoid(-logits[number]).log() for number in negatives)]
        elif kind == "pairwise":
            result += [-torch.sigmoid(logits[0] - logits[number]).log() for number in negatives]
        elif kind == "listwise":
            if len(logits) > 1:
                result.append(torch.logsumexp(torch.stack(logits), 0) - logits[0])
        elif kind == "rank_distillation":
            if len(scored) > 1:
                shares = (torch.tensor([scores[number] for number in scored], dtype=torch.float64) / 2).softmax(0)
                log_shares = torch.stack([logits[number] for number in scored]).log_softmax(0)
                result.append(functional.kl_div(log_shares, shares, reduction="sum"))
        elif 0 in scored:
            result += [((logits[0] - logits[n]) - (scores[0] - scores[n]) / 2) ** 2 for n in scored if n]
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_terms_are_those_written_out_where_a_teacher_scored_only_some(kind: ListLoss) -> None:
    teacher = list(TEACHER)
    for number in (1, 7, 11):  # a sampled negative; the positive of a row; one of three negatives
        teacher[number] = float("nan")
    ours, reference = (torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True) for _ in range(2))
    mine = terms(kind, ours, torch.tensor(teacher, dtype=torch.float64))
    wanted = torch.stack(by_hand(kind, reference, teacher))
    assert len(mine) == len(wanted)
    np.testing.assert_allclose(mine.detach().sort()[0], wanted.detach().sort()[0], rtol=1e-12)
    mine.mean().backward()
    wanted.mean().backward()
    np.testing.assert_allclose(ours.grad, reference.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", TAUGHT)
def test_without_a_score_there_are_no_terms_and_a_gradient_of_nothing(kind: ListLoss) -> None:
    logit_N = torch.tensor(LOGITS, requires_grad=True)
    none = terms(kind, logit_N)
    assert len(none) == 0
    none.sum().backward()
    assert logit_N.grad is not None
    assert not logit_N.grad.any()


def test_lists_have_what_they_have() -> None:
    lists = lists_of(torch.tensor([5.0, 1.0, 7.0]), torch.tensor([1, 0, 1]), torch.tensor([0.5, torch.nan, 2.0]))
    assert isinstance(lists, Lists)
    assert lists.known_bC.tolist() == [[True, True], [True, False]]
    np.testing.assert_array_equal(lists.teacher_bC, [[0.5, np.nan], [2.0, np.nan]])
