"""JSON as it should be: what standard parsers let pass and later stages stumble over is refused here."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from fastapi import Request

from xlret.serve.errors import ApiError

_DEEPEST = 200
"""Lists and objects inside each other; whatever walks through a value may do so by recursion."""


def parse(body: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ApiError: 400: no JSON, not UTF-8, NaN or infinity, nested deeper than 200, a number of thousands of digits, half of
            a surrogate pair, or the same key twice in one object.

    >>> parse(b'{"query": "Wo?"}')
    {'query': 'Wo?'}
    """
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_distinct, parse_float=_finite, parse_constant=_no_constant)
        if b"\\u" in body:  # only an escape can name half of a surrogate pair: UTF-8 has none
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        if body.count(b"[") + body.count(b"{") > _DEEPEST:
            _check_depth(value)
    except UnicodeEncodeError:
        raise _unusable("it holds half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise _unusable(str(error)) from None
    return value


class StrictRequest(Request):
    """A request whose JSON is parsed by `parse`."""

    async def json(self) -> Any:
        """The body's value. Raises ApiError as `parse`."""
        return parse(await self.body())


def _unusable(why: str) -> ApiError:
    return ApiError(400, f"the body is not JSON that can be used: {why}")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {ascii(twice)[:80]} stands twice in one object")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _members(outer)]
    if level:
        raise ValueError(f"it is nested deeper than {_DEEPEST}")


def _members(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer
