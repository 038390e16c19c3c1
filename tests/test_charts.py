"""Charts stay within their frame, whatever is drawn."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlret.charts import BOTTOM, COLOURS, LEFT, RIGHT, TOP, Sample, chart, points

VALUES = st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.6g}"))


@settings(max_examples=60)
@given(ys=st.lists(VALUES, min_size=1, max_size=60), step=st.integers(1, 1000))
def test_lines_and_ticks_are_in_the_frame(ys: list[float], step: int) -> None:
    drawn = chart("t", "step", "y", {"a": points([(step * (number + 1), y) for number, y in enumerate(ys)])}, log=False)
    corners = [tuple(map(float, point.split(","))) for point in drawn.series[0].line.split()]
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in corners)
    assert len(corners) == (len(ys) if len(ys) > 1 else 0)
    assert all(LEFT <= tick.position <= RIGHT for tick in drawn.x_ticks)
    assert all(TOP <= tick.position <= BOTTOM for tick in drawn.y_ticks)
    assert 1 <= len(drawn.y_ticks) <= 8
    assert len({tick.text for tick in drawn.y_ticks}) == len(drawn.y_ticks) or max(ys) - min(ys) < 1e-3 * max(map(abs, ys))
    assert all(upper.position < lower.position for lower, upper in pairwise(drawn.y_ticks))


def test_a_higher_value_is_higher_up_and_a_later_one_farther_right() -> None:
    drawn = chart("t", "step", "y", {"a": points([(1, 0.25), (2, 0.75), (3, float("nan"))])}, percent=True, least=0)
    first, second = drawn.series[0].marks
    assert (second.x > first.x, second.y < first.y) == (True, True)
    assert [tick.text for tick in drawn.y_ticks] == ["0%", "20%", "40%", "60%", "80%"]
    assert first.title == "step 1: 0.25"


def test_bands_are_drawn_where_something_is_around_the_line() -> None:
    banded = [Sample(0, 1, 0.5, 2, "a"), Sample(1, 1, 1, 1, "b")]
    drawn = chart("t", "x", "y", {"bare": points([(0, 1), (1, 2)]), "none": [], "band": banded})
    assert [(series.label, bool(series.band), series.colour) for series in drawn.series] == [
        ("bare", False, COLOURS[0]),
        ("band", True, COLOURS[2]),
    ]
    assert [mark.y for mark in drawn.series[1].marks] == pytest.approx([drawn.series[0].marks[0].y] * 2)


def test_long_lines_have_no_dots() -> None:
    drawn = chart("t", "step", "y", {"a": points([(step, step) for step in range(500)])})
    assert drawn.series[0].marks == ()
    assert len(drawn.series[0].line.split()) == 500
