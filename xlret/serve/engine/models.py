"""The two endpoints that lend out the models themselves, in the shapes that clients of OpenAI, Jina and Cohere send."""

import asyncio
import base64
from typing import Literal

import numpy as np
from pydantic import JsonValue

from xlret.release.record import CURRENT_ALIAS
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.hits import reason, sigmoid
from xlret.serve.engine.live import Live, now
from xlret.serve.errors import ApiError
from xlret.serve.record import RequestRecord
from xlret.serve.schema.answers import (
    ApiVersion,
    Embedding,
    EmbeddingsAnswer,
    EmbeddingUsage,
    ModelCard,
    ModelList,
    RerankAnswer,
    RerankMeta,
    RerankResult,
    RerankUsage,
)
from xlret.serve.schema.requests import EmbeddingsRequest, RerankRequest

_ALIASES = (None, "", CURRENT_ALIAS)
_PART = 128
"""Texts of one request that are with the encoder at a time: those of other requests come in between."""


async def embed(gateway: Gateway, request: EmbeddingsRequest, record: RequestRecord) -> EmbeddingsAnswer:
    """Unit vectors of texts. They are comparable with each other only while `model` of the answers stays the same.

    Raises:
        ApiError: 400 for dimensions that the encoder was not trained for, 404 for another model, 422, 429, 503, 504.
    """
    limits = gateway.settings.limits
    _check_number("input", len(request.input), limits.inputs)
    _check_length("input", request.input, limits.input_chars)
    parts = [request.input[first : first + _PART] for first in range(0, len(request.input), _PART)]
    with gateway.gate.enter(len(parts[0]), record.source), gateway.live.pin() as live:
        record.release, record.texts = live.info.name, len(request.input)
        _check_model(request.model, live)
        dimensions = request.dimensions or live.info.dimension
        allowed = (*live.info.dimensions, live.info.dimension)
        if dimensions not in allowed:
            raise ApiError(
                400,
                f"dimensions is {dimensions}; this encoder was trained for {', '.join(map(str, allowed))}",
                field="dimensions",
            )
        began = now()
        deadline = record.complete + limits.timeout_ms / 1000
        vectors_ND = np.concatenate([await live.encode(part, request.input_type, deadline) for part in parts])
        if dimensions < live.info.dimension:
            vectors_ND = vectors_ND[:, :dimensions]
            vectors_ND = vectors_ND / np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-12)
        _, lengths = await asyncio.to_thread(live.info.tokeniser.ragged, request.input, request.input_type)
        tokens = int(lengths.sum())
        record.took_ms = {"encode": 1000 * (now() - began), "total": 1000 * (now() - record.arrived)}
        is_float = request.encoding_format == "float"
        return EmbeddingsAnswer(
            data=[
                Embedding(index=position, embedding=vector.tolist() if is_float else _base64(vector))
                for position, vector in enumerate(vectors_ND)
            ],
            model=live.info.name,
            usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        )


async def rerank(
    gateway: Gateway, request: RerankRequest, record: RequestRecord, version: Literal["1", "2"] = "1"
) -> RerankAnswer:
    """Documents in the order of the release's cross-encoder; `version` is that of Cohere's API, for the answer.

    Raises:
        ApiError: 404 for another model or where there is no reranker, 422, 429, 503, 504.
    """
    limits = gateway.settings.limits
    _check_number("documents", len(request.documents), limits.documents)
    _check_length("documents", request.texts, limits.input_chars)
    _check_length("query", [request.query], limits.query_chars)
    with gateway.gate.enter(len(request.documents), record.source), gateway.live.pin() as live:
        record.release, record.texts = live.info.name, len(request.documents)
        _check_model(request.model, live)
        if not live.info.reranker:
            raise ApiError(404, f"the release {live.info.name} has no reranker; serve one that has")
        milliseconds = request.timeout_ms or limits.timeout_ms
        deadline = record.complete + min(milliseconds, limits.timeout_ms) / 1000
        began = now()
        try:
            texts = request.texts
            if request.max_tokens_per_doc is not None:
                texts = await asyncio.to_thread(live.info.tokeniser.heads, texts, request.max_tokens_per_doc)
            logits = await live.score([(request.query, text) for text in texts], deadline)
        except TimeoutError:
            raise ApiError(504, "the reranker did not answer within the time limit; send fewer documents") from None
        except Exception as error:
            raise ApiError(503, f"the reranker is not available ({reason(error)}); try again after Retry-After") from error
        record.took_ms = {"rerank": 1000 * (now() - began), "total": 1000 * (now() - record.arrived)}
        _, query_lengths = live.info.tokeniser.ragged([request.query], "query")
        _, lengths = await asyncio.to_thread(live.info.tokeniser.ragged, texts, "passage")
        order = sorted(range(len(logits)), key=lambda position: (-float(logits[position]), position))[: request.top_n]
        return RerankAnswer(
            id=record.request_id,
            model=live.info.name,
            results=[
                RerankResult(
                    index=position,
                    relevance_score=sigmoid(float(logits[position])),
                    document=_as_object(request.documents[position]) if request.return_documents else None,
                )
                for position in order
            ],
            usage=RerankUsage(pairs=len(texts), total_tokens=int(lengths.sum()) + len(texts) * int(query_lengths[0])),
            meta=RerankMeta(api_version=ApiVersion(version=version)),
        )


def model_list(gateway: Gateway) -> ModelList:
    """What requests may name as their model: the release in service, and the alias that always means it.

    Raises:
        ApiError: 503 while no release is loaded.
    """
    info = gateway.live.info
    return ModelList(data=[ModelCard(id=name, created=info.created) for name in (info.name, CURRENT_ALIAS)])


def model_card(gateway: Gateway, name: str) -> ModelCard:
    """One of them.

    Raises:
        ApiError: 404 for another name, 503 while no release is loaded.
    """
    _check_model(name, gateway.live)
    return ModelCard(id=name, created=gateway.live.info.created)


def _as_object(document: str | dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {"text": document} if isinstance(document, str) else document


def _check_model(name: str | None, live: Live) -> None:
    """A client that names a release gets that one or an error: vectors of another one would silently not fit its own."""
    if name not in _ALIASES and name != live.info.name:
        raise ApiError(404, f"the model {name!r:.80} is not served; there is {live.info.name!r}, or say current", field="model")


def _check_number(field: str, number: int, most: int) -> None:
    if number > most:
        raise ApiError(422, f"{field} has {number} texts; allowed are {most}", field=field)


def _check_length(field: str, texts: list[str], most: int) -> None:
    longest = max(map(len, texts))
    if longest > most:
        raise ApiError(422, f"a text of {field} has {longest} characters; allowed are {most}", field=field)


def _base64(vector_D: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    return base64.b64encode(np.ascontiguousarray(vector_D, "<f4").tobytes()).decode()
