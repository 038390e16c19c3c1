"""The alpha schedule's sum, and monolingual steps that follow it."""

from collections import Counter
from fractions import Fraction
from math import cos, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from xlret.batches.alpha import WINDOW, Alpha, Kinds
from xlret.batches.settings import AlphaSchedule

SHARES = st.floats(0, 1).map(lambda share: round(share, 4))
SCHEDULES = SHARES | st.builds(
    AlphaSchedule, shape=st.sampled_from(["linear", "cosine"]), start=SHARES, end=SHARES, steps=st.integers(1, 2000)
)


def alpha_at(schedule: float | AlphaSchedule, t: float) -> float:
    """Alpha at a moment, written down once more and plainly."""
    if not isinstance(schedule, AlphaSchedule):
        return schedule
    part = min(1.0, t / schedule.steps)
    if schedule.shape == "cosine":
        part = (1 - cos(pi * part)) / 2
    return schedule.start + (schedule.end - schedule.start) * part


@settings(max_examples=60)
@given(schedule=SCHEDULES, t=st.integers(0, 2500))
def test_sum_is_the_sum_of_alpha(schedule: float | AlphaSchedule, t: int) -> None:
    steps = (np.arange(t * 4) + 0.5) / 4
    plain = sum(alpha_at(schedule, float(u)) for u in steps) / 4
    assert float(Alpha(schedule).sum(t)) == pytest.approx(plain, abs=0.2, rel=1e-4)


@settings(max_examples=60)
@given(schedule=SCHEDULES, seed=st.integers(0, 2**64 - 1), number=st.integers(0, 50) | st.integers(0, 10**12))
def test_monolingual_steps_before_a_window_are_their_expectation(
    schedule: float | AlphaSchedule, seed: int, number: int
) -> None:
    alpha, kinds = Alpha(schedule), Kinds(Alpha(schedule), seed)
    is_mono, before = kinds.at(number * WINDOW)
    mono = before if is_mono else number * WINDOW - before
    assert abs(mono - alpha.sum(number * WINDOW)) < 1 + Fraction(1, 10**6)


@settings(max_examples=30)
@given(schedule=SCHEDULES, seed=st.integers(0, 2**64 - 1), start=st.integers(0, 10**12) | st.just(0))
def test_indices_count_the_steps_of_each_kind(schedule: float | AlphaSchedule, seed: int, start: int) -> None:
    kinds = Kinds(Alpha(schedule), seed)
    first = kinds.at(start)
    counts = {True: first[1] if first[0] else start - first[1]}
    counts[False] = start - counts[True]
    for t in range(start, start + 300):
        is_mono, before = kinds.at(t)
        assert before == counts[is_mono]
        counts[is_mono] += 1


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_ends_of_the_range_are_certain(alpha: float) -> None:
    for seed in range(20):
        kinds = Kinds(Alpha(alpha), seed)
        assert all(kinds.at(t) == (alpha == 1, t) for t in [*range(200), 10**12 + 7])


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_each_step_is_monolingual_with_its_own_probability(shape: str) -> None:
    """Within a window too, where alpha changes fast: over seeds each step has its alpha."""
    schedule = AlphaSchedule(shape=shape, start=1, end=0, steps=100)
    seeds = 500
    flags = np.array(
        [[kinds.at(t)[0] for t in range(130)] for kinds in (Kinds(Alpha(schedule), 7919 * seed) for seed in range(seeds))]
    )
    expected = np.array([alpha_at(schedule, t + 0.5) for t in range(130)])
    assert not flags[:, 100:].any()
    bound = 5 * np.sqrt(expected * (1 - expected) / seeds) + 0.003
    assert (abs(flags.mean(axis=0) - expected) < bound).all()


def test_kinds_are_not_a_fixed_pattern() -> None:
    flags = np.array([Kinds(Alpha(0.5), 5).at(t)[0] for t in range(64)])
    assert flags.sum() == 32
    assert 15 < (flags[1:] != flags[:-1]).sum() < 49  # 63 if they took turns


BLOCKS = st.integers(2, 40)


@settings(max_examples=60)
@given(block=BLOCKS, data=st.data(), seed=st.integers(0, 2**64 - 1), first=st.integers(0, 50) | st.integers(0, 10**12))
def test_every_stratified_block_holds_exactly_alpha_of_its_steps(
    block: int, data: st.DataObject, seed: int, first: int
) -> None:
    mono = data.draw(st.integers(0, block))
    kinds = Kinds(Alpha(round(mono / block, 12)), seed, block, 0.5)
    for start in range(first * block, (first + 5) * block, block):
        assert sum(kinds.at(t)[0] for t in range(start, start + block)) == mono


@settings(max_examples=60)
@given(schedule=SCHEDULES, block=BLOCKS, seed=st.integers(0, 2**64 - 1), number=st.integers(0, 200) | st.integers(0, 10**10))
def test_what_rounding_leaves_over_goes_to_the_next_stratified_block(
    schedule: float | AlphaSchedule, block: int, seed: int, number: int
) -> None:
    """So that no stretch of blocks is off by more than half a step, and all seeds have the same number."""
    alpha, start = Alpha(schedule), number * block
    is_mono, before = Kinds(alpha, seed, block, 0.5).at(start)
    mono = before if is_mono else start - before
    assert abs(mono - alpha.sum(start)) <= Fraction(1, 2) + Fraction(1, 10**6)
    is_mono, before = Kinds(alpha, seed + 1, block, 0.5).at(start)
    assert mono == (before if is_mono else start - before)


@settings(max_examples=15)
@given(schedule=SCHEDULES, block=BLOCKS, seed=st.integers(0, 2**64 - 1), start=st.integers(0, 10**12))
def test_a_stratified_step_alone_is_that_of_the_sequence(
    schedule: float | AlphaSchedule, block: int, seed: int, start: int
) -> None:
    alpha = Alpha(schedule)
    in_order = Kinds(alpha, seed, block, 0.5)
    sequence = [in_order.at(t) for t in range(start, start + 100)]
    counts = {True: sequence[0][1], False: start - sequence[0][1]} if sequence[0][0] else {True: start - sequence[0][1]}
    counts.setdefault(False, start - counts[True])
    for t in np.random.default_rng(block).permutation(100).tolist()[:10]:
        assert Kinds(alpha, seed, block, 0.5).at(start + t) == sequence[t]
    for is_mono, before in sequence:
        assert before == counts[is_mono]
        counts[is_mono] += 1


def test_all_orders_of_a_stratified_block_are_equally_likely() -> None:
    """Over seeds, and over the blocks of one seed: 2 of 5 steps have ten orders."""
    for draws in (
        [Kinds(Alpha(0.4), 7919 * seed, 5, 0.5) for seed in range(600)],
        [Kinds(Alpha(0.4), 11, 5, 0.5)] * 600,
    ):
        blocks = range(0, 3000, 5) if draws[0] is draws[1] else [0] * 600
        orders = Counter(
            tuple(kinds.at(t)[0] for t in range(start, start + 5)) for kinds, start in zip(draws, blocks, strict=True)
        )
        assert len(orders) == 10
        assert chisquare(list(orders.values())).pvalue > 1e-4


def test_a_stratified_schedule_is_certain_where_alpha_is() -> None:
    schedule = AlphaSchedule(shape="linear", start=1, end=0, steps=45)
    for seed in range(50):
        kinds = Kinds(Alpha(schedule), seed, 10, 0.5)
        assert not any(kinds.at(t)[0] for t in range(45, 200))
        assert sum(kinds.at(t)[0] for t in range(10)) == 9
