"""JSON as it should be: what standard parsers let pass and later stages stumble over is refused here."""

import json
from typing import Any

from fastapi import Request
from pydantic_core import from_json

from xlret.serve.errors import ApiError


def parse(body: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ApiError: 400: no JSON, not UTF-8, NaN or infinity, nested deeper than 200, a number of thousands of digits, half of
            a surrogate pair, or the same key twice in one object.

    >>> parse(b'{"query": "Wo?"}')
    {'query': 'Wo?'}
    """
    try:
        from_json(body, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON that can be used: {error}") from None
    try:
        return json.loads(body, object_pairs_hook=_distinct, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON that can be used: {error}") from None


class StrictRequest(Request):
    """A request whose JSON is parsed by `parse`."""

    async def json(self) -> Any:
        """The body's value. Raises ApiError as `parse`."""
        return parse(await self.body())


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {ascii(twice)[:80]} stands twice in one object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return number
