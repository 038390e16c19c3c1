"""Texts that came before are found, and where they stood first."""

from hypothesis import given
from hypothesis import strategies as st

from xlret.data.seen import FirstSeen


@given(st.lists(st.lists(st.text("abé\ud800", max_size=2), max_size=12), max_size=12))
def test_the_first_place_of_each_text(batches: list[list[str]]) -> None:
    seen, first, count = FirstSeen(), dict[str, int](), 0
    for texts in batches:
        numbers = list(range(count, count + len(texts)))
        expected = [first.setdefault(text, 7 * number) for text, number in zip(texts, numbers, strict=True)]
        assert seen.add(texts, [7 * number for number in numbers]).tolist() == expected
        count += len(texts)


def test_many_texts_are_kept_in_few_runs() -> None:
    seen = FirstSeen()
    for start in range(0, 30_000, 100):
        texts = [str(number) for number in range(start, start + 100)]
        assert seen.add(texts, range(start, start + 100)).tolist() == list(range(start, start + 100))
    assert len(seen._runs) <= 8
    assert sum(len(run.high) for run in seen._runs) == 30_000
    assert seen.add(["29999", "0", "new"], [1, 2, 3]).tolist() == [29_999, 0, 3]
