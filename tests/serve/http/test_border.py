"""The border on a real server: bodies too large, too slow, of the wrong kind, too many, and clients that leave."""

import asyncio
import json
import time
from collections.abc import Iterator

import httpx
import pytest
from served import Raw, served
from starlette.types import Receive, Scope, Send

from xlret.errors import UserError
from xlret.serve.engine.admission import Gate
from xlret.serve.errors import ApiError
from xlret.serve.http.access import Keys
from xlret.serve.http.border import Border
from xlret.serve.http.sources import Sources
from xlret.serve.record import RequestRecord
from xlret.serve.settings import LimitSettings, LoadSettings

MOST = 4096
POSTED = {"/v1/x", "/v1/hang"}
API, OTHER, ADMIN = "api-key-1", "api-key-2", "admin-key"


class Inside:
    """An application that says how long a body was; on /v1/hang it hangs, on /v1/break it breaks."""

    def __init__(self) -> None:
        self.bodies: list[int] = []
        self.hanging = 0
        self.cancelled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        message = await receive()
        self.bodies.append(len(message["body"]))
        if scope["path"] == "/v1/hang":
            self.hanging += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.hanging -= 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class House:
    """A served border with everything a test looks at."""

    def __init__(self, port: int, inside: Inside, gate: Gate, records: list[RequestRecord]) -> None:
        self.port, self.inside, self.gate, self.records = port, inside, gate, records
        self.url = f"http://127.0.0.1:{port}"

    def raw(self, head: str, body: bytes = b"") -> Raw:
        """A connection on which a request was begun."""
        connection = Raw(self.port)
        connection.send(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        return connection


@pytest.fixture
def house() -> Iterator[House]:
    inside, records, gate = Inside(), [], Gate(LoadSettings(requests=2, texts=10, reading=3))
    border = Border(inside, LimitSettings(body_bytes=MOST, body_s=0.5), gate, Keys(), [records.append], POSTED, Sources(), {})
    with served(border) as port:
        yield House(port, inside, gate, records)


def error(body: bytes) -> dict[str, object]:
    found = json.loads(body)
    assert set(found) == {"error"}
    assert set(found["error"]) == {"code", "message", "field", "request_id"}
    return found["error"]


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("size", [0, 1, MOST - 1, MOST])
def test_bodies_up_to_the_limit_come_in(house: House, size: int) -> None:
    found = httpx.post(house.url + "/v1/x", content=b"x" * size, headers=JSON)
    assert (found.status_code, house.inside.bodies) == (200, [size])
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in found.headers["content-security-policy"]


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(house: House) -> None:
    connection = house.raw(f"POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: {MOST + 1}")
    status, headers, body = connection.answer()
    assert (status, error(body)["code"], headers["connection"]) == (413, "too_large", "close")
    assert house.inside.bodies == []


def test_a_chunked_body_is_cut_off_at_the_limit(house: House) -> None:
    connection = house.raw("POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nTransfer-Encoding: chunked")
    for _ in range(6):
        connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    status, _, body = connection.answer()
    assert (status, error(body)["code"]) == (413, "too_large")
    assert house.inside.bodies == []


def test_a_client_that_sends_on_gets_to_read_its_413(house: House) -> None:
    found = httpx.post(house.url + "/v1/x", content=b"x" * (8 * 2**20), headers=JSON, timeout=60)
    assert found.status_code == 413


def test_a_body_that_dribbles_in_is_cut_off(house: House) -> None:
    connection = house.raw("POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 100", b"{")
    end = time.monotonic() + 60
    while connection.send(b" ") and time.monotonic() < end and not house.records:
        time.sleep(0.05)
    status, headers, body = connection.answer()
    assert (status, error(body)["code"], headers["connection"]) == (408, "timeout", "close")
    assert house.inside.bodies == []


def test_a_client_that_leaves_in_the_middle_of_its_body(house: House) -> None:
    house.raw("POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 100", b"{").close()
    until(lambda: len(house.records) == 1)
    assert house.records[0].status == 499
    assert house.gate.reading == 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json; charset="utf-8"', 200),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json2", 415),
        ("", 415),
        ("application/\xff", 415),
    ],
)
def test_content_types(house: House, kind: str, status: int) -> None:
    connection = house.raw(f"POST /v1/x HTTP/1.1\nHost: x\nContent-Type: {kind}\nContent-Length: 2", b"{}")
    found, _, body = connection.answer()
    assert found == status
    if status != 200:
        assert error(body)["code"] == "unsupported_media_type"


def test_no_content_type_and_compressed_bodies(house: House) -> None:
    assert house.raw("POST /v1/x HTTP/1.1\nHost: x\nContent-Length: 2", b"{}").answer()[0] == 415
    for kind in ("gzip", "br", "deflate, gzip"):
        found = httpx.post(house.url + "/v1/x", content=b"{}", headers={**JSON, "content-encoding": kind})
        assert found.status_code == 415
    assert house.inside.bodies == []


def test_too_many_at_a_time_are_refused_at_once_and_come_in_later(house: House) -> None:
    with house.gate.enter(3), house.gate.enter(3):
        found = httpx.post(house.url + "/v1/x", content=b"{}", headers=JSON)
        assert (found.status_code, error(found.content)["code"], found.headers["retry-after"]) == (429, "overloaded", "1")
        assert httpx.get(house.url + "/healthz").status_code == 200
    assert httpx.post(house.url + "/v1/x", content=b"{}", headers=JSON).status_code == 200


def test_the_gate_counts_texts_and_lets_one_large_request_in() -> None:
    gate = Gate(LoadSettings(requests=5, texts=10))
    with gate.enter(50):
        with pytest.raises(ApiError) as refused, gate.enter(1):
            pass
        assert refused.value.status_code == 429
    with gate.enter(9), gate.enter(1), pytest.raises(ApiError), gate.enter(1):
        pass
    assert (gate.requests, gate.texts) == (0, 0)
    gate.draining = True
    with pytest.raises(ApiError) as refused, gate.enter(1):
        pass
    assert refused.value.status_code == 503


def test_many_slow_bodies_do_not_take_the_server(house: House) -> None:
    head = "POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 100"
    slow = [house.raw(head, b"{") for _ in range(8)]
    statuses = sorted(connection.answer()[0] for connection in slow)
    assert set(statuses) == {408, 429}
    assert statuses.count(408) == 3
    assert house.gate.reading == 0


def test_bodies_are_bounded_all_together(house: House) -> None:
    house.gate.settings = LoadSettings(held_bytes=5000, reading=100)
    head = "POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 4000"
    first = house.raw(head, b"x" * 3000)
    until(lambda: house.gate.held_bytes == 3000)
    second = house.raw(head, b"x" * 3000)
    status, headers, body = second.answer()
    assert (status, error(body)["code"], headers["connection"]) == (429, "overloaded", "close")
    first.send(b"x" * 1000)
    assert first.answer()[0] in (200, 408)  # 408 where the machine was too busy in between
    second.close()
    until(lambda: house.gate.held_bytes == 0)


def test_a_client_that_asks_first_is_not_told_to_send_what_is_refused(house: House) -> None:
    head = "POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nExpect: 100-continue\nContent-Length: "
    connection = house.raw(head + str(MOST + 1))
    assert connection.answer()[0] == 413
    assert connection.rest() == b""
    connection = house.raw(head + "2")
    assert connection.socket.recv(65536).startswith(b"HTTP/1.1 100")
    connection.send(b"{}")
    assert connection.answer()[0] == 200


def test_a_connection_lives_on_after_an_error_when_nothing_is_left_unread(house: House) -> None:
    with house.gate.enter(1), house.gate.enter(1):
        connection = house.raw("POST /v1/x HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 2", b"{}")
        status, headers, _ = connection.answer()
        assert (status, headers.get("connection")) == (429, None)
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.answer()[0] == 200


def test_work_is_cancelled_when_the_client_leaves(house: House) -> None:
    connection = house.raw("POST /v1/hang HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 2", b"{}")
    until(lambda: house.inside.hanging == 1)
    connection.close()
    until(lambda: house.inside.cancelled == 1)
    until(lambda: [record.status for record in house.records] == [499])


def test_request_ids(house: House) -> None:
    own = httpx.get(house.url + "/v1/x", headers={"x-request-id": "abc-1.2_3"})
    assert own.headers["x-request-id"] == "abc-1.2_3"
    for bad in ("a" * 65, "a b", "a;b", "é".encode()):
        found = httpx.get(house.url + "/v1/x", headers=[(b"x-request-id", bad if isinstance(bad, bytes) else bad.encode())])
        assert len(found.headers["x-request-id"]) == 32
    refused = httpx.post(house.url + "/v1/x", content=b"{}", headers={"x-request-id": "mine"})
    assert error(refused.content)["request_id"] == refused.headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/x", None, 401),
        ("/v1/x", "", 401),
        ("/v1/x", "wrong", 401),
        ("/v1/x", API, 200),
        ("/v1/x", OTHER, 200),
        ("/v1/x", ADMIN, 200),
        ("/admin/status", None, 401),
        ("/admin/status", API, 401),
        ("/admin/status", ADMIN, 200),
        ("/admin", API, 401),
        ("/anything", None, 401),
        ("//v1/x", None, 401),
        ("/", None, 200),
        ("/healthz", None, 200),
        ("/readyz", None, 200),
        ("/docs", None, 200),
        ("/openapi.json", None, 200),
        ("/page/app.js", None, 200),
    ],
)
def test_keys(path: str, key: str | None, status: int) -> None:
    async def run() -> httpx.Response:
        border = Border(
            Inside(), LimitSettings(), Gate(LoadSettings()), Keys.from_texts([API, OTHER], [ADMIN]), [], POSTED, Sources(), {}
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(border), base_url="http://x") as client:
            request = client.build_request("GET", "/", headers={} if key is None else {"authorization": f"Bearer {key}"})
            request.url = request.url.copy_with(raw_path=path.encode())
            return await client.send(request)

    found = asyncio.run(run())
    assert found.status_code == status
    if status == 401:
        assert found.headers["www-authenticate"] == "Bearer"
        assert key is None or key == "" or key not in found.text


def test_a_key_is_refused_before_the_body_is_read() -> None:
    inside = Inside()
    border = Border(inside, LimitSettings(), Gate(LoadSettings()), Keys.from_texts([API]), [], POSTED, Sources(), {})
    with served(border) as port:
        connection = Raw(port)
        connection.send(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        assert connection.answer()[0] == 401
    assert inside.bodies == []


def test_keys_of_the_environment() -> None:
    keys = Keys.from_environment({"XLRET_API_KEYS": " first-key-0 , second-key-0,,", "XLRET_ADMIN_KEY": "admin-key-0"})
    assert (len(keys.api), len(keys.admin)) == (2, 1)
    assert b"first" not in repr(keys).encode()
    keys.check("/v1/search", "bearer second-key-0")
    for header in ("Basic second-key-0", "second-key-0", "Bearer second-key-", "Bearer \udcff"):
        with pytest.raises(ApiError):
            keys.check("/v1/search", header)
    with pytest.raises(ApiError, match="XLRET_ADMIN_KEY"):
        Keys().check("/admin/status", "Bearer x")
    Keys().check("/v1/search", None)
    for bad in ("short", "with space inside", "schlüssel-123"):
        with pytest.raises(UserError):
            Keys.from_texts([bad])


def until(condition: object) -> None:
    """Waits until `condition()` holds; a minute is more than any machine needs."""
    end = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
