"""Which texts stand in others, against a slow search by hand; what counts as the same text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from xlret.text.overlap import RUN, Overlap, OverlapIndex, units

words = st.lists(st.sampled_from("abcd"), max_size=14).map(" ".join)


def overlaps(texts: list[str], others: list[str], share: float = 0.7) -> list[Overlap]:
    index = OverlapIndex(texts)
    for start in range(0, len(others), 2):  # a few at a time
        index.look_through(others[start : start + 2])
    assert index.looked_through == len(others)
    return index.overlaps(share)


def by_hand(text: str, others: list[str]) -> tuple[float, int] | None:
    own, theirs = text.split(), [other.split() for other in others]
    if len(own) < 3:
        return None
    if len(own) < RUN:
        return (1.0, theirs.index(own)) if own in theirs else None
    runs = [own[start : start + RUN] for start in range(len(own) - RUN + 1)]
    homes = [[row for row, other in enumerate(theirs) if run in windows(other)] for run in runs]
    share = sum(bool(rows) for rows in homes) / len(runs)
    return (share, min(row for rows in homes for row in rows)) if share > 0 else None


def windows(other: list[str]) -> list[list[str]]:
    return [other[start : start + RUN] for start in range(len(other))]


@settings(max_examples=40)
@given(st.lists(words, max_size=4), st.lists(words, max_size=5))
def test_it_is_what_a_search_by_hand_says(texts: list[str], others: list[str]) -> None:
    expected = [Overlap(row, *told) for row, text in enumerate(texts) if (told := by_hand(text, others)) is not None]
    assert overlaps(texts, others, share=0.0) == expected
    assert overlaps(texts, others) == [overlap for overlap in expected if overlap.share >= 0.7]


def test_case_width_punctuation_and_the_rest_of_a_text_are_no_matter() -> None:
    question = "Wie viele Menschen leben heute in der Stadt Oslo?"
    passage = "Man fragt sich: „WIE VIELE MENSCHEN leben — heute — in der Stadt Oslo“, und zählt."
    assert overlaps([question, "in der Stadt"], [passage]) == [Overlap(0, 1.0, 0)]
    assert overlaps(["Ｇｕｔｅｎ  Ｔａｇ, Welt!"], ["x", "guten tag welt"]) == [Overlap(0, 1.0, 1)]


def test_letters_are_units_where_words_stand_side_by_side() -> None:
    assert units("ที่นี่ คือ北京2008年") == ["ที่", "นี่", "คื", "อ", "北", "京2008", "年"]
    chinese = "在阿拉伯沙漠的北部边缘有一座古老的城市"
    assert overlaps([chinese], ["他写道:" + chinese + "。"]) == [Overlap(0, 1.0, 0)]
    assert overlaps([chinese], [chinese[:12] + "没有人住"]) == [], "sixteen letters make a run"
    assert overlaps([chinese[:9]], [chinese]) == [], "shorter than a run: only where it is the whole text"
    assert overlaps([chinese[:9]], [f"“{chinese[:9]}”"]) == [Overlap(0, 1.0, 0)]
