"""Metadata of passages: what any column of a user's file becomes, and that a field has one type over all passages."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from xlret.data.rows import MAX_CHARACTERS, BadRowError, clean_text

Value = str | int | float | bool | None
FieldType = Literal["string", "int", "float", "bool"]

MAX_FIELDS = 100
MAX_FIELD_NAME = 200
TYPES: dict[type, FieldType] = {str: "string", int: "int", float: "float", bool: "bool"}


class Fields:
    """The metadata fields met so far, and the type of each: integers and floats mix to float, nothing else mixes."""

    def __init__(self) -> None:
        self.types: dict[str, FieldType] = {}
        """Fields that have a value somewhere."""
        self._first: dict[str, int] = {}

    def clash(self, metadata: dict[str, Value], row: int) -> tuple[str, FieldType, int] | None:
        """Takes note of a passage's fields, or says which field has another type than before, which, and where it had it."""
        types: dict[str, FieldType] = {}
        for name, value in metadata.items():
            if value is None:
                continue
            kind, known = TYPES[type(value)], self.types.get(name)
            if known is None or kind == known:
                types[name] = kind
            elif {kind, known} == {"int", "float"}:
                types[name] = "float"
            else:
                return name, known, self._first[name]
        for name, kind in types.items():
            self.types[name] = kind
            self._first.setdefault(name, row)
        return None


def stored_fields(metadata: object) -> dict[str, Value]:
    """Metadata as it is stored and filtered by: texts, numbers, true or false, or nothing.

    Empty texts, lists and objects and NaN are nothing; lists and objects become JSON, dates and times ISO 8601, decimals and
    other exact values text, bytes the text that they are or base64.

    Raises:
        BadRowError: it is no mapping, has too many fields, or a name or value that cannot be stored.
    """
    if not isinstance(metadata, Mapping):
        raise BadRowError(f"metadata is {metadata!r:.60}; it must be a mapping of fields to values")
    if len(metadata) > MAX_FIELDS:
        raise BadRowError(f"{len(metadata)} metadata fields; allowed are {MAX_FIELDS}; drop some columns")
    return {name: _stored(name, value) for name, value in metadata.items()}


def _stored(name: object, value: Any) -> Value:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_FIELD_NAME or not name.isprintable():
        raise BadRowError(f"metadata field {name!r:.60}: a name has 1 to {MAX_FIELD_NAME} printable characters")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise BadRowError(f"{name} is {value}; whole numbers must fit 64 bits; write it as text, or drop the column")
        return int(value)
    if isinstance(value, float):
        if math.isinf(value):
            raise BadRowError(f"{name} is {value}; numbers must be finite; mend it, or drop the column")
        return None if math.isnan(value) else float(value)
    text = value if isinstance(value, str) else _as_text(name, value)
    return clean_text(name, text, MAX_CHARACTERS) if text.strip() else None


def _as_text(name: str, value: Any) -> str:
    """What is neither text nor number, as text; empty for an empty list or object."""
    if isinstance(value, list | tuple | dict):
        try:
            return json.dumps(value, ensure_ascii=False, default=lambda part: _as_text(name, part)) if value else ""
        except (TypeError, ValueError, RecursionError) as error:
            raise BadRowError(f"{name} cannot be written as JSON ({error}); drop the column") from error
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, Decimal | timedelta | UUID):
        return str(value)
    raise BadRowError(f"{name} is {value!r:.60}, a {type(value).__name__}, which cannot be stored; drop the column")
