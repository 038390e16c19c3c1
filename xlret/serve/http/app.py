"""The HTTP application: addresses, their descriptions, and which function answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.types import ASGIApp

import xlret
from xlret.errors import UserError
from xlret.serve import errors
from xlret.serve.engine import models, searching
from xlret.serve.engine.backends import Control
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.hits import reason
from xlret.serve.engine.info import direction, names
from xlret.serve.engine.options import time_limit_s
from xlret.serve.errors import ApiError
from xlret.serve.http.access import Keys
from xlret.serve.http.border import Border
from xlret.serve.http.cors import origins, with_cors
from xlret.serve.http.docs import STYLE, docs_page
from xlret.serve.http.page_files import page_routes
from xlret.serve.http.sources import Sources
from xlret.serve.http.strict import StrictRequest
from xlret.serve.record import Observer, RequestRecord
from xlret.serve.request_log import RequestLog
from xlret.serve.schema.answers import (
    EmbeddingsAnswer,
    EncoderInfo,
    ErrorAnswer,
    IndexInfo,
    Info,
    LanguageInfo,
    ModelCard,
    ModelList,
    RerankAnswer,
    SearchAnswer,
)
from xlret.serve.schema.requests import EmbeddingsRequest, RerankRequest, SearchRequest, SwapRequest
from xlret.serve.tracing import traces_from

_WHEN = {
    400: "The body is not JSON, or asks for what OpenAI's API has and this one has not.",
    401: "A key is needed, or this one is not valid.",
    404: "There is nothing of this name.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "A value is not allowed, or names something that the index has not.",
    429: "Too much is in work; see Retry-After.",
    503: "Something that is needed is not there at the moment; see Retry-After.",
    504: "Nothing answered within the time limit.",
}
_POSTED = frozenset({"/v1/search", "/v1/embeddings", "/v1/rerank", "/v2/rerank", "/rerank", "/admin/release"})
_KEY = [Depends(HTTPBearer(auto_error=False, description="Needed where the server has keys. Checked before the body is read."))]


def build_app(
    gateway: Gateway,
    *,
    control: Control | None = None,
    keys: Keys | None = None,
    observers: Sequence[Observer] = (),
    traces: Observer | None = None,
) -> FastAPI:
    """The application around a gateway; any ASGI server can run it, and Ray Serve.

    Args:
        gateway: answers.
        control: swaps releases for the admin endpoints; without it they are not there.
        keys: who may call; by default from XLRET_API_KEYS and XLRET_ADMIN_KEY.
        observers: called with the record of each request, after the log that the settings name.
        traces: another one, for which the stages of requests are noted; by default as the environment says (`tracing`).

    Raises:
        UserError: a key or an origin of the environment, a trusted proxy or the file of the log cannot be used.
    """
    keys = Keys.from_environment() if keys is None else keys
    settings, allowed = gateway.settings, origins()
    sources, log = Sources(settings.load.trusted_proxies), RequestLog(settings.log)
    traces = traces or traces_from()

    def bordered(app: ASGIApp) -> ASGIApp:
        time_s = {"/v1/search": time_limit_s(None, settings)}
        told: list[Observer] = [log, *observers, *([traces] if traces is not None else [])]
        border = Border(app, settings.limits, gateway.gate, keys, told, _POSTED, sources, time_s, traced=traces is not None)
        return with_cors(border, allowed)

    app = _App(bordered)
    app.router.route_class = _StrictRoute
    errors.install(app)
    _add_models(app, gateway)
    _add_about(app, gateway)
    if control is not None:
        _add_admin(app, control)
    app.include_router(page_routes())
    return app


class _App(FastAPI):
    """FastAPI with the border outside of everything, its own answer to unexpected errors included."""

    def __init__(self, bordered: Callable[[ASGIApp], ASGIApp]) -> None:
        super().__init__(
            title="xlret",
            version=xlret.__version__,
            description="Search in many languages at once: ask in one, find passages in any.",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            responses={},
        )
        self._bordered = bordered

    def build_middleware_stack(self) -> ASGIApp:
        return self._bordered(super().build_middleware_stack())


class _StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def _responses(answer: type[BaseModel] | None, *statuses: int) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = (
        {} if answer is None else {200: {"model": answer, "description": "The answer."}}
    )
    return responses | {status: {"model": ErrorAnswer, "description": _WHEN[status]} for status in statuses}


def _json(answer: BaseModel, *, without_none: bool = False) -> Response:
    return Response(answer.model_dump_json(exclude_none=without_none), media_type="application/json")


async def _record(request: Request) -> RequestRecord:  # async: FastAPI would send anything else to a thread
    record: RequestRecord = request.scope["state"]["record"]
    return record


Known = Annotated[RequestRecord, Depends(_record)]


def _add_models(app: FastAPI, gateway: Gateway) -> None:
    body = (400, 401, 408, 413, 415, 422, 429, 503, 504)

    @app.post("/v1/search", response_model=None, responses=_responses(SearchAnswer, *body), dependencies=_KEY)
    async def search(request: SearchRequest, record: Known) -> Response:
        """Finds the passages nearest to a question, in whatever languages they are."""
        return _json(await searching.search(gateway, request, record))

    @app.post("/v1/embeddings", response_model=None, responses=_responses(EmbeddingsAnswer, 404, *body), dependencies=_KEY)
    async def embeddings(request: EmbeddingsRequest, record: Known) -> Response:
        """Unit vectors of texts, in the shape of OpenAI's API."""
        answer = await models.embed(gateway, request, record)
        return await asyncio.to_thread(_json, answer)  # thousands of vectors take a while to write

    @app.post("/rerank", response_model=None, include_in_schema=False)  # where clients of vLLM look
    @app.post("/v1/rerank", response_model=None, responses=_responses(RerankAnswer, 404, *body), dependencies=_KEY)
    async def rerank(request: RerankRequest, record: Known) -> Response:
        """Documents ordered by how well they answer a question, in the shape of Jina's API and of the first of Cohere's."""
        return _json(await models.rerank(gateway, request, record), without_none=True)

    @app.post("/v2/rerank", response_model=None, responses=_responses(RerankAnswer, 404, *body), dependencies=_KEY)
    async def rerank_v2(request: RerankRequest, record: Known) -> Response:
        """The same in the shape of Cohere's second API."""
        return _json(await models.rerank(gateway, request, record, "2"), without_none=True)

    @app.get("/v1/models", response_model=None, responses=_responses(ModelList, 401, 503), dependencies=_KEY)
    async def model_list() -> Response:
        """What `model` of a request may be, in the shape of OpenAI's API."""
        return _json(models.model_list(gateway))

    @app.get("/v1/models/{name}", response_model=None, responses=_responses(ModelCard, 401, 404, 422, 503), dependencies=_KEY)
    async def model_card(name: str) -> Response:
        """One of them."""
        return _json(models.model_card(gateway, name))


def _add_about(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/v1/info", response_model=None, responses=_responses(Info, 401, 503), dependencies=_KEY)
    async def info() -> Response:
        """What is served: release, encoder, index, languages, metadata fields, limits."""
        return _json(describe(gateway))

    @app.get("/healthz", response_model=None, responses={200: {"description": "The server runs."}})
    async def healthz() -> dict[str, bool]:
        """Whether the server runs."""
        return {"ok": True}

    @app.get("/readyz", response_model=None, responses={200: {"description": "Requests are taken."}, **_responses(None, 503)})
    async def readyz() -> dict[str, str | None]:
        """Whether a search would be taken on: a release is loaded, its backends answer, the server is not shutting down."""
        if (damage := await gateway.damage()) is not None:
            raise ApiError(503, f"not ready: {damage}")
        if not gateway.ready:
            raise ApiError(503, "not ready: no release is loaded, its backends do not answer, or the server is shutting down")
        return {"release": gateway.release}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_page(app.openapi()), media_type="text/html")

    @app.get("/docs/style.css", include_in_schema=False)
    async def docs_style() -> Response:
        return Response(STYLE, media_type="text/css")


def _add_admin(app: FastAPI, control: Control) -> None:
    @app.post(
        "/admin/release", response_model=None, responses=_responses(None, 400, 401, 408, 413, 415, 422, 503), dependencies=_KEY
    )
    async def swap(request: SwapRequest) -> dict[str, Any]:
        """Serves another release of the same directory. The old one serves on until the new one is loaded and whole."""
        return dict(await _of_control(control.swap(request.release)))

    @app.get("/admin/status", response_model=None, responses=_responses(None, 401, 503), dependencies=_KEY)
    async def status() -> dict[str, Any]:
        """What is loaded and in work."""
        return dict(await _of_control(control.status()))


async def _of_control(answer: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return await answer
    except UserError as error:
        raise ApiError(422, str(error), field="release") from error
    except Exception as error:
        raise ApiError(503, f"the control does not answer ({reason(error)}); try again after Retry-After") from error


def describe(gateway: Gateway) -> Info:
    """The answer of /v1/info.

    Raises:
        ApiError: 503 while no release is loaded.
    """
    settings, info = gateway.settings, gateway.live.info
    languages = {}
    for code, count in sorted(info.languages.items()):
        own, english = names(code)
        languages[code] = LanguageInfo(count=count, name=own, english=english, direction=direction(code))
    card = info.tokeniser.card
    return Info(
        release=info.name,
        encoder=EncoderInfo(
            dimension=info.dimension,
            max_query_tokens=card.max_query_tokens,
            max_passage_tokens=card.max_passage_tokens,
            dimensions=[*info.dimensions, info.dimension],
        ),
        index=IndexInfo(
            version=info.version,
            passages=info.passages,
            shards=info.shards,
            factory=info.factory,
            debias=None if info.component is None else info.component.method,
            languages=languages,
            fields=dict(info.fields),
            certificate=dict(info.certificate) if info.certificate is not None else None,
        ),
        reranker=info.reranker,
        balance=info.balances(),
        detect=settings.detect,
        limits={**settings.limits.model_dump(), "default_timeout_ms": settings.deadline.timeout_ms},
        examples=list(settings.examples),
        quality=dict(info.quality),
    )
