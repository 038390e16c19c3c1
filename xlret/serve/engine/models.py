"""The two endpoints that lend out the models themselves, in the shapes that clients of OpenAI, Jina and Cohere send."""

import asyncio
import base64

import numpy as np

from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.hits import reason, sigmoid
from xlret.serve.engine.live import Live, now
from xlret.serve.errors import ApiError
from xlret.serve.record import RequestRecord
from xlret.serve.schema import (
    Embedding,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    EmbeddingUsage,
    RerankAnswer,
    RerankRequest,
    RerankResult,
    RerankUsage,
)

_ALIASES = (None, "", "current")


async def embed(gateway: Gateway, request: EmbeddingsRequest, record: RequestRecord) -> EmbeddingsAnswer:
    """Unit vectors of texts. They are comparable with each other only while `model` of the answers stays the same.

    Raises:
        ApiError: 400 for dimensions that the encoder was not trained for, 404 for another model, 422, 429, 503, 504.
    """
    limits = gateway.settings.limits
    _check_number("input", len(request.input), limits.inputs)
    _check_length("input", request.input, limits.input_chars)
    with gateway.gate.enter(len(request.input)), gateway.live.pin() as live:
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
        vectors_ND = await live.encode(request.input, request.input_type, record.complete + limits.timeout_ms / 1000)
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


async def rerank(gateway: Gateway, request: RerankRequest, record: RequestRecord) -> RerankAnswer:
    """Documents in the order of the release's cross-encoder.

    Raises:
        ApiError: 404 for another model or where there is no reranker, 422, 429, 503, 504.
    """
    limits = gateway.settings.limits
    _check_number("documents", len(request.documents), limits.documents)
    _check_length("documents", request.texts, limits.input_chars)
    _check_length("query", [request.query], limits.query_chars)
    with gateway.gate.enter(len(request.documents)), gateway.live.pin() as live:
        record.release, record.texts = live.info.name, len(request.documents)
        _check_model(request.model, live)
        if not live.info.reranker:
            raise ApiError(404, f"the release {live.info.name} has no reranker; serve one that has")
        milliseconds = request.timeout_ms or limits.timeout_ms
        deadline = record.complete + min(milliseconds, limits.timeout_ms) / 1000
        began = now()
        try:
            logits = await live.score([(request.query, text) for text in request.texts], deadline)
        except TimeoutError:
            raise ApiError(504, "the reranker did not answer within the time limit; send fewer documents") from None
        except Exception as error:
            raise ApiError(503, f"the reranker is not available ({reason(error)}); try again after Retry-After") from error
        record.took_ms = {"rerank": 1000 * (now() - began), "total": 1000 * (now() - record.arrived)}
        order = sorted(range(len(logits)), key=lambda position: (-float(logits[position]), position))[: request.top_n]
        texts = request.texts
        return RerankAnswer(
            model=live.info.name,
            results=[
                RerankResult(
                    index=position,
                    relevance_score=sigmoid(float(logits[position])),
                    document={"text": texts[position]} if request.return_documents else None,
                )
                for position in order
            ],
            usage=RerankUsage(pairs=len(texts)),
        )


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
