"""The order of hits over languages: properties that hold for all hits, and small examples by hand."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.errors import UserError
from xlret.search.balance import BALANCES, MARGIN, balanced_order, language_share, share_distance
from xlret.search.calibration import Calibration

LANGUAGES = ("ar", "de", "en", "th")
CALIBRATION = Calibration(
    means={"ar": (0.1, 0.0), "de": (0.3, 0.1), "en": (0.6, 0.0)},  # th is not known
    spreads={"ar": 0.05, "de": 0.1, "en": 0.2},
)
QUERY = np.float32([1, 0])


@st.composite
def hits(draw: st.DrawFn) -> dict[str, Any]:
    """Hits with unique ids and coarse scores, so that many tie."""
    rows = draw(
        st.lists(
            st.tuples(st.text("ab\u00e9\U0001f40a", max_size=3), st.integers(-4, 10), st.sampled_from(LANGUAGES)),
            max_size=40,
            unique_by=lambda row: row[0],
        )
    )
    return {
        "ids": [row[0] for row in rows],
        "scores_N": np.array([row[1] / 10 for row in rows], np.float32),
        "langs": [row[2] for row in rows],
    }


def order(balance: Any, drawn: dict[str, Any], top_k: int, calibration: Calibration | None = CALIBRATION) -> list[int]:
    return balanced_order(balance, **drawn, top_k=top_k, calibration=calibration, query_vector_D=QUERY)


@given(hits(), st.sampled_from(BALANCES), st.integers(1, 50), st.booleans())
def test_every_balance_gives_as_many_different_hits_as_there_are(
    drawn: dict[str, Any], balance: Any, top_k: int, calibrated: bool
) -> None:
    calibration = CALIBRATION if calibrated or balance == "calibrated" else None
    positions = order(balance, drawn, top_k, calibration)
    assert len(positions) == len(set(positions)) == min(top_k, len(drawn["ids"]))
    assert set(positions) <= set(range(len(drawn["ids"])))
    assert positions == order(balance, drawn, 1000, calibration)[:top_k]  # a longer answer begins with the shorter one


@given(hits(), st.sampled_from(BALANCES), st.randoms(use_true_random=False))
def test_the_order_that_hits_come_in_does_not_matter(drawn: dict[str, Any], balance: Any, random: Any) -> None:
    rows = list(range(len(drawn["ids"])))
    random.shuffle(rows)
    shuffled = {
        "ids": [drawn["ids"][row] for row in rows],
        "scores_N": drawn["scores_N"][rows] if rows else drawn["scores_N"],
        "langs": [drawn["langs"][row] for row in rows],
    }
    first = [drawn["ids"][position] for position in order(balance, drawn, 20)]
    assert [shuffled["ids"][position] for position in order(balance, shuffled, 20)] == first


@given(hits(), st.integers(1, 50))
def test_none_is_by_score_then_id(drawn: dict[str, Any], top_k: int) -> None:
    expected = sorted(range(len(drawn["ids"])), key=lambda row: (-drawn["scores_N"][row], drawn["ids"][row]))
    assert order("none", drawn, top_k) == expected[:top_k]
    in_order = {
        "ids": [drawn["ids"][row] for row in expected],
        "scores_N": drawn["scores_N"][expected] if expected else drawn["scores_N"],
        "langs": [drawn["langs"][row] for row in expected],
    }
    assert order("none", in_order, top_k, None) == list(range(min(top_k, len(expected))))


@given(hits(), st.sampled_from(BALANCES))
def test_the_order_within_a_language_stays(drawn: dict[str, Any], balance: Any) -> None:
    positions = order(balance, drawn, 1000)
    for lang in LANGUAGES:
        own = [position for position in positions if drawn["langs"][position] == lang]
        assert own == sorted(own, key=lambda row: (-drawn["scores_N"][row], drawn["ids"][row]))


@given(hits(), st.sampled_from(BALANCES), st.integers(1, 12))
def test_the_best_of_each_language_are_enough(drawn: dict[str, Any], balance: Any, top_k: int) -> None:
    expected = [drawn["ids"][position] for position in order(balance, drawn, top_k)]
    kept = [
        row for lang in LANGUAGES for row in [row for row in order("none", drawn, 1000) if drawn["langs"][row] == lang][:top_k]
    ]
    pool = {
        "ids": [drawn["ids"][row] for row in kept],
        "scores_N": drawn["scores_N"][kept] if kept else drawn["scores_N"],
        "langs": [drawn["langs"][row] for row in kept],
    }
    assert [pool["ids"][position] for position in order(balance, pool, top_k)] == expected


@given(hits(), st.integers(1, 50), st.booleans())
def test_quota_gives_relevant_languages_the_same_number_of_places(drawn: dict[str, Any], top_k: int, calibrated: bool) -> None:
    calibration = CALIBRATION if calibrated else None
    langs = np.array(drawn["langs"], np.str_)
    values = CALIBRATION.standardised(drawn["scores_N"], drawn["langs"], QUERY) if calibrated else drawn["scores_N"]
    competitive = values >= values.max(initial=-np.inf) - (MARGIN if calibrated else np.inf)
    positions = order("quota", drawn, top_k, calibration)
    given_to = {lang: sum(competitive[position] for position in positions if langs[position] == lang) for lang in LANGUAGES}
    competing = {lang: int(competitive[langs == lang].sum()) for lang in LANGUAGES}
    waiting = [given_to[lang] for lang in LANGUAGES if given_to[lang] < competing[lang]]  # could have had one more
    if waiting:
        assert competitive[positions].all()  # nobody else comes before
        assert max(given_to.values()) <= min(waiting) + 1


def test_quota_by_hand() -> None:
    drawn = {
        "ids": ["e1", "e2", "e3", "d1", "d2", "a1"],
        "scores_N": np.float32([0.9, 0.8, 0.7, 0.2, 0.1, -0.9]),
        "langs": ["en", "en", "en", "de", "de", "ar"],
    }

    def ids(calibration: Calibration | None, top_k: int = 6) -> list[str]:
        return [drawn["ids"][position] for position in order("quota", drawn, top_k, calibration)]

    assert ids(None) == ["e1", "d1", "a1", "e2", "d2", "e3"]
    # In standard deviations en has 1.5, 1, 0.5, de -1, -2 and ar -20: 2.5 below the best, d1 is not competitive.
    assert ids(CALIBRATION) == ["e1", "e2", "e3", "d1", "d2", "a1"]
    drawn["scores_N"][3] = 0.5  # now 2
    assert ids(CALIBRATION) == ["d1", "e1", "e2", "e3", "d2", "a1"]


def test_calibrated_by_hand() -> None:
    drawn = {"ids": ["en", "de", "ar"], "scores_N": np.float32([0.9, 0.5, 0.3]), "langs": ["en", "de", "ar"]}
    assert [drawn["ids"][position] for position in order("calibrated", drawn, 3)] == ["ar", "de", "en"]  # 4, 2 and 1.5
    assert [drawn["ids"][position] for position in order("calibrated", drawn, 1)] == ["ar"]


@pytest.mark.parametrize(
    ("balance", "more", "message"),
    [
        ("fair", {}, "unknown balance 'fair'; allowed are none, quota, calibrated"),
        ("calibrated", {}, "no calibration"),
        ("calibrated", {"calibration": CALIBRATION}, "the vector of the query"),
        (
            "calibrated",
            {"calibration": CALIBRATION, "query_vector_D": np.float32([1, 0, 0])},
            "3 numbers and the calibration 2",
        ),
    ],
)
def test_what_is_missing_is_said(balance: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        balanced_order(balance, ["a"], np.float32([1]), ["de"], 1, **more)


def test_share_of_hits_against_the_corpus() -> None:
    drawn = language_share(["de", "de", "sw", "en"], {"de": 10, "en": 80, "fr": 10})
    assert {lang: (share.hits, share.corpus) for lang, share in drawn.items()} == {
        "de": (0.5, 0.1),
        "en": (0.25, 0.8),
        "fr": (0.0, 0.1),
        "sw": (0.25, 0.0),
    }
    assert share_distance(drawn) == pytest.approx((0.4 + 0.55 + 0.1 + 0.25) / 2)
    assert share_distance(language_share([], {"de": 1})) == 0.5
    assert share_distance(language_share(["de"], {"de": 7})) == 0


def test_twelve_languages_with_a_hundred_hits_cost_little() -> None:
    rng = np.random.default_rng(0)
    langs = [f"l{number:02d}" for number in range(12) for _ in range(100)]
    means = {lang: tuple(rng.normal(size=384).tolist()) for lang in set(langs)}
    calibration = Calibration(means=means, spreads=dict.fromkeys(means, 0.1))
    drawn = {"ids": [f"id-{number:06d}" for number in rng.permutation(1200)], "langs": langs}
    scores, query = rng.normal(size=1200).astype(np.float32), rng.normal(size=384).astype(np.float32)

    def best_of_30(work: Callable[[], object]) -> float:
        times = []
        for _ in range(30):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    ours = best_of_30(
        lambda: balanced_order("quota", scores_N=scores, top_k=100, calibration=calibration, query_vector_D=query, **drawn)
    )
    plain = best_of_30(lambda: sorted(zip(scores.tolist(), drawn["ids"], langs, strict=True)))  # what a merge costs anyway
    assert ours < 10 * plain  # 0.24 ms on an idle core, about as much as plain sorting
