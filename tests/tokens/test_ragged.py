import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlret.tokens.ragged import chunks, padded

LENGTHS = st.lists(st.integers(0, 30), max_size=40)


@given(LENGTHS, st.integers(1, 200))
def test_chunks_tile_the_texts_within_the_budget(lengths: list[int], budget: int) -> None:
    ordered = np.sort(np.array(lengths, np.int32))
    slices = list(chunks(ordered, budget))
    assert [row for one in slices for row in range(one.start, one.stop)] == list(range(len(lengths)))
    for one in slices:
        rows = one.stop - one.start
        assert rows == 1 or rows * int(ordered[one.stop - 1]) <= budget


@given(LENGTHS)
def test_padded_rows_hold_the_ids_in_order(lengths: list[int]) -> None:
    flat = np.arange(1, sum(lengths) + 1, dtype=np.int32)
    ids, mask = padded(flat, np.array(lengths, np.int32), 0)
    assert ids.shape == mask.shape == (len(lengths), max(lengths, default=0))
    assert mask.sum(1).tolist() == lengths
    assert ids[mask == 1].tolist() == flat.tolist()
    assert not ids[mask == 0].any()
