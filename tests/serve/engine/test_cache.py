"""The cache of vectors keeps to its bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlret.serve.engine.cache import VectorCache


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 400)), max_size=60), st.integers(0, 4000))
def test_never_more_bytes_than_allowed_and_the_last_used_stay(puts: list[tuple[str, int]], most: int) -> None:
    cache = VectorCache(most)
    for text, size in puts:
        cache.put(("r", "query", text), np.full(size, size, np.float32))
        assert 0 <= cache.bytes <= most
        found = cache.get(("r", "query", text))
        if 4 * size + 304 <= most:
            assert found is not None
            assert found.shape == (size,)
    cache.drop("r")
    assert (cache.bytes, cache.vectors) == (0, 0)


def test_the_one_not_asked_for_longest_goes_first() -> None:
    cache = VectorCache(3 * (400 + 304))
    keys = [("r", "query", letter) for letter in "abcd"]
    for key in keys[:3]:
        cache.put(key, np.zeros(100, np.float32))
    assert cache.get(keys[0]) is not None
    cache.put(keys[3], np.zeros(100, np.float32))
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]
    assert (cache.hits, cache.misses) == (4, 1)


def test_a_row_does_not_keep_its_batch_alive_and_sides_differ() -> None:
    cache = VectorCache(10_000)
    batch = np.ones((1000, 4), np.float32)
    cache.put(("r", "query", "a"), batch[3])
    found = cache.get(("r", "query", "a"))
    assert found is not None
    assert found.base is None
    assert not found.flags.writeable
    assert cache.get(("r", "passage", "a")) is None
    assert cache.get(("s", "query", "a")) is None
