import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xlret.errors import UserError
from xlret.search.filters import Filter, check_filter, matching

FIELDS = {"year": "int", "kind": "string", "score": "float", "good": "bool"}
YEARS = [2019, None, 2021, 2020]
KINDS = ["news", "wiki", None, "année"]
SCORES = [0.5, 1.0, None, -2.0]
GOOD = [True, False, None, True]
TABLE = pa.table(
    {
        "meta.year": pa.array(YEARS, pa.int64()),
        "meta.kind": pa.array(KINDS, pa.large_string()),
        "meta.score": pa.array(SCORES, pa.float64()),
        "meta.good": pa.array(GOOD, pa.bool_()),
    }
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ({"year": 2019}, [0]),
        ({"year": 2019.0}, [0]),
        ({"year": 2019.5}, []),
        ({"year": None}, [1]),
        ({"year": {"in": [2019, None]}}, [0, 1]),
        ({"year": {"in": [2019.5, 2020]}}, [3]),
        ({"year": {"gte": 2020}}, [2, 3]),
        ({"year": {"gt": 2019, "lt": 2021}}, [3]),
        ({"year": {"lt": 2019.5}}, [0]),
        ({"kind": "année"}, [3]),
        ({"kind": {"gte": "b"}}, [0, 1]),
        ({"score": 1}, [1]),
        ({"score": {"lte": 0.5}}, [0, 3]),
        ({"good": True}, [0, 3]),
        ({"good": {"in": [False, None]}}, [1, 2]),
        ({"year": {"gte": 2019}, "good": True}, [0, 3]),
        ({"later": "x"}, []),
        ({"later": None}, [0, 1, 2, 3]),
        ({"later": {"gt": 3}}, []),
        ({}, [0, 1, 2, 3]),
    ],
)
def test_which_rows_fit(condition: dict, rows: list[int]) -> None:
    assert matching(Filter(condition), TABLE).nonzero()[0].tolist() == rows


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ({"score": {"in": [(1 << 53) + 1, 3]}}, [0]),
        ({"score": {"lte": (1 << 53) + 1}}, [0, 1]),
        ({"year": 0.5}, []),
        ({"year": {"gte": 0.5}}, [0, 1]),
        ({"year": {"in": [0.5, 7]}}, [1]),
        ({"year": {"in": [0.5, (1 << 53) + 1]}}, [0]),
        ({"year": (1 << 53) + 1}, [0]),
        ({"year": 1 << 53}, []),
    ],
)
def test_whole_numbers_that_no_float_can_be(condition: dict, rows: list[int]) -> None:
    columns = {"meta.year": pa.array([(1 << 53) + 1, 7, None], pa.int64()), "meta.score": [2.0**53, 0.5, None]}
    assert matching(Filter(condition), pa.table(columns)).nonzero()[0].tolist() == rows


@pytest.mark.parametrize(
    "bad",
    [
        [],
        "year",
        {"year": []},
        {"year": {"in": []}},
        {"year": {"in": "2019"}},
        {"year": {"like": "x"}},
        {"year": {}},
        {"year": {"in": [1], "gt": 2}},
        {"year": {"gt": {"gt": 1}}},
        {"year": float("nan")},
        {"year": {"lt": float("inf")}},
        {"year": 1 << 63},
        {"kind": "\ud800"},
        {"kind": "x" * 20_000},
        {f"f{number}": 1 for number in range(21)},
        {"year": {"in": list(range(1001))}},
        {3: 1},
    ],
)
def test_what_is_no_filter(bad: object) -> None:
    with pytest.raises(ValidationError):
        Filter(bad)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"author": "x"}, "unknown metadata field 'author'"),
        ({"year": "2019"}, "year is of type int"),
        ({"year": True}, "year is of type int"),
        ({"kind": 3}, "kind is of type string"),
        ({"good": 1}, "good is of type bool"),
        ({"good": {"gt": True}}, "no ranges"),
        ({"year": {"gt": None}}, "year is of type int"),
    ],
)
def test_filters_that_an_index_cannot_take(condition: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_filter(Filter(condition), FIELDS)


def test_equal_filters_are_equal_keys() -> None:
    assert hash(Filter({"a": 1, "b": 2})) == hash(Filter({"b": 2, "a": 1}))
    assert Filter({"a": 1}) != Filter({"a": 2})
    assert len({Filter({"a": True}), Filter({"a": 1})}) == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_any_json_is_a_filter_or_is_refused(value: object) -> None:
    try:
        one = Filter.model_validate(value)
    except ValidationError:
        return
    try:
        check_filter(one, FIELDS)
    except UserError:
        return
    matching(one, TABLE)
