"""Which web pages of other origins may call the endpoint from a browser: none, unless XLRET_CORS_ORIGINS names them."""

import os
import re
from collections.abc import Mapping

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from xlret.errors import UserError

VARIABLE = "XLRET_CORS_ORIGINS"
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def origins(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The origins of the environment, separated by commas; `*` alone means all.

    Raises:
        UserError: something that is no origin.

    >>> origins({"XLRET_CORS_ORIGINS": "https://search.example, http://localhost:3000"})
    ['https://search.example', 'http://localhost:3000']
    """
    given = [text.strip().removesuffix("/") for text in environment.get(VARIABLE, "").split(",") if text.strip()]
    for origin in given:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise UserError(f"{VARIABLE}: {origin!r:.80} is no origin; give scheme://host or scheme://host:port, or * for all")
    return given


def with_cors(app: ASGIApp, allowed: list[str]) -> ASGIApp:
    """The application for pages of these origins too. Keys go in a header that pages set themselves: cookies stay out."""
    if not allowed:
        return app
    return CORSMiddleware(
        app,
        allow_origins=allowed,
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["*"],
        expose_headers=["x-request-id", "retry-after"],
        max_age=600,
    )
