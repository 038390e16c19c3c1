"""What clients send. Types are strict: `"10"` is no number, `1` is no boolean; null stands for a key that was left out."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from xlret.search.filters import Filter
from xlret.serve.schema.texts import Code, Id, Model, Query, Text, stripped
from xlret.text.sides import Side


def _nullable(schema: dict[str, Any]) -> None:
    """Says of every key that is not needed that null is allowed, be it one that is known or not."""
    schema["additionalProperties"] = {"type": "null"}
    for name, about in schema.get("properties", {}).items():
        if name not in schema.get("required", ()) and {"type": "null"} not in about.get("anyOf", ()):
            kept = {key: about.pop(key) for key in ("title", "description", "default", "examples") if key in about}
            schema["properties"][name] = {"anyOf": [about, {"type": "null"}], **kept}


class Body(BaseModel):
    """Base of requests: unknown keys are errors, types are strict, numbers are finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra=_nullable)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        """Clients that have a field for every option send null for those that nobody set."""
        if not isinstance(values, dict):
            return values
        needed = {name for name, field in cls.model_fields.items() if field.is_required()}
        return {name: value for name, value in values.items() if value is not None or name in needed}


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


def _no_tokens(value: Any) -> Any:
    inner = value[0] if isinstance(value, list) and value else None
    if isinstance(inner, int | list) and not isinstance(inner, bool):
        raise PydanticCustomError(
            "token_arrays",
            "arrays of token ids are not supported, since those of another tokenizer would look the same; send the text itself "
            "(LangChain: check_embedding_ctx_length=False)",
        )
    return [value] if isinstance(value, str) else value


class EmbeddingsRequest(Body):
    """OpenAI's embeddings request, plus `input_type`."""

    input: Annotated[list[Text], BeforeValidator(_no_tokens, json_schema_input_type=Text | list[Text])] = Field(
        min_length=1, max_length=2048, description="A text or up to 2048 texts. Arrays of token ids are refused."
    )
    model: Model | None = Field(None, description="The release's name, `current` or nothing.")
    encoding_format: Literal["float", "base64"] = Field("float", description="base64: little-endian float32.")
    dimensions: int | None = Field(None, ge=1, le=65536, description="Shorter vectors, where the encoder was trained for them.")
    input_type: Side = Field("passage", description="Which side's prompt and length limit to use (not part of OpenAI's API).")
    user: Model | None = Field(None, description="Ignored.")


class RerankRequest(Body):
    """The rerank request of Cohere (v1 and v2) and Jina."""

    query: Query
    documents: list[Text | Annotated[dict[str, JsonValue], Field(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=256, description="Texts, or objects of which `rank_fields` are read."
    )
    rank_fields: list[Model] = Field(
        ["text"], min_length=1, max_length=64, description="Keys of documents that are objects, in the order they are read in."
    )
    top_n: int | None = Field(None, ge=1, le=1_000_000, description="All by default.")
    return_documents: bool = Field(False, description="Whether each result holds its document.")
    max_tokens_per_doc: int | None = Field(
        None, ge=1, le=1_000_000, description="Documents are cut after so many tokens; the model has its own limit besides."
    )
    max_chunks_per_doc: int | None = Field(
        None, ge=1, le=10_000, description="Ignored: a document is one chunk, read up to the model's limit."
    )
    model: Model | None = Field(None, description="The release's name, `current` or nothing.")
    timeout_ms: int | None = Field(None, ge=1, le=30_000, description="Time limit; the longest that is allowed by default.")
    _texts: list[str] = PrivateAttr()

    @model_validator(mode="after")
    def _read_documents(self) -> "RerankRequest":
        self._texts = [
            document if isinstance(document, str) else _ranked_text(position, document, self.rank_fields)
            for position, document in enumerate(self.documents)
        ]
        return self

    @property
    def texts(self) -> list[str]:
        """What is ranked of each document."""
        return self._texts


def _ranked_text(position: int, document: dict[str, Any], rank_fields: list[str]) -> str:
    """The values of some keys of a document, one a line; numbers and the like as JSON."""
    values = [document[name] for name in rank_fields if document.get(name) is not None]
    if not values:
        raise ValueError(
            f"documents.{position} has none of the keys {', '.join(rank_fields)}; name the keys to be read in rank_fields"
        )
    lines = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    try:
        return stripped("\n".join(lines))
    except ValueError as error:
        raise ValueError(f"documents.{position} {error}") from None


class SwapRequest(Body):
    """Another release to serve, by its name under the served root or an alias, such as `current`."""

    release: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
