"""Losses of a reranker: over the logits of each query's own candidates, as many as it happens to have.

Each gives terms, [K] in no order that matters, one for each pair or list; the mean over the terms of all processes is the loss.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from xlret.model.losses.settings import ListLoss


class Lists(NamedTuple):
    """The candidates of b queries, C at most, the positive in column 0."""

    logit_bC: Tensor
    known_bC: Tensor
    """Bool: False where a query has fewer candidates."""
    teacher_bC: Tensor
    """A teacher's scores of the same pairs; NaN where nothing scored them."""


def lists_of(logit_N: Tensor, label_N: Tensor, teacher_N: Tensor | None = None) -> Lists:
    """Lists from pairs that stand one after another, each query's positive (label 1) before its negatives (label 0).

    >>> lists_of(torch.tensor([5.0, 1.0, 2.0, 7.0, 3.0]), torch.tensor([1, 0, 0, 1, 0])).logit_bC.tolist()
    [[5.0, 1.0, 2.0], [7.0, 3.0, 0.0]]
    """
    row_N = label_N.cumsum(0) - 1
    lengths_b = torch.bincount(row_N)
    column_N = torch.arange(len(row_N), device=row_N.device) - (lengths_b.cumsum(0) - lengths_b)[row_N]
    shape = (len(lengths_b), int(lengths_b.max()))
    known_bC = torch.arange(shape[1], device=row_N.device) < lengths_b[:, None]
    logit_bC = logit_N.new_zeros(shape).index_put((row_N, column_N), logit_N)
    teacher_bC = logit_N.new_full(shape, torch.nan)
    if teacher_N is not None:
        teacher_bC = teacher_bC.index_put((row_N, column_N), teacher_N.to(logit_N))
    return Lists(logit_bC, known_bC, teacher_bC)


def pointwise(lists: Lists) -> Tensor:
    """Is this passage the query's, each pair by itself: binary cross-entropy (Nogueira and Cho, 2019). A term a pair."""
    label_bC = torch.zeros_like(lists.logit_bC)
    label_bC[:, 0] = 1
    loss_bC = functional.binary_cross_entropy_with_logits(lists.logit_bC, label_bC, reduction="none")
    return loss_bC[lists.known_bC]


def pairwise(lists: Lists) -> Tensor:
    """Is the positive ahead of this negative: the logistic loss of the difference (RankNet, Burges et al., 2005).

    A term for each negative; a query without one does not count.
    """
    loss_bN = functional.softplus(lists.logit_bC[:, 1:] - lists.logit_bC[:, :1])
    return loss_bN[lists.known_bC[:, 1:]]


def listwise(lists: Lists) -> Tensor:
    """Which of its candidates is the query's: cross-entropy of the softmax over them (ListNet, Cao et al., 2007, with one right
    answer; LCE of Gao, Dai and Callan, 2021). A term a query; one without negatives does not count.
    """
    log_bC = torch.log_softmax(lists.logit_bC.masked_fill(~lists.known_bC, -torch.inf), dim=1)
    return -log_bC[lists.known_bC[:, 1:].any(dim=1), 0]


def margin_mse(lists: Lists, teacher_temperature: float) -> Tensor:
    """The squared difference between this reranker's and the teacher's margin of the positive over a negative
    (Hofstaetter et al., 2020, arXiv 2010.02666). A term for each negative that the teacher scored.
    """
    scored_bC = lists.known_bC & lists.teacher_bC.isfinite()
    margins = [score_bC[:, :1] - score_bC[:, 1:] for score_bC in (lists.logit_bC, lists.teacher_bC / teacher_temperature)]
    kept_bN = scored_bC[:, :1] & scored_bC[:, 1:]
    return (margins[0][kept_bN] - margins[1][kept_bN]).square()


def rank_distillation(lists: Lists, teacher_temperature: float) -> Tensor:
    """KL(softmax of the teacher's scores || softmax of the logits) over the candidates that the teacher scored.

    A term a query; one with fewer than two of those does not count. Source: RocketQAv2 (Ren et al., 2021).
    """
    scored_bC = lists.known_bC & lists.teacher_bC.isfinite()
    counted_b = scored_bC.sum(dim=1) > 1
    hidden_kC = ~scored_bC[counted_b]
    logit_kC, teacher_kC = lists.logit_bC[counted_b], lists.teacher_bC[counted_b] / teacher_temperature
    # Hidden ones become 0 before they are multiplied: an infinite logarithm times a share of 0 is no number.
    log_kC, teacher_log_kC = (
        torch.log_softmax(score_kC.masked_fill(hidden_kC, -torch.inf), dim=1).masked_fill(hidden_kC, 0)
        for score_kC in (logit_kC, teacher_kC)
    )
    return (teacher_log_kC.exp().masked_fill(hidden_kC, 0) * (teacher_log_kC - log_kC)).sum(dim=1)


def make_list_loss(kind: ListLoss, teacher_temperature: float = 1.0) -> Callable[[Lists], Tensor]:
    """The function that gives a loss's terms.

    Args:
        kind: its name.
        teacher_temperature: what a teacher's scores are divided by, of rank_distillation and margin_mse.
    """
    losses: dict[ListLoss, Callable[[Lists], Tensor]] = {
        "pointwise": pointwise,
        "pairwise": pairwise,
        "listwise": listwise,
        "rank_distillation": lambda lists: rank_distillation(lists, teacher_temperature),
        "margin_mse": lambda lists: margin_mse(lists, teacher_temperature),
    }
    return losses[kind]
