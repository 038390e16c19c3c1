"""Errors of the endpoint: a status, a code for programs and a sentence for people, always as JSON."""

import json
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from xlret.errors import UserError
from xlret.serve.record import exception_text

_CODES = {
    400: "invalid_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "overloaded",
    503: "unavailable",
    504: "timeout",
}
_LONGEST = 80


class ApiError(HTTPException):
    """A request that is answered with an error. (An HTTPException, because FastAPI lets those pass while it reads a body.)

    Args:
        status: 400, 401, 404, 408, 413, 415, 422, 429, 503 or 504; the code follows from it.
        message: what was wrong, the value, what is allowed and what to do.
        field: the part of the request that is to blame, such as `filter.year`.
        retry_after: seconds after which to try again; 1 by default for 429 and 503.
    """

    def __init__(self, status: int, message: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(status, message)
        self.field = field
        self.retry_after = retry_after if retry_after is not None else (1.0 if status in (429, 503) else None)

    def __str__(self) -> str:
        return self.detail

    @property
    def code(self) -> str:
        """The word for programs."""
        return _CODES.get(self.status_code, "invalid_request" if self.status_code < 500 else "internal")


def error_body(error: ApiError, request_id: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The JSON of an error and the headers that go with it."""
    about = {"code": error.code, "message": error.detail, "field": error.field, "request_id": request_id}
    body = json.dumps({"error": about}).encode()  # ASCII: whatever a message quotes can be sent
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
    if error.status_code == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    for name, value in (error.headers or {}).items():
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return body, headers


def install(app: FastAPI) -> None:
    """Makes `app` answer every error, its own and FastAPI's, in this form."""

    async def answer(request: Request, error: Exception) -> Response:
        record = request.scope["state"]["record"]
        api_error = _as_api_error(error)
        body, headers = error_body(api_error, record.request_id)
        record.error = api_error.code
        if api_error.status_code >= 500 and (cause := error.__cause__ if error is api_error else error) is not None:
            record.exception = exception_text(cause)
        return Response(body, api_error.status_code, {name.decode(): value.decode("latin-1") for name, value in headers})

    for kind in (HTTPException, RequestValidationError, UserError, Exception):
        app.add_exception_handler(kind, answer)


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        return validation_error(list(error.errors()))
    if isinstance(error, UserError):
        return ApiError(422, str(error))
    if isinstance(error, HTTPException):
        api_error = ApiError(
            error.status_code, {404: "there is nothing at this address; see /docs"}.get(error.status_code, error.detail)
        )
        api_error.headers = error.headers
        return api_error
    return ApiError(500, "an error that xlret did not expect; the server's log has more under the request id")


def validation_error(errors: list[Any]) -> ApiError:
    """What pydantic found wrong as one sentence: the field, the value, what is allowed. The first three, if there are more."""
    sentences = [_sentence(error) for error in errors[:3]]
    if len(errors) > 3:
        sentences.append(f"and {len(errors) - 3} more")
    status = 400 if any(error["type"] in ("token_arrays", "json_invalid") for error in errors) else 422
    return ApiError(status, "; ".join(sentences), field=_path(errors[0]) or None)


def _sentence(error: Any) -> str:
    path, message = _path(error), str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{path or 'the body'} is needed and was not given"
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key; /docs shows what there is"
    if not path or error["type"] in ("token_arrays", "query_or_queries"):
        return message if not path else f"{path}: {message}"
    value = error.get("input")
    shown = f"a list of {len(value)}" if isinstance(value, list) else ascii(value)[: _LONGEST + 1]
    return f"{path} is {shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + '...'}: {message}"


def _path(error: Any) -> str:
    """The path to the value; only names and places, not the names that pydantic gives to the branches of a union."""
    parts = [str(part) for part in error["loc"] if part not in ("body", "query", "path") or len(error["loc"]) > 1]
    if parts and error["loc"][0] in ("body", "query", "path"):
        parts = parts[1:]
    return ".".join(part[:_LONGEST] for part in parts if "[" not in part and "(" not in part)
