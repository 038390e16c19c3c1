"""Bad input: the documented answer to each, quickly, in one form, and the server lives on."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from stand_in import House

from xlret.serve.schema.answers import ErrorAnswer
from xlret.serve.schema.requests import EmbeddingsRequest, RerankRequest, SearchRequest

OK = {"query": "cat"}
SEARCH: list[tuple[int, Any]] = [
    # not JSON that can be used
    (400, b"{"),
    (422, b""),
    (400, b"\xff\xfe"),
    (400, b'{"query": "cat"'),
    (400, b'{"query": "cat"} x'),
    (400, b'{"query": "cat", "top_k": NaN}'),
    (400, b'{"query": "cat", "top_k": Infinity}'),
    (400, b'{"query": "cat", "filter": {"year": -Infinity}}'),
    (400, b'{"query": "cat", "filter": {"year": 1e999}}'),
    (400, b'{"query": "cat", "query": "dog"}'),
    (400, b'{"query": "cat", "filter": {"year": 1, "year": 2}}'),
    (400, b'{"query": "\\ud800"}'),
    (400, b'{"query": "a\\udc00b"}'),
    (400, b'{"query": "a", "\\ud800": 1}'),
    (400, b'{"query": "cat\x00"}'),
    (400, b"[" * 100_000 + b"]" * 100_000),
    (400, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    (400, b'{"query": "cat", "top_k": ' + b"9" * 5000 + b"}"),
    # JSON of another shape
    (422, b"null"),
    (422, b"[]"),
    (422, b'"cat"'),
    (422, b"3"),
    (422, {}),
    (422, {"query": None}),
    (422, {"query": 3}),
    (422, {"query": ["cat"]}),
    (422, {"query": {"text": "cat"}}),
    (422, {"query": ""}),
    (422, {"query": "  \n\t\u3000"}),
    (422, {"query": "a\u0000b"}),
    (422, {"query": "x" * 4097}),
    (422, {"query": "x" * 1_000_000}),
    (422, {"query": "a" + "\u0301" * 4000}),
    (422, {"query": "a" + "\u0301\u0316" * 1000}),
    (422, {"query": "cat", "queries": ["dog"]}),
    (422, {"queries": []}),
    (422, {"queries": ["cat"] * 65}),
    (422, {"queries": ["cat"] * 10_000}),
    (422, {"queries": ["cat", ""]}),
    (422, {"queries": "cat"}),
    (422, {"queries": ["cat"] * 64, "top_k": 1000}),
    (422, OK | {"topk": 3}),
    (422, OK | {"top_k": 0}),
    (422, OK | {"top_k": -1}),
    (422, OK | {"top_k": 1001}),
    (422, OK | {"top_k": 10**9}),
    (422, OK | {"top_k": 10**400}),
    (422, OK | {"top_k": "10"}),
    (422, OK | {"top_k": 1.5}),
    (422, OK | {"top_k": True}),
    (422, {"query": None, "queries": None}),
    (422, {"queries": ["cat", None]}),
    (422, OK | {"languages": ["tlh-nonsense-x"]}),
    (422, OK | {"languages": ["ja"]}),
    (422, OK | {"languages": []}),
    (422, OK | {"languages": ["de"] * 201}),
    (422, OK | {"languages": ["d" * 36]}),
    (422, OK | {"languages": ["../de"]}),
    (422, OK | {"languages": "de"}),
    (422, OK | {"query_language": "klingonisch"}),
    (422, OK | {"query_language": ""}),
    (422, OK | {"filter": {"colour": "red"}}),
    (422, OK | {"filter": {"year": "2000"}}),
    (422, OK | {"filter": {"year": {"near": 3}}}),
    (422, OK | {"filter": {"year": {"in": []}}}),
    (422, OK | {"filter": {"year": {"gte": None}}}),
    (422, OK | {"filter": {"year": [1]}}),
    (422, OK | {"filter": {"year": {"gte": 10**30}}}),
    (422, OK | {"filter": {"rare": {"gte": True}}}),
    (422, OK | {"filter": {f"f{n}": 1 for n in range(21)}}),
    (422, OK | {"filter": {"year": {"in": list(range(10_000))}}}),
    (422, OK | {"filter": {"'; DROP TABLE passages; --": 1}}),
    (422, OK | {"filter": []}),
    (422, OK | {"filter": "year = 2000"}),
    (422, OK | {"exclude_ids": ["x"] * 1001}),
    (422, OK | {"exclude_ids": [1]}),
    (422, OK | {"exclude_ids": ["x" * 1025]}),
    (422, OK | {"balance": "fair"}),
    (422, OK | {"rerank": "yes"}),
    (422, OK | {"rerank": 1}),
    (422, OK | {"nprobe": 0}),
    (422, OK | {"ef": 10**9}),
    (422, OK | {"timeout_ms": 0}),
    (422, OK | {"timeout_ms": 30_001}),
    (422, OK | {"highlight": "no"}),
    # odd, but text
    (200, {"query": "😀"}),
    (200, {"query": "👩‍👩‍👧‍👦" * 50}),
    (200, {"query": "\u202ekcab ot tnorf\u202c \u200f\u200e"}),
    (200, {"query": "x" * 4096}),
    (200, {"query": "ﷺ" * 4096}),
    (200, {"query": "<script>alert(1)</script>"}),
    (200, {"query": "a\r\nX-Injected: yes"}),
    (200, {"query": "\ufeffcat\uffff\U0010ffff"}),
    (200, {"query": "\u0085\x07 bell"}),
    (200, {"query": "'; DROP TABLE passages; --"}),
    (200, {"query": "ก็" * 200 + " กำ ที่"}),
    (200, {"query": "각 각 İstanbul ıI ß SS ǆ"}),
    (200, b'{"query": "cat \\ud83d\\ude00"}'),
    (200, OK | dict.fromkeys(SearchRequest.model_fields.keys() - {"query"})),
    (200, OK | {"languages": ["de", "deu", "de"]}),
    (200, OK | {"filter": {}}),
    (200, OK | {"filter": {"kind": "a\u0000b"}}),
    (200, OK | {"exclude_ids": ["x"] * 1000}),
    (200, OK | {"top_k": 1000}),
    (200, OK | {"timeout_ms": 30_000}),
    (200, {"queries": ["cat"] * 64}),
]  # fmt: skip
EMBEDDINGS: list[tuple[int, Any]] = [
    (422, {}),
    (422, {"input": []}),
    (422, {"input": ""}),
    (422, {"input": [""]}),
    (422, {"input": None}),
    (422, {"input": 3}),
    (422, {"input": {"text": "a"}}),
    (400, {"input": [1, 2, 3]}),
    (400, {"input": [[1, 2, 3], [4]]}),
    (400, {"input": [[]]}),
    (422, {"input": ["a", 3]}),
    (422, {"input": [True]}),
    (422, {"input": ["a"] * 2049}),
    (422, {"input": ["a", None]}),
    (422, {"input": "a" * 32_769}),
    (422, {"input": "a\u0000"}),
    (400, b'{"input": "\\udfff"}'),
    (422, {"input": "a", "encoding_format": "int8"}),
    (400, {"input": "a", "dimensions": 5}),
    (422, {"input": "a", "dimensions": 0}),
    (422, {"input": "a", "dimensions": "8"}),
    (404, {"input": "a", "model": "text-embedding-3-small"}),
    (422, {"input": "a", "model": 3}),
    (422, {"input": "a", "input_type": "search_query"}),
    (422, {"input": "a", "task": "x"}),
    (200, {"input": "a", "user": "somebody", "model": "red", "dimensions": 24, "encoding_format": "float"}),
    (200, {"input": ["a"] * 2048}),
    (200, {"input": ["a"]} | dict.fromkeys(EmbeddingsRequest.model_fields.keys() - {"input"})),
]
RERANK: list[tuple[int, Any]] = [
    (422, {}),
    (422, {"query": "a"}),
    (422, {"query": "a", "documents": []}),
    (422, {"query": "", "documents": ["b"]}),
    (422, {"query": "a", "documents": [""]}),
    (422, {"query": "a", "documents": "b"}),
    (422, {"query": "a", "documents": [1]}),
    (422, {"query": "a", "documents": [{"title": "b"}]}),
    (422, {"query": "a", "documents": [{"text": None}]}),
    (422, {"query": "a", "documents": [{"text": " "}]}),
    (422, {"query": "a", "documents": [{"text": "b\u0000"}]}),
    (422, {"query": "a", "documents": [{}]}),
    (422, {"query": "a", "documents": [{"text": "b"}], "rank_fields": []}),
    (422, {"query": "a", "documents": [{"text": "b"}], "rank_fields": ["title"]}),
    (422, {"query": "a", "documents": [{"text": "b" * 32_769}]}),
    (422, {"query": "a", "documents": [None]}),
    (422, {"query": "a", "documents": ["b"], "max_tokens_per_doc": 0}),
    (422, {"query": "a", "documents": ["b"], "return_documents": "yes"}),
    (422, {"query": "a", "documents": ["b"] * 257}),
    (422, {"query": "a", "documents": ["b" * 32_769]}),
    (422, {"query": "a", "documents": ["b"], "top_n": 0}),
    (404, {"query": "a", "documents": ["b"], "model": "rerank-v3.5"}),
    (200, {"query": "a", "documents": ["b"], "top_n": 100}),
    (200, {"query": "a", "documents": ["b"]} | dict.fromkeys(RerankRequest.model_fields.keys() - {"query", "documents"})),
    (200, {"query": "a", "documents": ["b", {"text": "b", "title": None, "n": 1, "tags": ["x"]}]}),
]
ADMIN: list[tuple[int, Any]] = [
    (401, {}),
    (401, {"release": "../../etc/passwd"}),
    (401, b"{"),
]
CASES = [
    (path, status, body)
    for path, cases in (
        ("/v1/search", SEARCH),
        ("/v1/embeddings", EMBEDDINGS),
        ("/v1/rerank", RERANK),
        ("/v2/rerank", RERANK),
        ("/admin/release", ADMIN),
    )
    for status, body in cases
]


def checked(found: httpx.Response, status: int) -> None:
    """The status, and an error in the one form."""
    assert found.status_code == status, found.text[:500]
    json.loads(found.text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    if status >= 400:
        error = ErrorAnswer.model_validate(found.json(), strict=True).error
        assert error.request_id == found.headers["x-request-id"]
        assert 10 <= len(error.message) < 600
        assert found.text.isascii()
        assert ("retry-after" in found.headers) == (status in (429, 503))


def test_every_bad_input_has_its_documented_answer_and_the_server_lives_on() -> None:
    async def run() -> None:
        house = House(load={"texts": 2000})
        async with house.client() as client:
            for path, status, body in CASES:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                found = await client.post(path, content=content, headers={"content-type": "application/json"})
                try:
                    checked(found, status)
                except AssertionError as error:
                    raise AssertionError(f"{path} {content[:200]!r}: {error}") from error
            found = await client.post("/v1/search", json=OK)
            assert (found.status_code, found.json()["partial"]) == (200, False)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("field", "body", "words"),
    [
        ("languages", OK | {"languages": ["ja"]}, "en, de, fr, ar"),
        ("filter", OK | {"filter": {"colour": 1}}, "kind, rare, year"),
        ("top_k", OK | {"top_k": 10**9}, "1000"),
        ("balance", OK | {"balance": "fair"}, "'none', 'quota' or 'calibrated'"),
        ("query", {"query": ""}, "at least 1 character"),
        ("queries.1", {"queries": ["a", " "]}, "only spaces"),
        ("topk", OK | {"topk": 1}, "/docs"),
        (None, {}, "exactly one of query and queries"),
    ],
)
def test_an_error_names_the_field_and_what_is_allowed(field: str | None, body: dict[str, Any], words: str) -> None:
    async def run() -> None:
        async with House().client() as client:
            error = (await client.post("/v1/search", json=body)).json()["error"]
            assert error["field"] == field
            assert words in error["message"]

    asyncio.run(run())


def test_lower_limits_of_the_settings_hold() -> None:
    async def run() -> None:
        limits = {"queries": 2, "query_chars": 10, "top_k": 20, "hits": 30, "inputs": 2, "input_chars": 20, "documents": 2}
        async with House(limits=limits).client() as client:
            for path, body in (
                ("/v1/search", {"queries": ["a"] * 3}),
                ("/v1/search", {"query": "a" * 11}),
                ("/v1/search", {"query": "a", "top_k": 21}),
                ("/v1/search", {"queries": ["a", "b"], "top_k": 16}),
                ("/v1/embeddings", {"input": ["a"] * 3}),
                ("/v1/embeddings", {"input": "a" * 21}),
                ("/v1/rerank", {"query": "a", "documents": ["a"] * 3}),
                ("/v1/rerank", {"query": "a" * 11, "documents": ["a"]}),
                ("/v1/rerank", {"query": "a", "documents": ["a" * 21]}),
            ):
                checked(await client.post(path, json=body), 422)
            checked(await client.post("/v1/search", json={"queries": ["a", "b"], "top_k": 15}), 200)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/search", 405),
        ("DELETE", "/v1/search", 405),
        ("PUT", "/v1/info", 405),
        ("OPTIONS", "/v1/search", 405),
        ("TRACE", "/", 405),
        ("GET", "/v1/", 404),
        ("GET", "/v1/search/", 405),
        ("GET", "/v1///models//", 200),
        ("GET", "/v1/models/red/", 200),
        ("GET", "/v1/models/current", 200),
        ("GET", "/v1/models/gpt-4o", 404),
        ("GET", "/nothing/%00", 404),
        ("GET", "/%ff", 404),
        ("GET", "/v1/info?x=%ff&y=" + "a" * 5000, 200),
        ("GET", "/" + "a" * 5000, 404),
        ("GET", "/..%2f..%2fetc/passwd", 404),
        ("GET", "/redoc", 404),
    ],
)
def test_addresses_and_methods_that_are_not_there(method: str, path: str, status: int) -> None:
    async def run() -> None:
        async with House().client() as client:
            found = await client.request(method, path)
            checked(found, status)
            if status == 405:
                assert found.headers["allow"]

    asyncio.run(run())
