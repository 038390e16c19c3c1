"""Exact search against an oracle that sorts everything, on scores with ties and on equal vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlret.evaluation import retrieve as module
from xlret.evaluation.retrieve import retrieve


def oracle(queries, passages, relevant, langs):  # type: ignore[no-untyped-def]
    """Pooled ranks, ranks within the language, and whole rankings, one query and passage after the other."""
    pooled, own, rankings = [], [], []
    for query, answers in zip(queries, relevant, strict=True):
        scores = [float(query @ one) for one in passages]
        ranking = sorted(range(len(passages)), key=lambda one: (-scores[one], one))
        rankings.append(ranking)
        for answer in answers:
            pooled.append(ranking.index(answer) + 1)
            own.append([one for one in ranking if langs[one] == langs[answer]].index(answer) + 1)
    return pooled, own, rankings


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_ranks_and_best_passages_are_those_of_a_full_sort(seed: int, block: int, mixed: bool) -> None:
    rng = np.random.default_rng(seed)
    passages = rng.integers(-1, 2, (25, 3)).astype(np.float32)  # exact scores, many of them equal, many equal vectors
    queries = rng.integers(-1, 2, (9, 3)).astype(np.float32)
    langs = [str(one) for one in (rng.integers(0, 3, 25) if mixed else np.zeros(25, int))]
    relevant = [rng.permutation(25)[: rng.integers(0, 6)].astype(np.int64) for _ in queries]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_SCORES", block)
        found = retrieve(queries, passages, relevant, langs, depth=7)
    pooled, own, rankings = oracle(queries, passages, relevant, langs)
    assert found.pooled_rank_N.tolist() == pooled
    assert found.own_rank_N.tolist() == own
    assert found.top_QK.tolist() == [ranking[:7] for ranking in rankings]
    assert found.passage_N.tolist() == [one for answers in relevant for one in answers]
    for query, best, scores in zip(queries, found.top_QK, found.top_scores_QK, strict=True):
        assert scores.tolist() == (passages[best] @ query).tolist()


def test_real_scores_agree_with_the_oracle(made: Callable[..., Any]) -> None:
    one, queries, passages = made(5, groups=30, ties=False)
    found = retrieve(queries, passages, one.relevant, one.passage_langs, depth=10)
    pooled, own, rankings = oracle(queries, passages, one.relevant, one.passage_langs)
    assert found.pooled_rank_N.tolist() == pooled
    assert found.own_rank_N.tolist() == own
    assert found.top_QK.tolist() == [ranking[:10] for ranking in rankings]


@pytest.mark.parametrize("n_queries", [1, 2, 37])
def test_equal_vectors_tie_exactly_in_any_column(n_queries: int) -> None:
    """Matrix products round the last columns of a block in another way; equal passages must tie all the same."""
    rng = np.random.default_rng(0)
    passages = np.repeat(rng.normal(size=(9, 96)), 59, axis=0).astype(np.float32)
    queries = rng.normal(size=(n_queries, 96)).astype(np.float32)
    found = retrieve(queries, passages, [np.arange(531)] * n_queries, ["en"] * 531)
    ranks = found.pooled_rank_N.reshape(n_queries, 9, 59)
    assert (np.diff(ranks, axis=2) == 1).all()  # side by side, by index


def test_more_asked_for_than_there_is() -> None:
    found = retrieve(np.ones((1, 2), np.float32), np.ones((3, 2), np.float32), [np.array([2])], ["en"] * 3, depth=50)
    assert found.top_QK.tolist() == [[0, 1, 2]]
    assert found.pooled_rank_N.tolist() == [3]


def test_no_queries_and_no_relevant_passages() -> None:
    nothing = retrieve(np.ones((0, 2), np.float32), np.ones((3, 2), np.float32), [], ["en"] * 3, depth=2)
    assert nothing.top_QK.shape == (0, 2)
    found = retrieve(np.ones((2, 2), np.float32), np.ones((3, 2), np.float32), [np.empty(0, np.int64)] * 2, ["en"] * 3)
    assert not found.pooled_rank_N.size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries_QD": np.full((1, 2), np.nan, np.float32)}, "query vectors hold NaN or infinity in row 0"),
        ({"passages_PD": np.ones((3, 5), np.float32)}, "2 dimensions and passage vectors 5"),
        ({"passages_PD": np.ones(3, np.float32)}, "must be"),
        ({"relevant": [np.array([3])]}, "outside 0 to 2"),
        ({"relevant": [np.array([-1])]}, "outside 0 to 2"),
        ({"relevant": []}, "a row for each query"),
        ({"passage_langs": ["en"]}, "one for each passage"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    fits: dict[str, Any] = {
        "queries_QD": np.ones((1, 2), np.float32),
        "passages_PD": np.ones((3, 2), np.float32),
        "relevant": [np.array([0])],
        "passage_langs": ["en"] * 3,
    }
    with pytest.raises(ValueError, match=message):
        retrieve(**{**fits, **change})
