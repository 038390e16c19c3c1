"""Permutations: bijective at every size, uniform on tiny ranges, stable over machines, and cheap at any rank."""

from collections import Counter
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.batches.permute import LARGEST, mix, permute, subkeys

KEYS = st.integers(0, 2**64 - 1)


@given(size=st.integers(1, 3000), key=KEYS)
def test_every_place_is_taken_once(size: int, key: int) -> None:
    places = permute(np.arange(size), size, key)
    assert places.dtype == np.int64
    assert np.array_equal(np.sort(places), np.arange(size))


@given(size=st.integers(1, 3000), key=KEYS, data=st.data())
def test_one_element_is_the_element_of_the_whole(size: int, key: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, size - 1))
    assert permute(rank, size, key)[0] == permute(np.arange(size), size, key)[rank]


@given(size=st.integers(2, LARGEST), key=KEYS, data=st.data())
def test_large_ranges_stay_in_range_without_collision(size: int, key: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size - 1))
    places = permute(np.arange(start, min(size, start + 200)), size, key)
    assert places.min() >= 0
    assert places.max() < size
    assert len(set(places.tolist())) == len(places)


def test_arguments_of_different_sizes_and_keys_go_in_one_call() -> None:
    sizes, keys = np.array([5, 1000, 10**15]), np.array([1, 2, 3], dtype=np.uint64)
    together = permute(np.array([4, 4, 4]), sizes, keys)
    assert together.tolist() == [int(permute(4, int(n), int(k))[0]) for n, k in zip(sizes, keys, strict=True)]


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_of_a_tiny_range_are_equally_frequent(size: int) -> None:
    trials = 200 * factorial(size)
    keys = np.repeat(subkeys(size, np.arange(trials)), size)
    orders = Counter(map(tuple, permute(np.tile(np.arange(size), trials), size, keys).reshape(trials, size).tolist()))
    chi_square = sum((orders[order] - 200) ** 2 / 200 for order in permutations(range(size)))
    freedom = factorial(size) - 1
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5 + 5


def test_neighbouring_ranks_go_to_unrelated_places() -> None:
    size = 100_003
    places = permute(np.arange(size), size, 99) / size
    assert abs(np.corrcoef(places[:-1], places[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(places, np.arange(size))[0, 1]) < 0.02


def test_keys_give_different_orders() -> None:
    one, two = (permute(np.arange(1000), 1000, key) for key in subkeys(0, [0, 1]))
    assert (one == two).sum() < 10  # 1 to expect


def test_values_are_what_they_always_were() -> None:
    """A change here changes the batches of every run that is resumed."""
    assert permute(np.arange(8), 8, 42).tolist() == [3, 4, 6, 2, 7, 1, 0, 5]
    assert permute([0, 1, 10**12], 10**12 + 1, 7).tolist() == [245238776098, 760556171419, 118769459804]
    assert subkeys(1, [0, 2**63 + 5]).tolist() == [11385487063155714807, 14537422274684369545]


def test_mix_is_a_bijection_with_half_of_the_bits_flipped() -> None:
    values = np.arange(10_000, dtype=np.uint64)
    mixed = mix(values)
    assert len(np.unique(mixed)) == len(values)
    flipped = np.bitwise_count(mixed[:-1] ^ mixed[1:])
    assert abs(flipped.mean() - 32) < 0.5
