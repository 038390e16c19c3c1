"""Reports say what the evaluation says, in every form."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from xlret.errors import DataError, UserError
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.mean_intervals import Intervals, mean_intervals
from xlret.evaluation.report import (
    as_json,
    as_markdown,
    language_rows,
    matrix_rows,
    number,
    print_comparison,
    print_differences,
    print_evaluation,
)
from xlret.evaluation.report_html import heat_map, page
from xlret.evaluation.save import read_scores, scores_of, write_evaluation
from xlret.evaluation.significance import compare


@pytest.fixture
def found(made: Callable[..., Any]) -> Evaluation:
    return evaluate(*made(1, groups=20))


@pytest.fixture
def ends(made: Callable[..., Any], found: Evaluation) -> Intervals:
    return mean_intervals(made(1, groups=20)[0], found, samples=50)


def shown(write: Callable[[Console], None]) -> str:
    """What is printed on a terminal of 80 columns."""
    text = StringIO()
    write(Console(file=text, width=80))
    return text.getvalue()


def test_the_tables_fit_a_terminal_and_hold_every_language(found: Evaluation, ends: Intervals) -> None:
    text = shown(lambda console: print_evaluation(found, held_out=["th"], intervals=ends, console=console))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for lang in ("de", "en", "th*"):
        assert re.search(rf"^{re.escape(lang)} ", text, re.M)
    assert f"{found.mo:.4f}"[1:] in text
    assert f"{found.matrix['de']['en']:.3f}"[1:] in text
    assert f"{found.rank_distance:.1f}" in text
    assert re.search(rf"^95 % from .*{re.escape(number(ends['mul'].macro.low))}", text, re.M)
    assert re.search(rf"^95 % to .*{re.escape(number(ends['mul'].micro.high))}", text, re.M)


def test_a_comparison_has_a_row_an_encoder_and_the_held_out_languages_apart(found: Evaluation) -> None:
    other = replace(found, mo=0.25)
    encoders = {"untrained [x]": other, "trained": found}
    text = shown(lambda console: print_comparison(encoders, held_out=["th"], console=console))
    assert "untrained [x]" in text
    assert ".2500" in text
    assert "held out of training: th" in text
    assert f"{found.means_over(['th'])['cr']:.4f}"[1:] in text.split("held out")[1]
    assert "held out" not in shown(lambda console: print_comparison(encoders, held_out=["xx"], console=console))


def test_json_is_plain_and_has_no_nan(made: Callable[..., Any]) -> None:
    one, queries, passages = made(1)
    found = evaluate(replace(one, languages=(*one.languages, "zz")), queries, passages)
    value = as_json(found)
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["matrix"]["zz"]["zz"] is None
    assert value["mo"] == found.mo
    assert set(value["by_language"]["en"]) >= {"queries", "mo", "cr", "mul", "rank_distance", "ndcg@10"}


def test_markdown_has_a_row_a_language_and_the_mean(found: Evaluation) -> None:
    lines = as_markdown(*language_rows(found)).splitlines()
    assert len(lines) == 2 + 3 + 2  # macro and micro mean
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert as_markdown(*matrix_rows(found)).count("\n") == 1 + 3


def test_the_page_stands_alone_and_is_escaped(found: Evaluation) -> None:
    odd = replace(found, name="<script>alert(1)</script>")
    text = page("a & b", [odd], held_out=["th"], settings="<x>", comparison=(["n"], [["<i>"]]))
    assert "<script" not in text
    assert "<x>" not in text
    assert "<i>" not in text
    assert "a &amp; b" in text
    assert not re.search(r"(src|href)=", text)
    assert f"{found.matrix['de']['en']:.3f}" in text


def test_the_heat_map_is_darkest_where_map_is_highest(found: Evaluation) -> None:
    cells = [cell for row in heat_map(found.matrix) for cell in row]
    assert len(cells) == 9
    by_value = sorted(cells, key=lambda cell: float(cell.text))
    assert [cell.lightness for cell in by_value] == sorted((cell.lightness for cell in cells), reverse=True)
    assert by_value[-1].lightness == 35
    written = re.findall(r"hsl\(215,65%,(\d+)%\).*?>([\d.]+)<", page("t", [found]))
    assert written[:9] == [(str(cell.lightness), cell.text) for cell in cells]
    for name in ("ndcg@10", "mrr@10", "recall@10"):
        assert f"{name} of queries in (row) over passages in (column)" in page("t", [found])


def test_an_evaluation_is_written_whole_and_read_back_for_comparison(tmp_path: Path, made: Callable[..., Any]) -> None:
    one, queries, passages = made(1)
    odd = replace(one, query_groups=[f'a,"{group}' for group in one.query_groups])
    found = evaluate(odd, queries, passages, depth=4)
    done = [(odd, found), (replace(odd, name="second/set"), found)]
    write_evaluation(tmp_path / "out", done, {"mo": float("nan")}, title="t", settings="s", run_depth=4)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"evaluation.json", "report.html", "queries.csv", "made-1.qrels.trec", "second-set.run.trec"} <= names
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == {"mo": None}
    scores, again = scores_of(done), read_scores(tmp_path / "out" / "evaluation.json")
    assert len(again) == 2 * len(one.query_ids)
    assert all(repr(again[key]) == repr(score) for key, score in scores.items())  # repr: NaN is not equal to itself
    text = shown(lambda console: print_differences(compare(again, scores), console=console))
    assert "+0.0000 to +0.0000" in text
    with pytest.raises(UserError, match="exists already"):
        write_evaluation(tmp_path / "out", done, {}, title="t", settings="s")


def test_nothing_to_compare_with_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*queries\.csv"):
        read_scores(tmp_path / "evaluation.json")
    (tmp_path / "queries.csv").write_text("id,average_precision\nq,much\n")
    with pytest.raises(DataError, match=r"queries\.csv:2: not a row"):
        read_scores(tmp_path / "evaluation.json")


def test_what_is_wrong_with_the_data_is_said(found: Evaluation, ends: Intervals) -> None:
    faults = {
        "skipped": 2,
        "unanswered": 3,
        "short": {"fewer than 10": 4},
        "tied": 5,
        "left_out": {"passages that came before with equal text": 6},
        "caution": "not the published files by their checksums: en.json",
    }
    text = " ".join(shown(lambda console: print_evaluation(replace(found, **faults), intervals=ends, console=console)).split())
    for sentence in (
        "2 queries without an answer left out",
        "3 queries of which all judged passages are not relevant count 0",
        "4 queries have fewer than 10 results",
        "in 5 queries an answer is tied with another passage",
        "left out: 6 passages that came before with equal text",
        "caution: not the published files by their checksums: en.json",
    ):
        assert sentence in text
    assert "left out" not in shown(lambda console: print_evaluation(replace(found, skipped=0, left_out={}), console=console))
