from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.rerank import reranking
from xlret.evaluation.sets import RetrievalSet


def made_up(queries: int, passages: int, seed: int) -> tuple[RetrievalSet, np.ndarray, np.ndarray, np.ndarray]:
    """A set with random vectors, and what the reranker will say of each query and passage."""
    random = np.random.default_rng(seed)
    langs = random.choice(["de", "en", "th"], passages).tolist()
    of = RetrievalSet(
        "made up",
        ("de", "en", "th"),
        [f"q{i}" for i in range(queries)],
        random.choice(["de", "en", "th"], queries).tolist(),
        [f"{i}" for i in range(queries)],
        [f"p{i}" for i in range(passages)],
        langs,
        [f"{i}" for i in range(passages)],
        [np.sort(random.choice(passages, random.integers(1, min(4, passages) + 1), replace=False)) for _ in range(queries)],
    )
    vectors = (random.normal(size=(count, 4)).astype(np.float32) for count in (queries, passages))
    return of, *vectors, random.integers(0, 6, (queries, passages)).astype(np.float32)


@given(st.integers(1, 5), st.integers(2, 12), st.integers(1, 14), st.integers(0, 10_000))
def test_the_best_passages_stand_in_the_new_order_above_the_others_in_the_old(
    queries: int, passages: int, depth: int, seed: int
) -> None:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("xlret.evaluation.rerank._PAIRS_AT_ONCE", 7)
    of, query_QD, passage_PD, new_QP = made_up(queries, passages, seed)
    asked: list[int] = []

    def score(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        asked.append(len(pairs))
        return np.array([new_QP[int(query), int(passage)] for query, passage in pairs], np.float32)

    before = evaluate(of, query_QD, passage_PD, depth=passages).retrieved.top_QK
    found = evaluate(of, query_QD, passage_PD, depth=passages, reorder=reranking(of, score, depth))
    monkeypatch.undo()
    assert sum(asked) == queries * min(depth, passages)
    assert max(asked) <= 7
    for query, (old, new) in enumerate(zip(before.tolist(), found.retrieved.top_QK.tolist(), strict=True)):
        top = sorted(old[:depth], key=lambda passage: (-new_QP[query, passage], passage))
        assert new == top + old[depth:]
        ranks = [new.index(passage) + 1 for passage in of.relevant[query]]
        assert found.retrieved.pooled_rank_N[found.retrieved.query_N == query].tolist() == ranks


def test_a_perfect_reranker_is_bounded_by_what_the_encoder_brings_up() -> None:
    of, query_QD, passage_PD, _ = made_up(40, 60, 3)

    def score(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        return np.array([float(int(passage) in of.relevant[int(query)]) for query, passage in pairs], np.float32)

    plain = evaluate(of, query_QD, passage_PD)
    found = evaluate(of, query_QD, passage_PD, reorder=reranking(of, score, 10))
    everything = evaluate(of, query_QD, passage_PD, reorder=reranking(of, score, 60))
    assert plain.mul < found.mul < everything.mul == 1.0
    assert found.pooled["recall@10"] == pytest.approx(plain.pooled["recall@10"])
