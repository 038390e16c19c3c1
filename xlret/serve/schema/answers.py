"""What clients get: answers, the description of what is served, errors."""

from typing import Any, Literal

from pydantic import BaseModel, Field, JsonValue


class Highlight(BaseModel):
    """Where the nearest sentence stands: offsets into `text`, counted in Unicode code points."""

    start: int
    end: int


class SearchHit(BaseModel):
    """A passage found."""

    id: str
    rank: int = Field(description="From 1.")
    score: float = Field(description="Cosine of question and passage, -1 to 1.")
    language: str
    direction: Literal["ltr", "rtl"] = Field(description="How the language is usually written.")
    title: str | None = None
    text: str | None = None
    metadata: dict[str, str | int | float | bool | None] | None = None
    highlight: Highlight | None = None
    rerank_score: float | None = Field(None, description="The cross-encoder's, 0 to 1.")


class QueryLanguage(BaseModel):
    """The language of a question; no code where nothing tells."""

    code: str | None
    detected: bool


class LanguageShare(BaseModel):
    """A language's share of the hits beside its share of the passages in the languages searched, whatever the filter."""

    hits: float
    corpus: float


class SearchResult(BaseModel):
    """The hits of one question."""

    query: str
    query_language: QueryLanguage
    hits: list[SearchHit]
    language_share: dict[str, LanguageShare]


class Took(BaseModel):
    """Milliseconds by stage."""

    encode: float
    search: float
    rerank: float
    highlight: float
    total: float


class ShardCount(BaseModel):
    """How many shards there are and how many answered."""

    total: int
    ok: int
    failed: int


class SearchAnswer(BaseModel):
    """The answer of /v1/search; `results` has one entry per question, in their order."""

    results: list[SearchResult]
    took_ms: Took
    shards: ShardCount
    partial: bool = Field(description="Something is missing from this answer; `partial_reason` says what.")
    partial_reason: str | None = None
    release: str
    request_id: str


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens read, prompts and special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """OpenAI's list of embeddings; `model` is the release's name."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class RerankResult(BaseModel):
    """One document's place; `index` is its place in the request."""

    index: int
    relevance_score: float = Field(description="0 to 1.")
    document: dict[str, JsonValue] | None = Field(
        None, description="As it was sent; a text as {text}. Only where it was asked for."
    )


class RerankUsage(BaseModel):
    """Pairs scored, and their tokens."""

    pairs: int
    total_tokens: int = Field(description="Of question and documents, as the encoder's tokenizer counts them.")


class ApiVersion(BaseModel):
    """Which of Cohere's APIs was called."""

    version: Literal["1", "2"]


class BilledUnits(BaseModel):
    """What Cohere's API counts; nothing is billed here."""

    search_units: int = 1


class RerankMeta(BaseModel):
    """What Cohere's answers say beside the results."""

    api_version: ApiVersion
    billed_units: BilledUnits = BilledUnits()


class RerankAnswer(BaseModel):
    """Documents, the most relevant first: the answers of Cohere (`id`, `meta`) and Jina (`model`, `usage`) in one."""

    id: str = Field(description="The request id.")
    model: str
    results: list[RerankResult]
    usage: RerankUsage
    meta: RerankMeta


class ModelCard(BaseModel):
    """A release, as OpenAI's API describes a model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970.")
    owned_by: Literal["xlret"] = "xlret"


class ModelList(BaseModel):
    """What may be named as `model`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class LanguageInfo(BaseModel):
    """One language of the index."""

    count: int
    name: str = Field(description="In the language itself.")
    english: str
    direction: Literal["ltr", "rtl"]


class IndexInfo(BaseModel):
    """What is searched."""

    version: str
    passages: int
    shards: int
    factory: str
    debias: str | None = Field(
        None, description="By which method it lacks what language does to vectors; queries lose it when they come in."
    )
    languages: dict[str, LanguageInfo]
    fields: dict[str, str] = Field(description="Metadata fields and their types, for `filter`.")
    certificate: dict[str, Any] | None = Field(None, description="Measured recall and speed.")


class EncoderInfo(BaseModel):
    """What makes the vectors."""

    dimension: int
    max_query_tokens: int
    max_passage_tokens: int
    dimensions: list[int] = Field(description="What /v1/embeddings accepts as `dimensions`.")


class Info(BaseModel):
    """The answer of /v1/info."""

    release: str
    encoder: EncoderInfo
    index: IndexInfo
    reranker: bool
    balance: list[str]
    detect: bool = Field(description="Whether the language of a question is detected.")
    limits: dict[str, int | float]
    examples: list[str]
    quality: dict[str, Any]


class ErrorBody(BaseModel):
    """What went wrong, for programs (`code`) and people (`message`)."""

    code: Literal[
        "invalid_request", "unauthorized", "not_found", "method_not_allowed", "too_large", "unsupported_media_type",
        "overloaded", "timeout", "unavailable", "internal",
    ]  # fmt: skip
    message: str
    field: str | None = None
    request_id: str | None


class ErrorAnswer(BaseModel):
    """The body of every status from 400 on."""

    error: ErrorBody
