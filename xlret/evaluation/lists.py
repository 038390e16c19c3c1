"""Short lists of candidates, each an answer among passages that are none: what a reranker can be measured on within a run.

A reranker reads every pair, so that ranking a whole pool costs queries x passages. A list has one query, the answers to find
and a few passages of other groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xlret.evaluation.metrics import average_precision, mean
from xlret.evaluation.sets import RetrievalSet
from xlret.keys import generator
from xlret.shapes import IntArray

ListKind = Literal["mo", "cr", "mul"]


@dataclass(frozen=True)
class CandidateList:
    """A query and passages to rank, the relevant ones first.

    mo: one answer, all passages in the query's language; cr: one answer, all passages in one other language;
    mul: up to three answers, all languages mixed.
    """

    kind: ListKind
    query: int
    passages: IntArray
    relevant: int
    """How many of the passages answer the query."""


def candidate_lists(retrieval_set: RetrievalSet, negatives: int = 15, seed: int = 0) -> list[CandidateList]:
    """Lists of all three kinds for one query of each group, in a language that is drawn.

    A kind is left out for a query that has no answer of it, or where no other passage is of its languages. Queries of unknown
    groups (`query_groups` empty) all get their lists.

    Args:
        retrieval_set: queries and passages.
        negatives: passages of a list that are no answers, where there are so many.
        seed: of all draws.
    """
    langs = np.array(retrieval_set.passage_langs, dtype=object)
    everything = np.arange(len(langs))
    lists = []
    for query in _query_of_each_group(retrieval_set, seed):
        draw = generator(seed, "lists", retrieval_set.query_ids[query])
        relevant, own = retrieval_set.relevant[query], retrieval_set.query_langs[query]
        others = np.setdiff1d(everything, relevant)
        for kind in ("mo", "cr", "mul"):
            answers = {"mo": relevant[langs[relevant] == own], "cr": relevant[langs[relevant] != own], "mul": relevant}[kind]
            answers = draw.permutation(answers)[: 3 if kind == "mul" else 1]
            around = others if kind == "mul" or not len(answers) else others[langs[others] == langs[answers[0]]]
            wrong = draw.permutation(around)[:negatives]
            if len(answers) and len(wrong):
                lists.append(CandidateList(kind, query, np.concatenate([answers, wrong]), len(answers)))
    return lists


def list_scores(lists: Sequence[CandidateList], scores_N: NDArray[np.float32]) -> dict[str, float]:
    """The mean average precision of each kind of list, NaN for a kind without lists.

    Of passages with equal scores those that are no answers stand first: a reranker that gives all the same gets no credit.

    Args:
        lists: L lists.
        scores_N: the scores of all their passages, one list after the other.

    >>> candidates = CandidateList("mo", 0, np.arange(3), 1)
    >>> list_scores([candidates, candidates], np.array([2, 1, 1, 2, 2, 1], np.float32))["mo"]
    0.75
    """
    values: dict[str, list[float]] = {"mo": [], "cr": [], "mul": []}
    start = 0
    for candidates in lists:
        scores = scores_N[start : start + len(candidates.passages)]
        start += len(candidates.passages)
        is_answer = np.arange(len(scores)) < candidates.relevant
        ranks = np.flatnonzero(is_answer[np.lexsort((is_answer, -scores))]) + 1
        ap = average_precision(np.zeros(len(ranks), np.int64), ranks, np.array([candidates.relevant]))
        values[candidates.kind].append(float(ap[0]))
    assert start == len(scores_N), "a score for each passage of each list"
    return {kind: mean(np.array(kind_values)) for kind, kind_values in values.items()}


def _query_of_each_group(retrieval_set: RetrievalSet, seed: int) -> list[int]:
    """One query of each group, ascending; all queries where groups are not known."""
    if not retrieval_set.query_groups:
        return list(range(len(retrieval_set.query_ids)))
    order = generator(seed, "list queries").permutation(len(retrieval_set.query_ids))
    groups = np.array(retrieval_set.query_groups, dtype=np.str_)[order]
    _, first = np.unique(groups, return_index=True)
    return sorted(order[first].tolist())
