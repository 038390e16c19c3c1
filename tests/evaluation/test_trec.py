"""TREC files: what trec_eval makes of them is what we say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trec_eval import evaluated, read_qrels, read_run

from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.trec import strictly_falling, write_qrels, write_run


def test_trec_eval_sees_our_order_in_spite_of_ties(tmp_path: Path, made: Callable[..., Any]) -> None:
    retrieval_set, queries, passages = made(2, groups=20)
    evaluation = evaluate(retrieval_set, queries, passages, depth=len(passages))
    write_run(tmp_path / "run.trec", retrieval_set, evaluation.retrieved)
    write_qrels(tmp_path / "qrels.trec", retrieval_set)
    run, qrels = read_run(tmp_path / "run.trec"), read_qrels(tmp_path / "qrels.trec")
    theirs = evaluated(qrels, run)
    assert len(theirs) == sum(len(answers) > 0 for answers in retrieval_set.relevant)
    for query_id, value in zip(retrieval_set.query_ids, evaluation.values_Q["mul"], strict=True):
        if not np.isnan(value):
            assert theirs[query_id]["mul"] == pytest.approx(value, abs=1e-9)


def test_the_lines_are_trecs_and_end_at_the_depth(tmp_path: Path, made: Callable[..., Any]) -> None:
    retrieval_set, queries, passages = made(2)
    evaluation = evaluate(retrieval_set, queries, passages, depth=5)
    write_run(tmp_path / "run.trec", retrieval_set, evaluation.retrieved, depth=3, tag="mine")
    lines = [line.split(" ") for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert len(lines) == 3 * len(retrieval_set.query_ids)
    assert [line[3] for line in lines[:4]] == ["1", "2", "3", "1"]
    assert {(line[1], line[5]) for line in lines} == {("Q0", "mine")}
    best = evaluation.retrieved.top_QK[0]
    assert [line[2] for line in lines[:3]] == [retrieval_set.passage_ids[passage] for passage in best[:3]]
    assert np.float32(lines[0][4]) == evaluation.retrieved.top_scores_QK[0, 0]


def test_white_space_in_ids_is_written_so_that_columns_hold(tmp_path: Path, made: Callable[..., Any]) -> None:
    retrieval_set, queries, passages = made(2)
    odd = replace(retrieval_set, passage_ids=[f"a b\u3000%{passage}" for passage in range(len(retrieval_set.passage_ids))])
    write_qrels(tmp_path / "qrels.trec", odd)
    write_run(tmp_path / "run.trec", odd, evaluate(odd, queries, passages, depth=2).retrieved)
    names = {name for row in read_run(tmp_path / "run.trec").values() for name in row}
    assert names <= {f"a%20b%E3%80%80%25{passage}" for passage in range(len(retrieval_set.passage_ids))}
    assert names
    assert read_qrels(tmp_path / "qrels.trec")


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=30))
def test_scores_fall_strictly_and_hardly_move(scores: list[float]) -> None:
    falling = np.sort(np.array(scores, np.float32))[::-1]
    written = strictly_falling(falling)
    assert (np.diff(written) < 0).all()
    np.testing.assert_allclose(written, falling, atol=1e-5)
    assert written[0] == falling[0]
