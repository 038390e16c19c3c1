"""What a search request asks for, held against the limits and against what the index has."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from xlret.errors import UserError
from xlret.search.filters import check_filter
from xlret.search.query import SearchOptions, check_options, indexed_languages
from xlret.serve.engine.info import ReleaseInfo
from xlret.serve.errors import ApiError
from xlret.serve.schema.requests import SearchRequest
from xlret.serve.settings import LimitSettings, ServeSettings
from xlret.text.languages import language


def time_limit_s(timeout_ms: int | None, settings: ServeSettings) -> float:
    """Seconds from a request's last byte to its answer, for what it asks for (None: the default)."""
    return min(timeout_ms or settings.deadline.timeout_ms, settings.limits.timeout_ms) / 1000


def check_size(request: SearchRequest, limits: LimitSettings) -> None:
    """Holds a request against the limits, which may be lower than what its schema allows.

    Raises:
        ApiError: 422.
    """
    texts = request.texts
    if len(texts) > limits.queries:
        raise ApiError(422, f"queries has {len(texts)} questions; allowed are {limits.queries}", field="queries")
    longest = max(map(len, texts))
    if longest > limits.query_chars:
        raise ApiError(422, f"a question has {longest} characters; allowed are {limits.query_chars}", field="query")
    if request.top_k > limits.top_k:
        raise ApiError(422, f"top_k is {request.top_k}; allowed is 1 to {limits.top_k}", field="top_k")
    if request.top_k * len(texts) > limits.hits:
        raise ApiError(
            422, f"{len(texts)} questions with {request.top_k} hits each; allowed are {limits.hits} hits in all", field="top_k"
        )


def search_options(request: SearchRequest, info: ReleaseInfo, limits: LimitSettings, depth: int) -> SearchOptions:
    """What each shard is asked.

    Args:
        request: what the client asks for.
        info: the release that is to answer.
        limits: of the work that one request may make.
        depth: hits wanted from each shard.

    Raises:
        ApiError: 422: the release has not what the request names, or the work is too much; the message says what there is.
    """
    if request.rerank and not info.reranker:
        raise ApiError(422, f"rerank: the release {info.name} has no reranker; leave it out", field="rerank")
    if request.balance not in info.balances():
        raise ApiError(
            422, f"balance {request.balance!r} needs a calibrated index; there is {info.balances()}", field="balance"
        )
    languages = _languages(request.languages, info.languages) if request.languages is not None else None
    _check_work(request, limits, depth, len(languages or info.languages))
    options = SearchOptions(
        top_k=depth,
        languages=languages,
        exclude_ids=frozenset(request.exclude_ids),
        nprobe=request.nprobe,
        ef=request.ef,
    )
    try:
        check_options(options, info.languages, info.fields)
        if request.filter is not None:
            check_filter(request.filter, info.fields)
    except UserError as error:
        raise ApiError(422, str(error), field="filter" if str(error).startswith("filter") else None) from error
    return replace(options, filter=request.filter)


def _check_work(request: SearchRequest, limits: LimitSettings, depth: int, languages: int) -> None:
    count = len(request.texts)
    if request.rerank and count * depth > limits.pairs:
        raise ApiError(
            422, f"rerank: {count} questions with {depth} hits each; allowed are {limits.pairs} pairs in all", field="rerank"
        )
    if request.balance != "none" and count * depth * languages > limits.candidates:
        raise ApiError(
            422,
            f"balance: {count} questions with {depth} hits of each of {languages} languages; allowed are {limits.candidates} "
            "candidates in all; ask for fewer hits, questions or languages",
            field="balance",
        )


def _languages(codes: Sequence[str], counts: Mapping[str, int]) -> tuple[str, ...]:
    try:
        return indexed_languages(codes, counts)
    except UserError as error:
        raise ApiError(422, str(error), field="languages") from error


def code_of(code: str, field: str) -> str:
    """The BCP-47 form of a language code.

    Raises:
        ApiError: 422: it is none.
    """
    try:
        return language(code)
    except UserError as error:
        raise ApiError(422, f"{field}: {error}", field=field) from error
