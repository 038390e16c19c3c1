"""The bodies of requests and answers, as the OpenAPI description shows them.

Types are strict: `"10"` is no number, `1` is no boolean. Texts come out in Unicode's composed form (NFC), so that the same
question gives the same vector however it was typed.
"""

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from xlret.search.filters import Filter
from xlret.text.sides import Side

_MARKS = 64
"""Combining marks in a row. Unicode's stream-safe text has up to 30; normalising n of them takes n squared steps."""


def clean(text: str) -> str:
    """`text` in NFC.

    Raises:
        ValueError: it holds NUL, half of a surrogate pair, or too many combining marks in a row.

    >>> clean("e\u0301") == "\u00e9"
    True
    """
    if "\0" in text:
        raise ValueError("holds the character NUL; send text only")
    if text.isascii():
        return text
    marks = 0
    for sign in text:
        if "\ud800" <= sign <= "\udfff":
            raise ValueError("holds half of a surrogate pair, which is no character; send well-formed Unicode")
        marks = marks + 1 if unicodedata.combining(sign) else 0
        if marks > _MARKS:
            raise ValueError(f"holds more than {_MARKS} combining marks in a row; leave some out")
    return unicodedata.normalize("NFC", text)


def _said(text: str) -> str:
    text = clean(text).strip()
    if not text:
        raise ValueError("is empty or only spaces; send some text")
    return text


def _no_tokens(value: Any) -> Any:
    inner = value[0] if isinstance(value, list) and value else None
    if isinstance(inner, int | list) and not isinstance(inner, bool):
        raise PydanticCustomError("token_arrays", "arrays of token ids are not supported; send the text itself")
    return [value] if isinstance(value, str) else value


Clean = Annotated[str, AfterValidator(clean)]
Code = Annotated[str, Field(min_length=1, max_length=35, pattern=r"^[A-Za-z0-9_-]+$")]
Query = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_said)]
Text = Annotated[str, Field(min_length=1, max_length=32_768), AfterValidator(_said)]
Id = Annotated[str, Field(max_length=1024), AfterValidator(clean)]
Model = Annotated[str, Field(max_length=256), AfterValidator(clean)]


class Body(BaseModel):
    """Base of requests: unknown keys are errors, types are strict, numbers are finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class SearchRequest(Body):
    """A question, or several, and how to search for them. Exactly one of `query` and `queries` is needed."""

    query: Query | None = Field(None, description="One question.")
    queries: list[Query] | None = Field(None, min_length=1, max_length=64, description="Up to 64 questions.")
    top_k: int = Field(10, ge=1, le=1000, description="Hits per question.")
    query_language: Code | None = Field(None, description="BCP-47 code of the questions; detected where it is not given.")
    languages: list[Code] | None = Field(None, min_length=1, max_length=200, description="Only passages in these languages.")
    filter: Filter | None = Field(
        None,
        description='Only passages with this metadata: {"field": value}, {"field": {"in": [...]}}, {"field": {"gte": 1}}.',
        examples=[{"year": {"gte": 2020}}],
    )
    exclude_ids: list[Id] = Field([], max_length=1000, description="Passages never to return.")
    rerank: bool = Field(False, description="Order the best hits by the release's cross-encoder.")
    balance: Literal["none", "quota", "calibrated"] = Field(
        "none",
        description="Fairness between languages: quota gives each relevant language its share of the hits; calibrated takes "
        "away the offset that each language's scores have.",
    )
    nprobe: int | None = Field(None, ge=1, le=1_000_000, description="Lists of an IVF index to look into.")
    ef: int | None = Field(None, ge=1, le=100_000, description="Width of the search in an HNSW index.")
    timeout_ms: int | None = Field(None, ge=1, le=30_000, description="Time limit; 2000 by default.")
    highlight: bool = Field(True, description="Mark each passage's sentence nearest to the question. Left out under load.")
    include_text: bool = Field(True, description="Send title, text and metadata; without them an answer is faster.")
    allow_partial: bool = Field(True, description="Answer from the shards that are there; else 503 when one is missing.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "SearchRequest":
        if (self.query is None) == (self.queries is None):
            raise PydanticCustomError("query_or_queries", "give exactly one of query and queries")
        return self

    @property
    def texts(self) -> list[str]:
        """The questions."""
        return [self.query] if self.query is not None else list(self.queries or ())


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


class EmbeddingsRequest(Body):
    """OpenAI's embeddings request, plus `input_type`."""

    input: Annotated[list[Text], BeforeValidator(_no_tokens, json_schema_input_type=Text | list[Text])] = Field(
        min_length=1, max_length=256, description="A text or up to 256 texts. Arrays of token ids are refused."
    )
    model: Model | None = Field(None, description="The release's name, `current` or nothing.")
    encoding_format: Literal["float", "base64"] = Field("float", description="base64: little-endian float32.")
    dimensions: int | None = Field(None, ge=1, le=65536, description="Shorter vectors, where the encoder was trained for them.")
    input_type: Side = Field("passage", description="Which side's prompt and length limit to use (not part of OpenAI's API).")
    user: Model | None = Field(None, description="Ignored.")


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


class DocumentText(Body):
    """A document as Cohere sends it."""

    text: Text


class RerankRequest(Body):
    """Jina's and Cohere's rerank request."""

    query: Query
    documents: list[Text | DocumentText] = Field(min_length=1, max_length=256)
    top_n: int | None = Field(None, ge=1, le=1_000_000, description="All by default.")
    return_documents: bool = False
    model: Model | None = Field(None, description="The release's name, `current` or nothing.")
    timeout_ms: int | None = Field(None, ge=1, le=30_000, description="Time limit; the longest that is allowed by default.")

    @property
    def texts(self) -> list[str]:
        """The documents' texts."""
        return [document if isinstance(document, str) else document.text for document in self.documents]


class RerankResult(BaseModel):
    """One document's place; `index` is its place in the request."""

    index: int
    relevance_score: float = Field(description="0 to 1.")
    document: dict[str, str] | None = None


class RerankUsage(BaseModel):
    """Pairs scored."""

    pairs: int


class RerankAnswer(BaseModel):
    """Documents, the most relevant first."""

    model: str
    results: list[RerankResult]
    usage: RerankUsage


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


class SwapRequest(Body):
    """Another release to serve, by its name under the served root."""

    release: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")


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
