"""The border of the endpoint, as raw ASGI: what must hold before a framework reads a byte of a request's body.

Request ids, keys, the size of the body before it is buffered, the time it takes to arrive, its kind, how many requests are
in work, work that nobody waits for any more, security headers, and the record of every request.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xlret.serve.engine.admission import Gate
from xlret.serve.errors import ApiError, error_body
from xlret.serve.http.access import Keys
from xlret.serve.http.sources import Sources
from xlret.serve.record import Observer, RequestRecord, exception_text
from xlret.serve.settings import LimitSettings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SLASHES = re.compile("/{2,}")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
]
_DRAIN_S = 2.0
"""How long what a refused client still sends is thrown away, so that it gets to read its answer."""


class _GoneError(Exception):
    """The client has left."""


class Border:
    """ASGI middleware around the application. `scope["state"]["record"]` is the request's record.

    Args:
        app: the application inside.
        limits, gate, keys: what to hold requests to.
        observers: called with the record of every request when it has ended.
        posted: paths that take a body by POST; to no other is one handed on.
        sources: tell who a request is from.
        time_s: of paths whose requests need the encoder, how long an answer may take where the body does not say.
        traced: whether requests note their stages.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: LimitSettings,
        gate: Gate,
        keys: Keys,
        observers: Sequence[Observer],
        posted: Collection[str],
        sources: Sources,
        time_s: Mapping[str, float],
        *,
        traced: bool = False,
    ) -> None:
        self.app = app
        self.limits = limits
        self.gate = gate
        self.keys = keys
        self.observers = observers
        self.posted = posted
        self.sources = sources
        self.time_s = time_s
        self.traced = traced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (or the server's lifespan, which passes)."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1000})  # before it is accepted: the server answers 403
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        plain = _SLASHES.sub("/", path).rstrip("/") or "/"  # what clients make of a base address with or without a slash
        headers = {name.lower(): value for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        record = RequestRecord(request_id, scope["method"], path, self.sources.address(scope, headers))
        if self.traced:
            record.spans = []
            record.traceparent = headers.get(b"traceparent", b"").decode("latin-1")
            record.tracestate = headers.get(b"tracestate", b"").decode("latin-1")
        answer = _Answer(send, record)
        scope = {**scope, "path": root + plain, "state": {**scope.get("state", {}), "record": record}}
        if scope["method"] == "HEAD":  # is answered as GET is, without the body
            scope["method"], answer.is_head = "GET", True
        answer.unread = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        try:
            await self._serve(scope, headers, receive, answer)
        except ApiError as error:
            record.error = error.code
            await answer.refuse(error, None if b"expect" in headers else receive)
        except _GoneError:
            record.status = 499
        except asyncio.CancelledError:  # the server itself was told that the client has gone, or it stops
            record.status = record.status or 499
            raise
        except Exception as error:
            if not answer.started:  # the application answers its own errors, and raises them again
                record.status, record.error, record.exception = 500, "internal", exception_text(error)
                raise
        finally:
            record.route = getattr(scope.get("route"), "path", None)
            record.ms = 1000 * (time.monotonic() - record.arrived)
            if "total" in record.took_ms:
                record.took_ms["write"] = record.ms - record.took_ms["total"]
            for observe in self.observers:
                observe(record)

    async def _serve(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, answer: "_Answer") -> None:
        path, source = scope["path"].removeprefix(scope.get("root_path", "")), answer.record.source
        self.keys.check(path, headers.get(b"authorization", b"").decode("latin-1") or None)
        if scope["method"] != "POST" or path not in self.posted:
            await self._run(scope, b"", receive, answer)
            return
        _check_kind(headers)
        with self.gate.hold(source) as more:
            with self.gate.read(source):
                body = await self._read(headers, receive, more)
            answer.unread = False
            answer.record.complete = time.monotonic()
            answer.record.bytes_in = len(body)
            if not path.startswith("/admin/"):
                # Before anything is parsed: saying no must be cheap. One that says itself how long it has is looked at later.
                self.gate.check(source, None if b'"timeout_ms"' in body else self.time_s.get(path))
            await self._run(scope, body, receive, answer)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, more: Callable[[int], None]) -> bytes:
        """The whole body.

        Raises:
            ApiError: 413 for one that is too large, 408 for one that takes too long.
        """
        most = self.limits.body_bytes
        too_large = ApiError(413, f"the body is larger than {most} bytes, which is the most; send fewer or shorter texts")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18:
            raise ApiError(400, "the header Content-Length is no number")
        if int(length) > most:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part = message.get("body", b"")
                    size += len(part)
                    if size > most:
                        raise too_large
                    more(len(part))
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise ApiError(408, f"the body was not complete after {self.limits.body_s:g} seconds; send it faster") from None

    async def _run(self, scope: Scope, body: bytes, receive: Receive, answer: "_Answer") -> None:
        """The application, for as long as the client is there."""
        gone = asyncio.Event()
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        work = asyncio.ensure_future(self.app(scope, replay, answer))
        watch = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return
            raise _GoneError
        finally:
            gone.set()
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)


class _Answer:
    """`send` that adds our headers, notes the status and can send an error of its own."""

    def __init__(self, send: Send, record: RequestRecord) -> None:
        self._send = send
        self.record = record
        self.started = False
        self.unread = False
        """Whether the client may still be sending a body."""
        self.is_head = False
        """Whether the client wants no body."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.record.status = message["status"]
            own = [(b"x-request-id", self.record.request_id.encode()), *_HEADERS]
            names = {name.lower() for name, _ in message.get("headers", [])}
            message = {**message, "headers": [*message.get("headers", []), *own]}
            if b"cache-control" not in names:
                message["headers"].append((b"cache-control", b"no-store"))
        elif message["type"] == "http.response.body":
            if self.is_head:
                message = {**message, "body": b""}
            self.record.bytes_out += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, error: ApiError, receive: Receive | None) -> None:
        """Sends an error from outside the application.

        A client that is still sending is read on for a moment, so that it gets to see the error, and then cut off.

        Args:
            error: what to say.
            receive: None for a client that waits to be told to send (`Expect: 100-continue`): receiving would tell it to.
        """
        if self.started:
            return
        body, headers = error_body(error, self.record.request_id)
        if self.unread:
            headers.append((b"connection", b"close"))
        await self({"type": "http.response.start", "status": error.status_code, "headers": headers})
        await self({"type": "http.response.body", "body": body, "more_body": self.unread})
        if self.unread and receive is not None:
            try:
                async with asyncio.timeout(_DRAIN_S):
                    while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                        pass
            except TimeoutError:
                pass
        if self.unread:
            await self({"type": "http.response.body", "body": b"", "more_body": False})


def _check_kind(headers: dict[bytes, bytes]) -> None:
    kind, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    if kind.strip().lower() != "application/json":
        raise ApiError(415, f"content type {kind.strip()[:80]!r} is not served; send application/json")
    charset = parameters.strip().lower().replace('"', "")
    if charset.startswith("charset=") and charset.removeprefix("charset=") not in ("utf-8", "utf8"):
        raise ApiError(415, f"{charset[:80]} is not served; send UTF-8")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise ApiError(415, "compressed bodies are not served; send the JSON as it is")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
