"""The arithmetic of large indexes against figures by hand, the simulation against what probability says."""

import numpy as np
import pytest

from jobs.bench.scale import SEARCHES, fan_out, index_bytes, search_cost_ms


def test_memory_is_that_of_the_factory() -> None:
    assert index_bytes("SQ8", 1_000_000, 384) == 384e6
    assert index_bytes("Flat", 1_000_000, 384) == 768e6
    assert index_bytes("IVF,PQ48", 10**9, 384) < 64e9, "a billion passages in less than 64 GB"


def test_the_cost_of_a_query_is_that_of_its_codes() -> None:
    """A million passages in 4,096 lists, 32 of them looked at: 7,812.5 codes of 51 ns and 0.33 ms."""
    assert search_cost_ms(1_000_000, 384, 32, 0.33, 51.0) == pytest.approx(0.33 + 7812.5 * 51e-6)


@pytest.mark.parametrize("shards", [4, 64])
def test_waiting_for_all_shards_is_as_slow_as_probability_says(shards: int) -> None:
    latencies = np.arange(1.0, 10_001.0)  # uniform
    slowest, asked_twice = fan_out(latencies, shards, 0.95, 0.0)
    assert (len(slowest), asked_twice) == (SEARCHES, 0.0)
    assert np.median(slowest) == pytest.approx(10_000 * 0.5 ** (1 / shards), rel=0.02)


def test_hedging_cuts_the_tail_within_its_share() -> None:
    latencies = np.concatenate([np.full(980, 5.0), np.full(20, 500.0)])  # one call in fifty is slow
    plain, _ = fan_out(latencies, 16, 0.95, 0.0)
    hedged, asked_twice = fan_out(latencies, 16, 0.95, 0.1)
    assert np.mean(plain > 100) == pytest.approx(1 - 0.98**16, abs=0.02)
    assert np.mean(hedged > 100) == pytest.approx(1 - (1 - 0.02**2) ** 16, abs=0.005), "both calls must be slow"
    assert asked_twice == pytest.approx(0.02, abs=0.002)
    _, capped = fan_out(latencies, 16, 0.95, 0.01)
    assert capped <= 0.01
