"""From results on the disk to means, intervals, the order of configurations, tests and tables; and the pictures of them."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind

from tests.helpers.sweeps import LANGUAGES, QUESTIONS, leave_evaluated, made_sweep
from xlret.evaluation.significance import randomisation_test
from xlret.sweep.comparison import compared, reference_of
from xlret.sweep.configuration import configuration, trial_directory
from xlret.sweep.pareto import front
from xlret.sweep.ranking import interval, ranking
from xlret.sweep.report import write_report
from xlret.sweep.result import read_result, write_result
from xlret.sweep.table import as_markdown, write_tables


def test_configurations_are_ranked_by_the_mean_over_all_seeds_and_never_by_the_best(tmp_path: Path) -> None:
    job = made_sweep(tmp_path, space={"plan.alpha": [0.1, 0.2, 0.3, 0.4]}, goals=["mul", "rank_distance"])
    a, b, c, d = (configuration(None, {"plan.alpha": alpha}) for alpha in (0.1, 0.2, 0.3, 0.4))
    rng = np.random.default_rng(0)
    shape = (QUESTIONS, len(LANGUAGES))
    draws = {
        name: [rng.uniform(0.2, 0.6, shape) + shift for shift in shifts]
        for name, shifts in (("a", (0.1, 0.12, 0.11)), ("b", (0.0, 0.0, 0.35)))
    }
    for seed in range(3):
        leave_evaluated(job, a, seed, draws["a"][seed], distance=30 + seed)
        leave_evaluated(job, b, seed, draws["b"][seed], distance=10)
    leave_evaluated(job, c, 0, np.full(shape, 0.99))  # better than all, but two of its seeds are not there
    for seed in range(3):
        leave_evaluated(job, d, seed, np.full(shape, 0.99), status="diverged" if seed == 1 else "finished")
    rows = ranking(job, [d, c, a, b])
    means = {name: [float(ap.mean()) for ap in aps] for name, aps in draws.items()}
    assert max(means["b"]) > max(means["a"])
    expected = [a, b] if np.mean(means["a"]) > np.mean(means["b"]) else [b, a]
    assert [row.configuration for row in rows[:2]] == expected
    assert [row.status for row in rows] == ["finished", "finished", "diverged", "unfinished"]
    assert rows[2].goals(job) is None
    best = rows[0].metrics["mul"]
    numbers = means["a" if expected[0] is a else "b"]
    assert best.mean == pytest.approx(np.mean(numbers))
    assert best.half_width == pytest.approx(4.302653 * np.std(numbers, ddof=1) / np.sqrt(3), rel=1e-5)  # t of 2 degrees

    tests = compared(job, rows)
    base, other = (draws["a"], draws["b"]) if expected[0] is a else (draws["b"], draws["a"])
    x, y = (np.mean([ap.mean(1) for ap in aps], axis=0) for aps in (other, base))
    test = tests[expected[1].name]
    assert tests.keys() == {expected[1].name}
    assert reference_of(job, rows) is rows[0]
    assert test.difference == pytest.approx((x - y).mean())
    assert test.low < test.difference < test.high
    order = np.argsort([str(question) for question in range(QUESTIONS)])
    assert test.p_questions == randomisation_test(x[order], y[order])
    assert test.p_seeds == pytest.approx(
        ttest_ind([ap.mean() for ap in other], [ap.mean() for ap in base], equal_var=False).pvalue
    )

    text = write_tables(job, rows, tests)
    assert text == as_markdown(job, rows, tests) == (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| 1 of 3 |" in text
    assert "diverged: it / broke |" in text
    report = write_report(job, rows, tests).read_text(encoding="utf-8")
    for title in ("mul over plan.alpha", "Mo, Cr and Mul over alpha", "rank distance over alpha", "rank_distance against mul"):
        assert f"<figcaption>{title}" in report
    assert "Mul by query language on dev" in report
    assert "corpora/x" in report
    assert "nan" not in report.lower()


def test_a_reference_is_the_named_point_and_p_values_are_corrected_for_all(tmp_path: Path) -> None:
    job = made_sweep(tmp_path, points={"base": {}, "x": {"seed": 1}, "y": {"seed": 2}}, against="base", seeds=[0])
    rng = np.random.default_rng(1)
    base = rng.uniform(0.2, 0.6, (QUESTIONS, 2))
    configs = [configuration(name, settings) for name, settings in job.points.items()]
    noise = rng.normal(0, 0.05, (QUESTIONS, 2))
    for config, ap in zip(configs, (base, base + 0.02 + noise, base - 0.2), strict=True):
        leave_evaluated(job, config, 0, ap)
    rows = ranking(job, configs)
    tests = compared(job, rows)
    alone = {name: compared(job, [row for row in rows if row.configuration.point in ("base", name)]) for name in ("x", "y")}
    by_point = {config.point: tests[config.name] for config in configs if config.point != "base"}
    assert by_point["x"].difference > 0 > by_point["y"].difference
    assert by_point["y"].p_questions == pytest.approx(2 * next(iter(alone["y"].values())).p_questions)
    assert by_point["x"].p_seeds is None
    assert "reference" in as_markdown(job, rows, tests).splitlines()[3]


def test_an_interval_of_one_seed_is_none() -> None:
    assert interval([0.5]).half_width == float("inf")


def test_the_front_is_what_a_comparison_of_all_pairs_gives() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        values = [(float(x), float(y)) for x, y in rng.integers(0, 6, (12, 2))]
        beaten = [any((a >= x and b >= y and (a, b) != (x, y)) for a, b in values) for x, y in values]
        assert sorted(front(values)) == [index for index, worse in enumerate(beaten) if not worse]


def test_a_row_says_that_it_is_of_the_start(tmp_path: Path) -> None:
    """A run keeps its best step by dev; a row that looks like a training's and is the start's misled us."""
    job = made_sweep(tmp_path, points={"kept": {}, "some": {"steps": 3}, "start": {"untrained": True}}, seeds=[0, 1])
    kept, some, start = configs = [configuration(name, settings) for name, settings in job.points.items()]
    for config, best_steps in ((kept, (0, 0)), (some, (0, 40)), (start, (None,))):
        for seed, best_step in enumerate(best_steps):
            leave_evaluated(job, config, seed, np.full((QUESTIONS, len(LANGUAGES)), 0.5))
            directory = trial_directory(job, config, seed)
            result = read_result(directory)
            assert result is not None
            step = 0 if config is start else 100
            write_result(directory, result.model_copy(update={"step": step, "best_step": best_step}))
    lines = {line.split(" | ")[0]: line for line in as_markdown(job, ranking(job, configs), {}).splitlines()}
    assert lines["| kept"].endswith("| finished: no step was better on dev than the start |")
    assert lines["| some"].endswith("| finished: no step was better on dev than the start with 1 of 2 seeds |")
    assert lines["| start"].endswith("| finished |")
