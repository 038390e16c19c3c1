import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.data.pool import GroupPool

members = st.sets(st.integers(0, 60), max_size=40)


@given(members)
def test_take_lists_the_members_in_order(groups):
    pool = GroupPool.from_members(groups)
    assert len(pool) == len(groups)
    assert pool.take(np.arange(len(pool))).tolist() == sorted(groups)


@given(members)
def test_rank_of_is_the_inverse_and_minus_one_elsewhere(groups):
    pool = GroupPool.from_members(groups)
    expected = [sorted(groups).index(g) if g in groups else -1 for g in range(-2, 63)]
    assert pool.rank_of(np.arange(-2, 63)).tolist() == expected


@given(members, members)
def test_intersection_is_set_intersection(left, right):
    both = GroupPool.from_members(left) & GroupPool.from_members(right)
    assert both.take(np.arange(len(both))).tolist() == sorted(left & right)
    assert both == GroupPool.from_members(left & right)
    assert hash(both) == hash(GroupPool.from_members(left & right))


@given(members)
def test_ranges_are_as_few_as_can_be(groups):
    pool = GroupPool.from_members(groups)
    assert (pool.starts[1:] > pool.stops[:-1]).all()
    assert (pool.stops > pool.starts).all()


def test_touching_ranges_join_and_empty_ones_go():
    assert GroupPool(np.array([0, 3, 5, 8]), np.array([3, 5, 5, 9])) == GroupPool(np.array([0, 8]), np.array([5, 9]))


def test_a_pool_of_billions_costs_two_numbers():
    pool = GroupPool(np.array([0, 10**12]), np.array([10**10, 2 * 10**12]))
    assert pool.take(np.array([[10**10, 0]])).tolist() == [[10**12, 0]]
    assert len(pool) == 10**10 + 10**12


OUT_OF_ORDER = [([3, 1], [4, 2]), ([0, 2], [3, 4]), ([-1], [4]), ([5], [4]), ([[1]], [[2]]), ([1], [2, 3])]


@pytest.mark.parametrize(("starts", "stops"), OUT_OF_ORDER)
def test_ranges_out_of_order_are_refused(starts, stops):
    with pytest.raises(ValueError, match="must be"):
        GroupPool(np.array(starts), np.array(stops))


def test_ranks_outside_are_refused():
    for rank in (-1, 3):
        with pytest.raises(IndexError):
            GroupPool.from_members([1, 2, 5]).take(np.array([rank]))
    assert GroupPool.empty().take(np.array([], dtype=np.int64)).tolist() == []
