"""Tests of the HTTP application over a house of stand-ins: running one with a client, searching, and what is expected."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import numpy as np
from stand_in import House, vector, world

from xlret.serve.schema.answers import SearchAnswer

Test = Callable[[httpx.AsyncClient, House], Coroutine[Any, Any, None]]


def in_house(test: Test, release: str | None = "red", **settings: Any) -> None:
    """Runs a test with a client."""

    async def run() -> None:
        house = House(**settings)
        async with house.client(release) as client:
            await test(client, house)

    asyncio.run(run())


async def search(client: httpx.AsyncClient, **body: Any) -> SearchAnswer:
    """A search that must succeed; the answer is held against the schema."""
    found = await client.post("/v1/search", json=body)
    assert found.status_code == 200, found.text
    answer = SearchAnswer.model_validate(found.json(), strict=True)
    assert found.headers["x-request-id"] == answer.request_id
    assert found.headers["content-type"] == "application/json"
    return answer


def ids(answer: SearchAnswer, number: int = 0) -> list[str]:
    """The ids found for one question."""
    return [hit.id for hit in answer.results[number].hits]


def expected(text: str, top_k: int, keep: Callable[[Any], bool] = lambda passage: True) -> list[str]:
    """What an exact search over everything finds."""
    kept = [one for one in world("red") if keep(one)]
    query = vector(text)
    return [one.id for one in sorted(kept, key=lambda one: (-np.float32(vector(one.text) @ query), one.id))[:top_k]]
