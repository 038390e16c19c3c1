"""TREC files: what trec_eval makes of them is what we say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from xlret.errors import DataError, UserError
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.trec import read_qrels, read_run, strictly_falling, write_qrels, write_run


def test_trec_eval_sees_our_order_in_spite_of_ties(tmp_path: Path, made: Callable[..., Any]) -> None:
    one, queries, passages = made(2, groups=20)
    found = evaluate(one, queries, passages, depth=len(passages))
    write_run(tmp_path / "run.trec", one, found.retrieved)
    write_qrels(tmp_path / "qrels.trec", one)
    run, qrels = read_run(tmp_path / "run.trec"), read_qrels(tmp_path / "qrels.trec")
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map", "recip_rank"}).evaluate(run)
    assert len(theirs) == sum(len(answers) > 0 for answers in one.relevant)
    for query_id, value in zip(one.query_ids, found.values_Q["mul"], strict=True):
        if not np.isnan(value):
            assert theirs[query_id]["map"] == pytest.approx(value, abs=1e-9)


def test_the_lines_are_trecs_and_end_at_the_depth(tmp_path: Path, made: Callable[..., Any]) -> None:
    one, queries, passages = made(2)
    found = evaluate(one, queries, passages, depth=5)
    write_run(tmp_path / "run.trec", one, found.retrieved, depth=3, tag="mine")
    lines = [line.split(" ") for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert len(lines) == 3 * len(one.query_ids)
    assert [line[3] for line in lines[:4]] == ["1", "2", "3", "1"]
    assert {(line[1], line[5]) for line in lines} == {("Q0", "mine")}
    best = found.retrieved.top_QK[0]
    assert [line[2] for line in lines[:3]] == [one.passage_ids[place] for place in best[:3]]
    assert np.float32(lines[0][4]) == found.retrieved.top_scores_QK[0, 0]


def test_white_space_in_ids_is_written_so_that_columns_hold(tmp_path: Path, made: Callable[..., Any]) -> None:
    one, queries, passages = made(2)
    odd = replace(one, passage_ids=[f"a b\u3000%{place}" for place in range(len(one.passage_ids))])
    write_qrels(tmp_path / "qrels.trec", odd)
    write_run(tmp_path / "run.trec", odd, evaluate(odd, queries, passages, depth=2).retrieved)
    names = {name for row in read_run(tmp_path / "run.trec").values() for name in row}
    assert names <= {f"a%20b%E3%80%80%25{place}" for place in range(len(one.passage_ids))}
    assert names
    assert read_qrels(tmp_path / "qrels.trec")


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=30))
def test_scores_fall_strictly_and_hardly_move(scores: list[float]) -> None:
    falling = np.sort(np.array(scores, np.float32))[::-1]
    written = strictly_falling(falling)
    assert (np.diff(written) < 0).all()
    np.testing.assert_allclose(written, falling, atol=1e-5)
    assert written[0] == falling[0]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_run, "q Q0 p 1 0.5\n", "run:1: 5 columns; needed are 6"),
        (read_run, "q Q0 p 1 half t\n", "score 'half' is not a number"),
        (read_run, "q Q0 p 1 2 t\n\nq Q0 p 2 1 t\n", "run:3: passage 'p' is there twice for query 'q'"),
        (read_qrels, "q 0 p 1.5\n", "grade '1.5' is not a whole number"),
        (read_qrels, "q p 1\n", "3 columns; needed are 4"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, read: Callable[[Path], Any], text: str, message: str) -> None:
    (tmp_path / "run").write_text(text)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "run")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        read_run(tmp_path / "nowhere")


def test_grades_and_scores_are_read(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q 0 a 2\nq 0 b -1\n")
    (tmp_path / "run").write_text("q Q0 a 1 2.5 t\nq\tQ0 b 2 1e-3 t\n")
    assert read_qrels(tmp_path / "qrels") == {"q": {"a": 2, "b": -1}}
    assert read_run(tmp_path / "run") == {"q": {"a": 2.5, "b": 0.001}}
