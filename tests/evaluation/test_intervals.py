"""Means with intervals of an evaluation's queries."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlret.errors import UserError
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.intervals import read_results
from xlret.evaluation.mean_intervals import macro_interval, mean_intervals
from xlret.evaluation.report import number
from xlret.evaluation.save import write_evaluation
from xlret.evaluation.sets import set_fingerprint


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


def test_every_mean_of_an_evaluation_has_its_interval(made: Callable[..., Any]) -> None:
    retrieval_set, queries_QD, passages_PD = made(1, groups=60)
    evaluation = evaluate(retrieval_set, queries_QD, passages_PD, depth=10, correlation=True)
    intervals = mean_intervals(retrieval_set, evaluation)
    assert intervals.keys() >= {
        *evaluation.pooled,
        *evaluation.pool.keys() - {"to_pool@10", "to_relevant@10"},
        "mo",
        "cr",
        "mrc",
    }
    expected = {"mo": evaluation.mo, "cr": evaluation.cr, "mrc": evaluation.rank_correlation, **evaluation.pooled}
    for name, mean in expected.items():
        assert intervals[name].macro.mean == pytest.approx(mean), name
        assert intervals[name].macro.low <= mean <= intervals[name].macro.high
    for name, value in evaluation.micro_means.items():
        if name in intervals:
            assert intervals[name].micro.mean == pytest.approx(value)
    for lang, numbers in evaluation.by_language.items():
        for name in ("mul", "mo", "cr", "rank_distance"):
            assert intervals[name].by_language[lang].mean == pytest.approx(numbers[name])
    group_Q = np.unique(retrieval_set.query_groups, return_inverse=True)[1]
    lang_Q = np.unique(retrieval_set.query_langs, return_inverse=True)[1]
    mean, low, high = macro_interval(evaluation.values_Q["mul"], lang_Q, group_Q, seed=4)  # other draws of the same
    assert intervals["mul"].macro[1:] == pytest.approx((low, high), abs=0.1 * (high - low))
    own_Q = evaluation.ap_QL[np.arange(len(lang_Q)), lang_Q]
    mean, low, high = macro_interval(own_Q, lang_Q, group_Q, seed=5)
    assert intervals["mo"].macro == pytest.approx((mean, low, high), abs=0.1 * (high - low))
    assert np.isnan(intervals["mo"].micro.mean)


def test_tables_of_an_evaluation_hold_every_mean(tmp_path: Path, made: Callable[..., Any]) -> None:
    retrieval_set, queries_QD, passages_PD = made(1)
    evaluation = evaluate(retrieval_set, queries_QD, passages_PD, depth=10)
    write_evaluation(tmp_path / "out", [(retrieval_set, evaluation)], {}, title="a_b", settings="")
    rows = list(csv.DictReader((tmp_path / "out" / "evaluation.csv").open()))
    (macro,) = (row for row in rows if (row["measure"], row["mean_of"]) == ("mul", "macro"))
    assert float(macro["mean"]) == evaluation.mul
    assert float(macro["low"]) < evaluation.mul < float(macro["high"])
    assert {row["mean_of"] for row in rows if row["measure"] == "mul"} == {"macro", "micro", *evaluation.languages}
    markdown = (tmp_path / "out" / "evaluation.md").read_text()
    assert f"| macro mean | {evaluation.queries} | {number(evaluation.mo)} |" in markdown
    assert "95 % from" in markdown
    latex = (tmp_path / "out" / "evaluation.tex").read_text()
    assert f"{number(evaluation.mul)} {{\\scriptsize [" in latex
    assert r"\caption{a\_b." in latex
    page = (tmp_path / "out" / "report.html").read_text()
    assert "95 % from" in page
    assert "Languages among the first ten of all queries, in the pool, and among the relevant passages" in page


def test_shares_of_languages_are_counted(made: Callable[..., Any]) -> None:
    retrieval_set, queries_QD, passages_PD = made(1)
    evaluation = evaluate(retrieval_set, queries_QD, passages_PD, depth=10)
    top = [retrieval_set.passage_langs[passage] for row in evaluation.retrieved.top_QK[:, :10] for passage in row]
    relevant = [retrieval_set.passage_langs[passage] for passages in retrieval_set.relevant for passage in passages]
    for name, langs in (("top", top), ("pool", retrieval_set.passage_langs), ("relevant", relevant)):
        for lang in evaluation.languages:
            assert evaluation.shares[name][lang] == pytest.approx(langs.count(lang) / len(langs))


def test_a_sets_fingerprint_is_of_its_texts_and_judgements(made: Callable[..., Any]) -> None:
    retrieval_set = made(1)[0]
    first = set_fingerprint(retrieval_set)
    assert first == set_fingerprint(made(1)[0])
    texts = [*retrieval_set.passage_texts[:-1], "changed"]
    relevant = [*retrieval_set.relevant[:-1], retrieval_set.relevant[-1][:0]]
    others = (replace(retrieval_set, passage_texts=texts), replace(retrieval_set, relevant=relevant))
    assert len({first, *map(set_fingerprint, others)}) == 3
