"""Mixed pools: their language-aware measures worked by hand, and the same texts as other pools."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlret.commands.app import main
from xlret.errors import UserError
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.pool_measures import POOL_MEASURES
from xlret.evaluation.pools import as_pools, merged
from xlret.evaluation.retrieve import NOT_RETRIEVED, passage_of_columns
from xlret.evaluation.sets import Judgements, RetrievalSet, relevant_of
from xlret.shapes import FloatMatrix, IntArray


def ranked_set(orders: list[list[int]], langs: list[str], query_langs: list[str], grades: list[dict[int, float]]) -> Any:
    """A set, and vectors that give each query exactly the order of passages that is written down."""
    size = len(langs)
    judgements = [Judgements(np.array(sorted(row), np.int64), np.array([row[p] for p in sorted(row)])) for row in grades]
    retrieval_set = RetrievalSet(
        "hand",
        tuple(sorted({*langs, *query_langs})),
        [f"q{row}" for row in range(len(orders))],
        query_langs,
        [""] * len(orders),
        [f"p{passage}" for passage in range(size)],
        langs,
        [""] * size,
        relevant_of(judgements),
        judgements=judgements,
    )
    scores = np.zeros((len(orders), size), np.float32)
    for row, order in enumerate(orders):
        scores[row, order] = size - np.arange(size)
    return retrieval_set, scores, np.eye(size, dtype=np.float32)


def test_every_measure_by_hand() -> None:
    """Passages 0-9 are English, 10-19 German. Query 0 is English: its answers 0 (en), 10 and 11 (de) stand at 3, 1 and 12."""
    langs = ["en"] * 10 + ["de"] * 10
    order = [10, 1, 0, 2, 3, 4, 5, 6, 7, 8, 12, 11, 9, 13, 14, 15, 16, 17, 18, 19]
    german = [10, 0, *range(11, 20), *range(1, 10)]  # query 1 is German: its answers 0 (en, grade 2) and 10 (de, grade 2) lead
    made = ranked_set([order, german], langs, ["en", "de"], [{0: 1, 10: 1, 11: 1, 5: 0}, {0: 2, 10: 2}])
    evaluation = evaluate(*made, depth=10)
    values = {name: evaluation.values_Q[name].tolist() for name in POOL_MEASURES}
    assert values["recall_same@10"] == [1, 1]
    assert values["recall_cross@10"] == [0.5, 1]
    assert values["comp@10"] == [1, 1]  # an English and a German answer are within ten
    assert values["max_rank"] == [3, 2]  # the best German one at 1, the English one at 3
    assert values["max_rank_log"] == pytest.approx([log(3 / 2) / log(20 / 2), 0])
    assert values["tlr@10"] == pytest.approx([0.9 / 0.5, 0.9 / 0.5])
    assert values["lpr"] == [0.5, 1]  # English before one of two German answers; German before the English one
    discount = 1 / np.log2(np.arange(2, 22))
    gained = (0.5 * discount[0] + 1 * discount[2]) / (1 * discount[0] + 0.5 * discount[1] + 0.5 * discount[2])
    assert values["lang_ndcg@10"] == pytest.approx([gained, 1])
    assert evaluation.pool["recall_cross@10"] == 0.75
    row = evaluation.by_language["en"]
    assert row["to_pool@10"] == pytest.approx(0.4)  # nine English of ten, half of the pool
    assert row["to_relevant@10"] == pytest.approx(0.9 - 1 / 3)
    assert evaluation.pool["to_pool@10"] == pytest.approx(0.4)
    asked = evaluate(replace(made[0], languages=("de", "en", "fr")), *made[1:], depth=10)
    assert np.isnan(asked.by_language["fr"]["to_pool@10"])  # nobody asks in French: not averaged in
    assert asked.pool == pytest.approx(evaluation.pool)


def test_what_says_nothing_is_left_out() -> None:
    made = ranked_set([[0, 1], [1, 0], [0, 1]], ["en", "de"], ["en", "fr", "de"], [{0: 1}, {0: 1, 1: 1}, {1: 0}])
    evaluation = evaluate(*made)
    assert np.isnan(evaluation.values_Q["recall_cross@10"][0])  # no answer in another language
    assert np.isnan(evaluation.values_Q["recall_same@10"][1])  # none in French
    assert np.isnan(evaluation.values_Q["lpr"][[0, 1, 2]]).all()
    assert np.isnan(evaluation.values_Q["comp@10"][2])  # nothing relevant
    assert np.isnan(evaluation.values_Q["tlr@10"]).all()  # no list was kept
    assert np.isnan(evaluation.pool["to_pool@10"])
    alone = ranked_set([[0, 1]], ["en", "en"], ["de"], [{0: 1}])
    assert evaluate(*alone, depth=2).pool == {}


def test_what_was_not_retrieved_is_within_no_cut_off() -> None:
    """Of four passages query 0 gets the English answer alone, query 1 nothing: they would all be within ten."""
    made = ranked_set([[0, 2, 1, 3]] * 2, ["en", "en", "de", "de"], ["en", "en"], [{0: 1, 2: 1}] * 2)

    def reorder(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        passage_of = passage_of_columns(made[0].passage_langs, columns)
        is_retrieved_BP = (rows[:, None] == 0) & (passage_of == 0)
        return np.where(is_retrieved_BP, scores_BP, NOT_RETRIEVED).astype(np.float32)

    values = evaluate(*made, depth=4, reorder=reorder).values_Q
    for name in ("recall_cross@10", "comp@10"):
        assert values[name].tolist() == [0, 0]
    assert values["recall_same@10"].tolist() == [1, 0]
    assert values["lang_ndcg@10"].tolist() == pytest.approx([1 / (1 + 0.5 / np.log2(3)), 0])
    assert values["lpr"].tolist() == pytest.approx([1, np.nan], nan_ok=True)
    assert values["rank_distance"].tolist() == pytest.approx([2, np.nan], nan_ok=True)  # from 1 to the mean of 2, 3 and 4
    assert values["max_rank"].tolist() == [3, 2]


def test_a_fair_ranking_is_fair() -> None:
    """Random scores over a pool of equal languages: no preference, up to chance."""
    rng = np.random.default_rng(0)
    langs = ["en", "de"] * 200
    grades = [{2 * query: 1.0, 2 * query + 1: 1.0} for query in range(200)]
    retrieval_set, _, _ = ranked_set([list(range(400))] * 200, langs, ["en", "de"] * 100, grades)
    scores = rng.normal(size=(200, 400)).astype(np.float32)
    pool = evaluate(retrieval_set, scores, np.eye(400, dtype=np.float32), depth=10).pool
    assert pool["lpr"] == pytest.approx(0.5, abs=0.1)
    assert pool["tlr@10"] == pytest.approx(1, abs=0.1)
    assert pool["to_pool@10"] < 0.05
    biased = scores + 3 * (np.array(["en", "de"] * 100)[:, None] == np.array(langs)[None, :])
    pool = evaluate(retrieval_set, biased.astype(np.float32), np.eye(400, dtype=np.float32), depth=10).pool
    assert pool["lpr"] > 0.95
    assert pool["tlr@10"] > 1.9
    assert pool["to_pool@10"] > 0.45


def test_parts_have_the_numbers_of_the_matrix_and_make_the_whole_again(made: Callable[..., Any]) -> None:
    whole, queries, passages = made(3)
    evaluation = evaluate(whole, queries, passages)
    row_of = {query_id: row for row, query_id in enumerate(whole.query_ids)}
    column_of = {passage_id: column for column, passage_id in enumerate(whole.passage_ids)}
    for pool, cells in (("mono", 3), ("cross", 6)):
        parts = list(as_pools([whole], pool))  # type: ignore[arg-type]
        assert len(parts) == cells
        for part in parts:
            query_lang, passage_lang = part.name.split("/")[1].split("-")
            assert (set(part.query_langs), set(part.passage_langs)) == ({query_lang}, {passage_lang})
            rows = [row_of[query_id] for query_id in part.query_ids]
            columns = [column_of[passage_id] for passage_id in part.passage_ids]
            number = evaluate(part, queries[rows], passages[columns]).mul
            assert number == pytest.approx(evaluation.matrix[query_lang][passage_lang])
    separate = [replace(part, query_groups=[]) for part in as_pools([whole], "mono")]
    together = merged([separate[0], *(replace(part, caution="another version") for part in separate[1:])])
    assert together.caution == "another version"  # said once, of whichever set it is
    assert sorted(together.passage_ids) == sorted(whole.passage_ids)
    answers = {
        query: {together.passage_ids[p] for p in rows}
        for query, rows in zip(together.query_ids, together.relevant, strict=True)
    }
    assert all(answers[query] <= {whole.passage_ids[p] for p in whole.relevant[row_of[query]]} for query in answers)
    with pytest.raises(UserError, match=r"cannot be one pool: .*an id is there twice"):
        merged([whole, whole])
    alone = ranked_set([[0, 1]], ["en", "en"], ["de"], [{0: 1}])[0]
    with pytest.raises(UserError, match="no query has a judged passage for pool mono"):
        list(as_pools([alone], "mono"))


def test_a_pool_by_name(tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--encoder", str(encoder), "--corpus", str(corpora / "dev"), "--languages", "en", "de", "--run-depth", "0"]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "whole")]) == 0
    assert "languages in the pooled ranking" in capsys.readouterr().out
    assert main(["evaluate", *arguments, "--pool", "cross", "--out", str(tmp_path / "cross")]) == 0
    whole, cross = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("whole", "cross"))
    assert [each["name"].split("/")[-1] for each in cross["sets"]] == ["de-en", "en-de"]
    assert cross["mul"] == pytest.approx(whole["cr"], abs=1e-6)
    assert whole["sets"][0]["pool"]["lpr"] == whole["means"]["macro"]["lpr"]
    assert cross["sets"][0]["pool"] == {}
    assert "Languages in the pooled ranking" in (tmp_path / "whole" / "report.html").read_text()
