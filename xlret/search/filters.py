"""Metadata filters as JSON: equality, a list of values, or a range; several fields must all fit."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import RootModel, ValidationError, field_validator

from xlret.errors import UserError

MAX_FIELDS = 20
MAX_VALUES = 1000
MAX_CHARACTERS = 10_000
META = "meta."
_RANGES = {"gt": "greater", "gte": "greater_equal", "lt": "less", "lte": "less_equal"}
_FORMS = 'allowed are a value, {"in": [values]} and {"gt", "gte", "lt", "lte": value}'

Scalar = str | int | float | bool | None
Condition = Scalar | dict[str, Any]


class Filter(RootModel[dict[str, Any]]):
    """Which passages may be found, by their metadata.

    JSON: `{"year": 2020}` (equal; null: has no value), `{"year": {"in": [2019, 2020]}}`, `{"year": {"gte": 2019, "lt": 2021}}`.
    Several fields: all must fit. Ranges over text go by code points, which suits ISO dates. A passage without a value fits no
    range and no value but null.

    Raises:
        pydantic.ValidationError: (a ValueError) not of this form, more than 20 fields or 1000 values, a number not finite.

    >>> Filter({"year": {"gte": 2019, "lt": 2021}, "kind": "news"}).conditions["kind"]
    ('eq', 'news')
    """

    model_config = {"frozen": True}

    @field_validator("root", mode="before")
    @classmethod
    def _well_formed(cls, root: Any) -> Any:
        if not isinstance(root, Mapping):
            raise ValueError(f"a filter must be an object of fields, not {type(root).__name__}")
        if len(root) > MAX_FIELDS:
            raise ValueError(f"{len(root)} fields; allowed are {MAX_FIELDS}")
        values = 0
        for name, condition in root.items():
            if not isinstance(name, str):
                raise ValueError(f"field {name!r:.60} is not text")
            values += sum(1 for _ in _values(name, condition))
        if values > MAX_VALUES:
            raise ValueError(f"{values} values; allowed are {MAX_VALUES} over all fields")
        return {name: dict(condition) if isinstance(condition, Mapping) else condition for name, condition in root.items()}

    @property
    def conditions(self) -> dict[str, tuple[str, Any]]:
        """Field -> ("eq", value), ("in", values) or ("range", {"gte": value, ...})."""
        conditions: dict[str, tuple[str, Any]] = {}
        for name, condition in self.root.items():
            if not isinstance(condition, dict):
                conditions[name] = ("eq", condition)
            elif "in" in condition:
                conditions[name] = ("in", condition["in"])
            else:
                conditions[name] = ("range", condition)
        return conditions

    @property
    def key(self) -> str:
        """Equal filters have equal keys."""
        return json.dumps(self.root, sort_keys=True, ensure_ascii=True)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self.key == other.key  # to Python 1 and True are equal


def filter_of(conditions: Mapping[str, Any] | Filter | None) -> Filter | None:
    """A filter from its JSON form.

    Raises:
        UserError: it is not of that form.

    >>> filter_of({"year": 2020}) == Filter({"year": 2020})
    True
    """
    if conditions is None or isinstance(conditions, Filter):
        return conditions
    try:
        return Filter(dict(conditions))
    except (ValidationError, TypeError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise UserError(f"filter: {reason.removeprefix('Value error, ')}") from error


def check_filter(filter: Filter, fields: Mapping[str, str]) -> None:
    """Whether an index with these metadata fields can be filtered so.

    Args:
        filter: what is asked for.
        fields: name -> string, int, float or bool.

    Raises:
        UserError: no such field, or a value of another type than the field's; names the field.
    """
    for name, (kind, value) in filter.conditions.items():
        if name not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise UserError(f"filter: unknown metadata field {name!r:.80}; fields of this index: {known}")
        if kind == "range" and fields[name] == "bool":
            raise UserError(f"filter: {name} is true or false and has no ranges; give a value")
        for operand in value if kind == "in" else value.values() if kind == "range" else [value]:
            if not _fits(operand, fields[name], kind):
                raise UserError(f"filter: {name} is of type {fields[name]}; {operand!r:.60} is not")


def matching(filter: Filter, table: pa.Table) -> NDArray[np.bool_]:
    """Which rows of a table with columns `meta.FIELD` the filter lets through; costs one pass over those columns."""
    fits = np.ones(table.num_rows, dtype=bool)
    for name, (kind, value) in filter.conditions.items():
        if META + name not in table.column_names:  # a field that came with later passages
            if not (value is None if kind == "eq" else kind == "in" and None in value):
                fits[:] = False
            continue
        column = table.column(META + name)
        if kind == "eq":
            fitting = pc.is_null(column) if value is None else _compared("equal", column, value)
        elif kind == "in":
            fitting = _is_in(column, value)
        else:
            fitting = None
            for how, bound in value.items():
                bounded = _compared(_RANGES[how], column, bound)
                fitting = bounded if fitting is None else pc.and_(fitting, bounded)
        fits &= cast(NDArray[np.bool_], pc.fill_null(fitting, False).to_numpy(zero_copy_only=False))
    return fits


def _is_in(column: Any, values: list[Scalar]) -> Any:
    """Like equality with each of the values."""
    empty = pc.is_null(column)
    column, value_set = _alike(column, [value for value in values if value is not None])
    fitting = pc.and_(pc.is_in(column, value_set=value_set), pc.invert(empty))
    return pc.or_(fitting, empty) if None in values else fitting


def _compared(how: str, column: Any, value: Scalar) -> Any:
    column, values = _alike(column, [value])
    return getattr(pc, how)(column, values[0])


def _alike(column: Any, values: list[Scalar]) -> tuple[Any, Any]:
    """Column and values as one type. Whole numbers beside others become the nearest floats, where Arrow by itself refuses
    those beyond 2**53."""
    kind = column.type
    if pa.types.is_integer(kind) and any(isinstance(value, float) for value in values):
        kind = pa.float64()
        column = column.cast(kind, safe=False)
    return column, pa.array([float(cast(float, value)) for value in values] if pa.types.is_floating(kind) else values, kind)


def _fits(value: Scalar, kind: str, how: str) -> bool:
    if value is None:
        return how != "range"
    if kind == "string":
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(name: str, condition: Any) -> Iterator[Scalar]:
    """The values of one condition, each checked."""
    if isinstance(condition, Mapping):
        keys = set(condition)
        if keys == {"in"}:
            if not isinstance(condition["in"], list | tuple) or not condition["in"]:
                raise ValueError(f"{name}: in needs a list of at least one value")
            operands = list(condition["in"])
        elif keys and keys <= set(_RANGES):
            operands = list(condition.values())
        else:
            raise ValueError(f"{name}: {sorted(map(str, keys))!s:.80} is no condition; {_FORMS}")
    else:
        operands = [condition]
    for operand in operands:
        if isinstance(operand, bool) or operand is None:
            pass
        elif isinstance(operand, str):
            if len(operand) > MAX_CHARACTERS or any("\ud800" <= letter <= "\udfff" for letter in operand):
                raise ValueError(f"{name}: a text is longer than {MAX_CHARACTERS} characters or holds a lone surrogate")
        elif isinstance(operand, int):
            if not -(1 << 63) <= operand < 1 << 63:
                raise ValueError(f"{name}: {operand!s:.40} does not fit 64 bits")
        elif isinstance(operand, float):
            if not math.isfinite(operand):
                raise ValueError(f"{name}: {operand} is not finite")
        else:
            raise ValueError(f"{name}: {operand!r:.60} is a {type(operand).__name__}; {_FORMS}")
        yield operand
