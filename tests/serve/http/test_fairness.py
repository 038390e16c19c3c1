"""Who a request is from, and that one client leaves something to the others."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Raw, served
from stand_in import House, until
from starlette.types import Receive, Scope, Send

from xlret.errors import UserError
from xlret.serve.engine.admission import Gate
from xlret.serve.errors import ApiError
from xlret.serve.http.sources import Sources
from xlret.serve.settings import LoadSettings

SERVER = ("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("client", "forwarded", "source"),
    [
        ("198.51.100.9", None, "198.51.100.9"),
        ("198.51.100.9", "203.0.113.5", "198.51.100.9"),  # says so itself: not believed
        ("127.0.0.1", "203.0.113.5", "203.0.113.5"),  # HAProxy on this machine
        ("192.0.2.1", "203.0.113.5", "203.0.113.5"),  # the same by the machine's other address
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.7", "203.0.113.5", "203.0.113.5"),  # a proxy that the settings name
        ("127.0.0.1", "6.6.6.6, 203.0.113.5", "203.0.113.5"),  # what a client put there itself comes first
        ("127.0.0.1", "203.0.113.5, 10.0.0.7", "203.0.113.5"),  # through two proxies
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        (None, "203.0.113.5", ""),
    ],
)
def test_the_address_of_a_client(client: str | None, forwarded: str | None, source: str) -> None:
    scope = {"client": None if client is None else (client, 4711), "server": SERVER}
    headers = {} if forwarded is None else {b"x-forwarded-for": forwarded.encode()}
    assert Sources(["10.0.0.0/24"]).address(scope, headers) == source


def test_a_trusted_proxy_that_is_no_address_is_one_line() -> None:
    with pytest.raises(UserError, match=r"load\.trusted_proxies.*proxy\.example"):
        Sources(["proxy.example"])


def test_one_source_never_takes_all_and_others_get_what_is_left() -> None:
    gate = Gate(LoadSettings(requests=16, reading=16, held_bytes=4096, source_share=0.75))
    held = []

    def enter(source: str) -> None:
        context = gate.enter(1, source)
        context.__enter__()
        held.append(context)

    for _ in range(12):
        enter("a")
    with pytest.raises(ApiError, match="from your address") as refused:
        enter("a")
    assert (refused.value.status_code, refused.value.retry_after) == (429, 1.0)
    for _ in range(3):
        enter("b")
    with pytest.raises(ApiError):
        enter("b")
    enter("c")  # the last one that is free
    with pytest.raises(ApiError, match="which is the most"):
        enter("d")
    for context in held:
        context.__exit__(None, None, None)
    assert gate.requests == 0
    assert not gate._requests_of  # addresses that have gone are forgotten
    for _ in range(2):  # a body of any size passes; the second one of the same client has to fit
        with gate.hold("a") as more:
            more(4000)
            with gate.hold("a") as second, pytest.raises(ApiError, match="bodies"):
                second(200)
            with gate.hold("b") as other:
                other(60)
    assert gate.held_bytes == 0
    assert not gate._bytes_of


def test_dribbling_bodies_of_one_client_leave_the_others_in() -> None:
    house = House(load={"reading": 16}, limits={"body_s": 20.0})
    head = "POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and house.gateway.release is None:
            await house.gateway.swap(Path("/releases/red"))
        await house.app(scope, receive, send)

    with served(app) as port:
        slow = [Raw(port) for _ in range(40)]
        for connection in slow:
            connection.send(f"{head}X-Forwarded-For: 203.0.113.66\r\n\r\n{{".encode())
        end = time.monotonic() + 60
        while house.gateway.gate.reading < 12 and time.monotonic() < end:
            time.sleep(0.01)
        assert house.gateway.gate.reading == 12
        for number in range(20):
            headers = {"x-forwarded-for": f"198.51.100.{number}"}
            found = httpx.post(f"http://127.0.0.1:{port}/v1/search", json={"query": "cat"}, headers=headers, timeout=60)
            assert found.status_code == 200, found.text
        found = httpx.post(
            f"http://127.0.0.1:{port}/v1/search", json={"query": "cat"}, headers={"x-forwarded-for": "203.0.113.66"}, timeout=60
        )
        assert (found.status_code, found.json()["error"]["code"]) == (429, "overloaded")
        for connection in slow:
            connection.close()


def test_many_requests_of_one_client_leave_the_others_in() -> None:
    async def run() -> None:
        house = House(load={"requests": 8})
        async with house.client() as client:
            house.encoder.trouble.free.clear()

            def ask(source: str, number: int) -> "asyncio.Task[httpx.Response]":
                body = {"query": f"cat {source} {number}", "timeout_ms": 30_000}
                return asyncio.ensure_future(client.post("/v1/search", json=body, headers={"x-forwarded-for": source}))

            greedy = [ask("203.0.113.66", number) for number in range(30)]
            await until(lambda: sum(task.done() for task in greedy) == 30 - 6)
            modest = [ask(f"198.51.100.{number}", number) for number in range(2)]
            await until(lambda: house.gateway.gate.requests == 8)
            house.encoder.trouble.free.set()
            assert [(await task).status_code for task in modest] == [200, 200]
            answers = await asyncio.gather(*greedy)
            assert sorted(answer.status_code for answer in answers) == [200] * 6 + [429] * 24

    asyncio.run(run())


def test_who_would_wait_too_long_is_refused_unread_and_who_has_the_time_is_not() -> None:
    async def run() -> None:
        house = House(deadline={"timeout_ms": 1000}, batch={"encoder_calls": 1, "queries": 1, "cache_bytes": 0})
        house.encoder.trouble.seconds = 0.2
        async with house.client() as client:

            async def ask(**more: Any) -> httpx.Response:
                return await client.post("/v1/search", json={"query": "cat", "highlight": False, "timeout_ms": 30_000, **more})

            assert (await ask()).status_code == 200  # now it is known how long a question takes
            assert house.gateway.status()["wait_ms"] == 0
            waiting = [asyncio.ensure_future(ask(query=f"cat {number}")) for number in range(8)]
            await until(lambda: house.gateway.status()["wait_ms"] > 1000)
            kind = {"content-type": "application/json"}
            refused = await client.post("/v1/search", content=b"{no json", headers=kind)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert "questions wait for" in refused.json()["error"]["message"]
            short = await ask(timeout_ms=1500)
            assert (short.status_code, short.json()["error"]["code"]) == (429, "overloaded")
            assert (await client.get("/v1/info")).status_code == 200
            assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 8
            assert (await ask(timeout_ms=1500)).status_code == 200
            assert house.encoder.trouble.calls == 10  # nothing was encoded for those that were refused

    asyncio.run(run())
