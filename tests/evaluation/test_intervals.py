"""Means with intervals of an evaluation's queries."""

import json
from pathlib import Path

import numpy as np
import pytest

from xlret.errors import UserError
from xlret.evaluation.intervals import macro_interval, read_results


def test_the_interval_is_that_of_a_known_distribution() -> None:
    values_Q = np.random.default_rng(3).normal(0.5, 0.1, 400)
    zeros_Q, query_Q = np.zeros(400, np.int64), np.arange(400)
    mean, low, high = macro_interval(values_Q, zeros_Q, query_Q)
    assert mean == pytest.approx(values_Q.mean())
    assert (low, high) == pytest.approx((mean - 0.0098, mean + 0.0098), abs=1e-3)  # 1.96 * 0.1 / sqrt(400)


def test_a_language_counts_once_and_a_question_is_one_unit() -> None:
    values_Q = np.array([1.0, 0.0, 1.0, 0.0, np.nan])
    lang_Q = np.array([0, 0, 0, 1, 1])
    mean, low, high = macro_interval(values_Q, lang_Q, np.array([0, 1, 2, 3, 4]))
    assert mean == pytest.approx((2 / 3 + 0) / 2)
    assert low < mean < high
    twice_Q = np.tile(np.random.default_rng(0).random(50), 2)  # the same question in two languages tells nothing new
    both = macro_interval(twice_Q, np.repeat([0, 1], 50), np.tile(np.arange(50), 2))
    single = macro_interval(twice_Q[:50], np.zeros(50, np.int64), np.arange(50))
    assert both == pytest.approx(single)
    constant = macro_interval(np.full(3, 0.25), np.zeros(3, np.int64), np.arange(3))
    assert constant == (0.25, 0.25, 0.25)


def test_results_of_a_directory(tmp_path: Path) -> None:
    sets = [{"name": "made", "languages": ["de", "en"], "queries": 3, "passages": 9, "mo": 0.5, "cr": None, "measures": []}]
    (tmp_path / "evaluation.json").write_text(json.dumps({"sets": sets, "benchmark": None, "settings": {"split": "test"}}))
    rows = ["id,lang,group,average_precision,ndcg@10", "made 1,de,1,0.5,", "made 2,en,2,1.0,", "other 3,en,3,0.0,1.0"]
    (tmp_path / "queries.csv").write_text("\n".join(rows) + "\n")
    (result,) = read_results(tmp_path / "evaluation.json")
    assert (result.name, result.split, result.languages, result.mo, result.cr) == ("made", None, ("de", "en"), 0.5, None)
    assert [metric.name for metric in result.metrics] == ["mul"], "a metric without values is none"
    assert result.metrics[0].mean == 0.75
    with pytest.raises(UserError, match=r"nothing/evaluation\.json cannot be read as what xlret evaluate --out writes"):
        read_results(tmp_path / "nothing")
