"""The web page's files, at fixed addresses: nothing that a client sends becomes a path."""

import re
from pathlib import Path

from fastapi import APIRouter, Response

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_NAME = re.compile(r"[a-z][a-z0-9_-]*\.(html|css|js|svg)")
_PAGE = Path(__file__).parents[1] / "page"


def page_routes() -> APIRouter:
    """Addresses of the page: `/` is index.html, `/page/NAME` each file that is there when the server starts."""
    router = APIRouter(include_in_schema=False)
    for path in sorted(_PAGE.iterdir()):
        if _NAME.fullmatch(path.name) and path.is_file():
            _add(router, f"/page/{path.name}", path)
    if (_PAGE / "index.html").is_file():
        _add(router, "/", _PAGE / "index.html")
    return router


def _add(router: APIRouter, address: str, path: Path) -> None:
    body, kind = path.read_bytes(), _KINDS[path.suffix]

    async def read() -> Response:
        return Response(body, media_type=None, headers={"content-type": kind, "cache-control": "no-cache"})

    router.add_api_route(address, read, response_model=None)
