"""Paired tests: by hand, against exact enumeration and scipy, and their false alarms under the null."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from xlret.errors import UserError
from xlret.evaluation.significance import QueryScore, bootstrap_interval, compare, holm, randomisation_test
from xlret.keys import generator


def test_randomisation_comes_near_the_exact_p_value() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(10), rng.random(10) * 0.6

    def distance(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(np.mean(a - b, axis=axis))

    exact = permutation_test((a, b), distance, permutation_type="samples", alternative="greater", n_resamples=np.inf).pvalue
    assert randomisation_test(a, b, samples=40_000) == pytest.approx(exact, abs=0.006)
    assert randomisation_test(b, a, samples=40_000) == randomisation_test(a, b, samples=40_000)


def test_equal_encoders_do_not_differ() -> None:
    same = np.random.default_rng(0).random(50)
    assert randomisation_test(same, same) == 1
    assert bootstrap_interval(same, same) == (0, 0)


def test_a_plain_difference_is_found_and_the_least_p_is_bounded() -> None:
    b = np.random.default_rng(0).random(100)
    assert randomisation_test(b + 0.1, b, samples=999) == 1 / 1000


def test_false_alarms_under_the_null_are_as_many_as_promised() -> None:
    rng = np.random.default_rng(0)
    alarms = [randomisation_test(rng.random(25), rng.random(25), samples=400, seed=seed) <= 0.05 for seed in range(400)]
    assert 6 <= sum(alarms) <= 36  # 20 expected, standard deviation 4.4


def test_the_bootstrap_interval_has_the_width_of_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.5, 1, 2000), np.zeros(2000)
    low, high = bootstrap_interval(a, b, samples=4000)
    half = 1.96 * a.std() / np.sqrt(2000)
    assert low == pytest.approx(a.mean() - half, abs=0.006)
    assert high == pytest.approx(a.mean() + half, abs=0.006)
    assert bootstrap_interval(a, b, samples=4000) == (low, high)
    assert bootstrap_interval(a[:1], b[:1]) == (a[0], a[0])
    draws = generator(0, "bootstrap").integers(0, 5, (4000, 5))
    by_hand = np.quantile(a[draws].mean(axis=1), [0.025, 0.975])
    assert bootstrap_interval(a[:5], b[:5], samples=4000) == pytest.approx(tuple(by_hand), abs=0)
    with pytest.raises(ValueError, match=r"level is 1\.5"):
        bootstrap_interval(a, b, level=1.5)


def test_corrections_by_hand() -> None:
    p_values = [0.01, 0.02, 0.03, 0.5]
    assert holm(p_values) == pytest.approx([0.04, 0.06, 0.06, 0.5])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_values_that_are_no_pairs_are_refused() -> None:
    for a, b in ((np.ones(2), np.ones(3)), (np.ones(0), np.ones(0))):
        with pytest.raises(ValueError, match="paired tests need"):
            randomisation_test(a, b)


def scores(values: dict[str, list[float]]) -> dict[str, QueryScore]:
    """Question i in each language."""
    return {f"q{i}/{lang}": QueryScore(lang, f"q{i}", value) for lang, row in values.items() for i, value in enumerate(row)}


def test_translations_of_a_question_count_once() -> None:
    a, b = scores({"en": [1.0, 0.5, 0.2], "de": [0.0, 0.5, 0.4]}), scores({"en": [0.0, 0.5, 0.2], "de": [0.0, 0.5, np.nan]})
    rows = {row.name: row for row in compare(a, b)}
    assert list(rows) == ["all", "de", "en"]
    assert (rows["all"].n, rows["de"].n, rows["en"].n) == (3, 2, 3)  # a query without a value on one side is left out
    assert rows["all"].mean_a == pytest.approx((0.5 + 0.5 + 0.2) / 3)
    assert rows["all"].mean_b == pytest.approx((0.0 + 0.5 + 0.2) / 3)
    assert all(row.p_holm >= row.p for row in rows.values())


def test_other_queries_cannot_be_compared() -> None:
    with pytest.raises(UserError, match="different queries"):
        compare(scores({"en": [1.0]}), scores({"en": [1.0, 0.5]}))
    with pytest.raises(UserError, match="no query with a relevant passage"):
        compare(scores({"en": [np.nan]}), scores({"en": [1.0]}))
