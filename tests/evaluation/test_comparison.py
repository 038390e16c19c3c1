"""Comparing systems: scipy's numbers where scipy has them, seeds as a source of chance, and tables that say what marks mean."""

import csv
import re
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import bootstrap, ttest_rel

from xlret.commands.app import main
from xlret.errors import UserError
from xlret.evaluation.comparison import Comparison, System, compare_systems, read_system
from xlret.evaluation.comparison_files import print_comparison
from xlret.evaluation.comparison_table import as_csv, explanation, latex, markdown, marks, system_rows
from xlret.evaluation.significance import randomisation_test

RNG = np.random.default_rng(5)
BASE = RNG.uniform(0.2, 0.8, 300)


def system(name: str, *runs: Any, column: str = "average_precision", languages: int = 1) -> System:
    """Values of questions, each asked in some languages with the same value."""
    ids = [(f"{lang}/{row}", str(row)) for lang in range(languages) for row in range(len(runs[0]))]
    tables = [{column: {query: float(values[int(group)]) for query, group in ids}} for values in runs]
    return System(name, tables, dict(ids))


def compared(*systems: System, measures: tuple[str, ...] = ("mul",)) -> Comparison:
    return compare_systems(systems, measures)


def test_one_seed_each_has_the_numbers_of_scipy() -> None:
    other = BASE + RNG.normal(0.02, 0.1, 300)
    result = compared(system("a", other), system("b", BASE))
    (test,) = result.tests
    assert test.difference == pytest.approx((other - BASE).mean())
    assert test.p_t == pytest.approx(ttest_rel(other, BASE).pvalue)
    assert test.p_permutation == pytest.approx(randomisation_test(other, BASE), abs=2e-3)  # questions in another order
    assert test.p_holm == test.p_permutation
    theirs = bootstrap((other - BASE,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1))
    assert (test.low, test.high) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-3)
    mean = bootstrap((BASE,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1))
    assert (result.means[1].low, result.means[1].high) == pytest.approx(tuple(mean.confidence_interval), abs=3e-3)
    assert test.p_bootstrap == pytest.approx(test.p_t, abs=0.01)


def test_a_question_in_several_languages_counts_once() -> None:
    other = BASE + RNG.normal(0.01, 0.1, 300)
    alone = compared(system("a", other), system("b", BASE))
    several = compared(system("a", other, languages=7), system("b", BASE, languages=7))
    assert several.queries == 7 * alone.queries
    assert several.units == alone.units == {"mul": 300}
    assert several.tests[0].p_t == pytest.approx(alone.tests[0].p_t)
    assert several.tests[0].p_permutation == alone.tests[0].p_permutation


def test_a_difference_that_another_seed_would_undo_does_not_stand() -> None:
    """Seeds move the whole system by .05; systems differ by .02 in the mean of their seeds, surely over questions alone."""
    shifts = np.array([-0.05, 0.0, 0.05])
    a, b = ([BASE + centre + shift for shift in shifts] for centre in (0.02, 0.0))
    over_seeds = compared(system("a", *a), system("b", *b))
    (test,) = over_seeds.tests
    assert test.p_permutation < 0.001  # every question is better: a test over questions is sure
    assert test.p_bootstrap > 0.2
    assert test.p_holm == test.p_bootstrap
    assert test.winner is None
    spread = np.sqrt(2 * shifts.var() / 3)  # of the difference of means of three drawn seeds each; questions move together
    assert test.high - test.low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert over_seeds.means[0].spread == pytest.approx(0.05)
    assert any("3 seeds" in sentence for sentence in explanation(over_seeds))
    clear = compared(system("a", *[values + 0.3 for values in a]), system("b", *b))
    assert clear.tests[0].winner == "a"


def test_holm_is_over_all_pairs_and_measures() -> None:
    noise = [BASE + RNG.normal(shift, 0.2, 300) for shift in (0, 0.03, 0.03)]
    systems = [
        System(
            name,
            [{"average_precision": dict(enumerate(values)), "rank_distance": dict(enumerate(100 * values))}],
            {row: str(row) for row in range(300)},  # type: ignore[misc]
        )
        for name, values in zip("xyz", noise, strict=True)
    ]
    result = compare_systems(systems, ["mul", "rank_distance"])
    assert len(result.tests) == 6
    ordered = sorted(result.tests, key=lambda test: test.p_permutation)
    assert ordered[0].p_holm == pytest.approx(min(1, 6 * ordered[0].p_permutation))
    assert all(test.p_holm >= test.p_permutation for test in result.tests)
    by_measure = {(test.a, test.b, test.measure): test.winner for test in result.tests}
    for pair in (("x", "y"), ("x", "z")):  # the same values, and lower is better for a distance
        winner, other = by_measure[*pair, "mul"], by_measure[*pair, "rank_distance"]
        assert (winner is None and other is None) or {winner, other} == set(pair)


def test_marks_and_tables() -> None:
    result = compared(system("a_1", BASE + 0.1), system("b", BASE), system("c & d", BASE - 0.1))
    assert [marks(result, name, "mul") for name in result.systems] == ["b c", "c", ""]
    titles, rows = system_rows(result)
    assert titles[:3] == ["", "system", "mul"]
    assert rows[0][0] == "a"
    assert rows[0][4] == "b c"
    assert "family of 3 tests" in " ".join(explanation(result))
    text = markdown(result)
    assert "| a | a_1 |" in text
    assert "Holm's correction over the family of 3 tests" in text
    table = list(csv.DictReader(as_csv(result).splitlines()))
    assert float(table[1]["mean"]) == pytest.approx(BASE.mean())
    assert float(table[1]["low"]) < BASE.mean() < float(table[1]["high"])
    tex = latex(result)
    assert r"$^{a}$ & a\_1 & " in tex
    assert "$^{bc}$" in tex
    assert r"c \& d" in tex
    assert tex.count("{") == tex.count("}")


def test_equal_and_constant_differences() -> None:
    same = compared(system("a", BASE), system("b", BASE)).tests[0]
    assert (same.p_t, same.p_permutation, same.p_bootstrap, same.winner) == (1, 1, 1, None)
    shifted = compared(system("a", np.ones(40)), system("b", np.zeros(40))).tests[0]
    assert np.isnan(shifted.p_t)  # no variance: no t
    assert shifted.winner == "a"
    lonely = compared(system("a", [0.5]), system("b", [0.4])).tests[0]
    assert lonely.winner is None  # one question proves nothing


def test_what_cannot_be_compared_is_one_line() -> None:
    missing = np.where(np.arange(300) < 100, np.nan, BASE)
    result = compared(system("a", missing), system("b", BASE))
    assert result.dropped == {"mul": 100}
    assert result.units == {"mul": 200}
    assert "mul: 100 queries without a value in some run are left out for all." in explanation(result)
    with pytest.raises(UserError, match=r"a and b have other queries \(300 and 299; such as '0/299'\)"):
        compared(system("a", BASE), system("b", BASE[:-1]))
    with pytest.raises(UserError, match="a has no values of 'nDCG@20'; it has mul"):
        compared(system("a", BASE), system("b", BASE), measures=("nDCG@20",))
    with pytest.raises(UserError, match="no query has a value of 'mul' in every run"):
        compared(system("a", np.full(3, np.nan)), system("b", BASE[:3]))
    with pytest.raises(UserError, match="of different names; given: a, a"):
        compared(system("a", BASE), system("a", BASE))


def test_the_command_reads_evaluations_and_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, shift in (("plain/1", 0.0), ("plain/2", 0.01), ("ours/1", 0.2), ("ours/2", 0.21)):
        run = tmp_path / name
        run.mkdir(parents=True)
        rows = [f"set {row},en,{row},{float(min(1, value + shift))!r}," for row, value in enumerate(BASE)]
        (run / "queries.csv").write_text("\n".join(["id,lang,group,average_precision,rank_distance", *rows, ""]))
    assert len(read_system("x", tmp_path / "plain").runs) == 2
    out = tmp_path / "table"
    assert main(["compare", str(tmp_path / "plain"), f"better={tmp_path / 'ours'}", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "by the bootstrap over questions and seeds" in shown
    assert "plain: 2 seeds." in shown
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.csv",
        "comparison.html",
        "comparison.md",
        "comparison.tex",
    ]
    assert "| b | better |" in (out / "comparison.md").read_text()
    runs = {name: tmp_path / name / "1" / "evaluation.json" for name in ("plain", "ours")}
    for written in runs.values():
        written.write_text('{"sets": [{"name": "set", "sha256": "1"}]}')
    assert main(["compare", str(runs["plain"].parent), str(runs["ours"])]) == 0
    shown = capsys.readouterr().out
    assert "a  plain " in shown  # what all paths end in is no name
    assert "Caution" not in shown
    runs["ours"].write_text('{"sets": [{"name": "set", "sha256": "2"}]}')
    assert main(["compare", *map(str, runs.values())]) == 0
    assert "Caution: the texts or judgements of set were not the same for all" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match="needs two evaluations or more"):
        main(["compare", str(tmp_path / "plain")])
    with pytest.raises(UserError, match=r"is no evaluation and holds none"):
        main(["compare", str(tmp_path / "plain"), str(tmp_path)])
    (tmp_path / "plain/2/queries.csv").write_text("id,lang,group,average_precision\nset 0,en,0,.5\n")
    with pytest.raises(UserError, match="the seeds of a system need the same"):
        main(["compare", str(tmp_path / "plain"), str(tmp_path / "ours")])


def test_a_file_gets_all_of_a_wide_table_and_a_terminal_the_letters() -> None:
    names = ("a-system-of-a-long-name", "another-system-of-a-long-name", "third")
    result = compared(*(system(name, BASE + number / 100) for number, name in enumerate(names)))
    text = StringIO()
    print_comparison(result, Console(file=text, width=60))
    assert "…" not in text.getvalue()
    assert all(name in text.getvalue() for name in names)
    text = StringIO()
    print_comparison(result, Console(file=text, width=80, force_terminal=True, no_color=True))
    pairs = text.getvalue().split("every pair")[1]
    assert "…" not in pairs
    assert re.search(r"^mul +a b -0\.0100 ", pairs, re.M)
    assert "| mul | a-system-of-a-long-name | third | -0.0200 |" in markdown(result)
