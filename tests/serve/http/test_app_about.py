"""What the application says of itself: info, health, documentation, page, admin and the record of each request."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import in_house
from stand_in import FIELDS, House

from xlret.errors import UserError
from xlret.serve.engine.local import LocalControl
from xlret.serve.http.access import Keys
from xlret.serve.http.app import build_app
from xlret.serve.schema.answers import Info


def test_info_tells_what_can_be_asked_for() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        info = Info.model_validate((await client.get("/v1/info")).json(), strict=True)
        assert info.release == "red"
        assert info.index.passages == 120
        assert info.index.fields == FIELDS
        assert info.index.languages["de"].model_dump() == {
            "count": 36,
            "name": "Deutsch",
            "english": "German",
            "direction": "ltr",
        }
        assert info.index.languages["ar"].direction == "rtl"
        assert info.balance == ["none", "quota", "calibrated"]
        assert info.encoder.dimensions == [8, 24]
        assert info.limits["queries"] == 64
        assert info.examples == ["Where is the cat?"]

    in_house(test)


def test_health_readiness_and_before_a_release_is_loaded() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        assert (await client.get("/healthz")).status_code == 200
        for found in (
            await client.get("/readyz"),
            await client.get("/v1/info"),
            await client.post("/v1/search", json={"query": "a"}),
            await client.post("/v1/embeddings", json={"input": "a"}),
            await client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}),
        ):
            assert (found.status_code, found.json()["error"]["code"]) == (503, "unavailable")
            assert int(found.headers["retry-after"]) >= 1
        async with house.client("red"):
            assert (await client.get("/readyz")).json() == {"release": "red"}
        house.gateway.gate.draining = True
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200

    in_house(test, release=None)


def test_it_is_not_ready_while_a_shards_file_is_cut_short() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.shards[1].damaged = "shard-0001.faiss was cut short"
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert "shard-0001.faiss was cut short" in answer.json()["error"]["message"]
        assert (await client.get("/healthz")).status_code == 200
        house.shards[1].damaged = None
        assert (await client.get("/readyz")).status_code == 200

    in_house(test)


def test_documentation_needs_nothing_from_elsewhere() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "http://" not in page.text
        assert "https://" not in page.text
        assert "<script" not in page.text
        for path in ("/v1/search", "/v1/embeddings", "/v1/rerank", "/v1/info", "/admin/release"):
            assert path in page.text
        assert (await client.get("/docs/style.css")).headers["content-type"].startswith("text/css")
        described = (await client.get("/openapi.json")).json()
        assert set(described["paths"]) == {
            "/v1/search", "/v1/embeddings", "/v1/rerank", "/v2/rerank", "/v1/models", "/v1/models/{name}", "/v1/info",
            "/healthz", "/readyz", "/admin/release", "/admin/status",
        }  # fmt: skip
        for methods in described["paths"].values():
            for about in methods.values():
                for status, answer in about["responses"].items():
                    if status >= "400":
                        assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
        assert "HTTPValidationError" not in json.dumps(described)

    in_house(test)


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/docs", "/docs/style.css", "/openapi.json", "/page/app.js", "/v1/info", "/v1/models"]
)
def test_head_is_answered_as_get_without_the_body(path: str) -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        got, asked = await client.get(path), await client.head(path)
        assert (got.status_code, asked.status_code, asked.content) == (200, 200, b"")
        for name in ("content-type", "content-length"):
            assert got.headers[name] == asked.headers[name]
        assert int(asked.headers["content-length"]) == len(got.content) > 0

    in_house(test)


def test_head_keeps_errors_and_posts_as_they_are() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        for path, status in (("/nothing", 404), ("/v1/search", 405)):
            found = await client.head(path)
            assert (found.status_code, found.content) == (status, b"")

    in_house(test)


def test_pages_of_other_origins_come_in_only_where_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"origin": "https://search.example"}
    preflight = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization, x-a"}

    async def closed(client: httpx.AsyncClient, house: House) -> None:
        found = await client.post("/v1/search", json={"query": "cat"}, headers=origin)
        assert (found.status_code, "access-control-allow-origin" in found.headers) == (200, False)
        found = await client.options("/v1/search", headers=preflight)
        assert (found.status_code, "access-control-allow-origin" in found.headers) == (405, False)

    in_house(closed)

    async def named(client: httpx.AsyncClient, house: House) -> None:
        found = await client.options("/v1/search", headers=preflight)  # a browser sends no key with it
        assert found.status_code == 200
        assert found.headers["access-control-allow-origin"] == "https://search.example"
        assert "POST" in found.headers["access-control-allow-methods"]
        assert found.headers["access-control-allow-headers"] == "authorization, x-a"
        found = await client.post("/v1/search", json={"query": "cat"}, headers=origin)  # refused, and the page may know why
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (401, "https://search.example")
        key = {"authorization": "Bearer api-key-0"}
        found = await client.post("/v1/search", json={"query": "cat"}, headers=origin | key)
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (200, "https://search.example")
        assert "x-request-id" in found.headers["access-control-expose-headers"]
        for other in ("https://evil.example", "http://search.example", "https://search.example.evil"):
            found = await client.post("/v1/search", json={"query": "cat"}, headers={"origin": other} | key)
            assert "access-control-allow-origin" not in found.headers

    monkeypatch.setenv("XLRET_CORS_ORIGINS", "https://search.example/, http://localhost:3000")
    monkeypatch.setenv("XLRET_API_KEYS", "api-key-0")
    in_house(named)
    for bad in ("search.example", "https://a.example/path", "https://*.example", "null"):
        monkeypatch.setenv("XLRET_CORS_ORIGINS", bad)
        with pytest.raises(UserError, match="XLRET_CORS_ORIGINS"):
            House()


def test_the_page_and_nothing_beside_it() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        page = await client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert (await client.head("/")).status_code == 200
        assert (await client.get("/page/app.js")).headers["content-type"].startswith("text/javascript")
        for path in ("/page/", "/page/app.py", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/page/nothing.js", "/static/x"):
            found = await client.get(path)
            assert (found.status_code, found.json()["error"]["code"]) == (404, "not_found")

    in_house(test)


def test_admin_swaps_with_a_key_only() -> None:
    async def run() -> None:
        house = House()
        control = LocalControl(house.gateway, Path("/releases"))
        house.app = build_app(house.gateway, control=control, keys=Keys.from_texts(["api-key-0"], ["admin-key-0"]))
        admin, api = {"authorization": "Bearer admin-key-0"}, {"authorization": "Bearer api-key-0"}
        async with house.client() as client:
            for headers in ({}, api, {"authorization": "Bearer nonsense"}):
                found = await client.post("/admin/release", json={"release": "blue"}, headers=headers)
                assert (found.status_code, found.json()["error"]["code"]) == (401, "unauthorized")
                assert (await client.get("/admin/status", headers=headers)).status_code == 401
            found = await client.post("/admin/release", json={"release": "blue"}, headers=admin)
            assert found.json()["release"] == "blue"
            assert (await client.post("/v1/search", json={"query": "cat"})).status_code == 401
            found = await client.post("/v1/search", json={"query": "cat"}, headers=api)
            assert found.json()["release"] == "blue"
            await house.gateway.settled()
            status = (await client.get("/admin/status", headers=admin)).json()
            assert (status["release"], status["leaving"], status["down"]) == ("blue", [], [])
            tricks = ("../blue", "/etc/passwd", "blue/../red", "", ".", "..", "B", "a" * 65, "a\u0000b", "%2e%2e", "nothing")
            for name in tricks:
                found = await client.post("/admin/release", json={"release": name}, headers=admin)
                assert (found.status_code, found.json()["error"]["code"]) == (422, "invalid_request")
            assert house.gateway.release == "blue"

    asyncio.run(run())


def test_each_request_is_recorded_without_its_words() -> None:
    async def run() -> None:
        records = []
        house = House()
        house.app = build_app(house.gateway, observers=[records.append])
        async with house.client() as client:
            await client.post("/v1/search", json={"queries": ["secret cat", "dog"], "top_k": 3})
            await client.post("/v1/search", json={"query": ""})
        good, bad = records
        assert (good.status, good.release, good.texts, good.shards_ok, good.shards_failed) == (200, "red", 2, 4, 0)
        assert sum(good.hits.values()) == 6
        assert set(good.took_ms) == {"read", "parse", "encode", "search", "rerank", "highlight", "total", "write"}
        assert sum(good.corpus.values()) == pytest.approx(1)
        assert good.queries is None
        assert (bad.status, bad.error) == (422, "invalid_request")
        assert min(good.ms, bad.ms, good.bytes_out, bad.bytes_out) > 0

    asyncio.run(run())


def test_a_control_that_is_gone_is_unavailable_and_not_an_unexpected_error() -> None:
    class Gone:
        async def swap(self, name: str) -> dict[str, Any]:
            raise ConnectionError("the actor died")

        async def status(self) -> dict[str, Any]:
            raise ConnectionError("the actor died")

    async def run() -> None:
        house = House()
        house.app = build_app(house.gateway, control=Gone(), keys=Keys.from_texts(admin=["admin-key-0"]))
        admin = {"authorization": "Bearer admin-key-0"}
        async with house.client() as client:
            for found in (
                await client.post("/admin/release", json={"release": "blue"}, headers=admin),
                await client.get("/admin/status", headers=admin),
            ):
                assert (found.status_code, found.json()["error"]["code"]) == (503, "unavailable")
                assert "retry-after" in found.headers

    asyncio.run(run())


def test_below_another_root_the_same_paths_need_keys_and_take_bodies() -> None:
    async def run() -> None:
        house = House()
        control = LocalControl(house.gateway, Path("/releases"))
        app = build_app(house.gateway, control=control, keys=Keys.from_texts(admin=["admin-key-0"]))
        await house.gateway.swap(Path("/releases/red"))
        transport = httpx.ASGITransport(app, root_path="/below")
        async with httpx.AsyncClient(transport=transport, base_url="http://house") as client:
            assert (await client.get("/below/admin/status")).status_code == 401
            found = await client.post("/below/v1/search", json={"query": "cat"})
            assert (found.status_code, found.json()["release"]) == (200, "red")

    asyncio.run(run())


def test_a_websocket_is_closed_before_it_is_open() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(House().app({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1000}]
