"""Stratified draws: exact shares a cycle, closed-form counts, any order of asking."""

import copy
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xlret.batches.stratify import Cycle, Recent, occurrence

WEIGHTS = st.lists(st.floats(0.01, 100), min_size=1, max_size=12)
KEYS = st.integers(0, 2**64 - 1)


@settings(max_examples=50)
@given(weights=WEIGHTS, key=KEYS)
def test_a_cycle_holds_each_item_its_count(weights: list[float], key: int) -> None:
    cycle = Cycle(weights, key)
    for number in (0, 3, 10**9):
        items, _ = cycle.draws(number * cycle.length, cycle.length)
        assert np.array_equal(np.bincount(items, minlength=len(weights)), cycle.counts)


@settings(max_examples=50)
@given(weights=WEIGHTS, key=KEYS, start=st.integers(0, 3000))
def test_serials_count_earlier_draws_of_the_item(weights: list[float], key: int, start: int) -> None:
    items, serials = Cycle(weights, key).draws(0, start + 500)
    seen: Counter[int] = Counter()
    for item, serial in zip(items.tolist(), serials.tolist(), strict=True):
        assert serial == seen[item]
        seen[item] += 1


@settings(max_examples=50)
@given(weights=WEIGHTS, key=KEYS, start=st.integers(0, 10**15))
def test_serials_go_on_from_any_place(weights: list[float], key: int, start: int) -> None:
    cycle = Cycle(weights, key)
    items, serials = cycle.draws(start, 5000)
    for item in range(len(weights)):
        mine = serials[items == item]
        if len(mine):
            assert mine.tolist() == list(range(mine[0], mine[0] + len(mine)))
            count = int(cycle.counts[item])  # exact: start * count is beyond 64 bits
            assert abs(int(mine[0]) * cycle.length - start * count) <= count * cycle.length


@given(weights=WEIGHTS, key=KEYS, n=st.integers(0, 10**15))
def test_one_draw_is_the_draw_of_many(weights: list[float], key: int, n: int) -> None:
    items, serials = Cycle(weights, key).draws(max(0, n - 10), 20)
    assert Cycle(weights, key).draw(n) == (items[n - max(0, n - 10)], serials[n - max(0, n - 10)])


@given(weights=WEIGHTS)
def test_counts_are_the_shares_rounded(weights: list[float]) -> None:
    cycle = Cycle(weights, 0)
    assert cycle.counts.min() >= 1
    assert abs(cycle.counts / cycle.length - cycle.shares).max() <= len(weights) / cycle.length or len(set(cycle.counts)) == 1


def test_what_rounding_leaves_goes_to_the_largest_remainders() -> None:
    assert Cycle([1, 2, 4], 0).counts.tolist() == [27, 55, 110]  # of 192: 27.43, 54.86, 109.71


def test_equal_weights_give_the_shortest_cycle() -> None:
    assert Cycle([0.1] * 37, 0).length == 37


def test_the_rarest_item_is_near_its_share() -> None:
    cycle = Cycle([1, 1000], 0)
    assert abs(cycle.counts[0] / cycle.length * 1001 - 1) < 0.05


def test_a_vanishing_share_is_still_drawn() -> None:
    cycle = Cycle([1e-12, 1], 0)
    assert cycle.counts[0] == 1
    assert cycle.length <= 1 << 17


def test_positions_in_a_cycle_are_uniform() -> None:
    """The item of the first draw of a cycle, over many cycles."""
    items, _ = Cycle([1, 1, 1, 1], 8).draws(0, 40_000)
    first = np.bincount(items[::4], minlength=4)
    assert abs(first - 2500).max() < 5 * (10_000 * 0.25 * 0.75) ** 0.5


def test_keys_give_different_orders() -> None:
    assert not np.array_equal(Cycle([1] * 9, 1).draws(0, 900)[0], Cycle([1] * 9, 2).draws(0, 900)[0])


def test_a_copy_draws_the_same() -> None:
    cycle = Cycle([1, 2, 3], 4)
    cycle.draw(100)
    twin = copy.deepcopy(cycle)
    assert [twin.draw(n) for n in range(90, 110)] == [cycle.draw(n) for n in range(90, 110)]


def test_recent_keeps_the_last_values_and_no_more() -> None:
    asked: list[int] = []
    recent = Recent(lambda key: asked.append(key) or key * 2, keep=2)
    assert [recent(key) for key in (1, 2, 1, 3, 2, 1)] == [2, 4, 2, 6, 4, 2]
    assert asked == [1, 2, 3, 1]


@given(values=st.lists(st.integers(-3, 3), min_size=1))
def test_occurrence_counts_equal_values_before(values: list[int]) -> None:
    assert occurrence(np.array(values)).tolist() == [values[:i].count(value) for i, value in enumerate(values)]
