"""What a mining of hard negatives can be told."""

from typing import Literal

from pydantic import Field, model_validator

from xlret.config import PathSetting, Settings
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.text.languages import LanguageCodes


class MineJob(Settings):
    """One mining, from a prepared corpus to a copy of it that has hard negatives."""

    corpus: PathSetting
    """The prepared corpus whose groups get negatives, from among its own passages."""
    out: PathSetting
    """The directory to make: the corpus with its hard negatives. It may be `corpus` itself, with --replace."""
    by: Literal["encoder", "bm25"] = "encoder"
    """What ranks the passages: an encoder through an index, or BM25 over each language's words."""
    encoder: PathSetting | None = None
    """The encoder that mines, such as runs/NAME/model. Negatives get harder round by round: mine, train, mine with what was
    trained."""
    reranker: PathSetting | None = None
    """Scores the candidates and the positives anew; filters and training then see its scores."""
    query_languages: LanguageCodes | None = None
    """Languages of the queries that are asked; all by default."""
    queries_per_group: int = Field(1, ge=1)
    """Queries of a group that are asked, in languages that are drawn; what each finds is merged. The positive's stored score is
    the first's: ask one query where training takes scores over (rank_distillation, margin_mse)."""
    passage_languages: LanguageCodes | None = None
    """Languages that negatives may come from; all by default."""
    draw: Literal["pooled", "own", "other", "balanced"] = "pooled"
    """From where: the pool of all languages as it is ranked; the query's own language; the other ones; each language in turn,
    so that none gives more than its share."""
    first_rank: int = Field(1, ge=1)
    """The ranks, among passages of other clusters, that candidates come from: the very best may be answers nobody marked."""
    last_rank: int = Field(100, ge=1, le=1000)
    """The last of them; for draw balanced in each language."""
    negatives: int = Field(8, ge=1)
    """Most negatives of a group; fewer where fewer pass the filters."""
    keep: Literal["best", "random"] = "best"
    """Which of those that pass: the highest, or drawn ones."""
    margin: float | None = Field(0.95, gt=0, le=1)
    """A candidate that scores above this share of the positive's score is dropped as a likely answer (NV-Retriever). The
    positive is the group's passage in the candidate's language where there is one, else its best."""
    below: float | None = Field(None, ge=0)
    """A candidate must score at least this much below the positive."""
    highest: float | None = None
    """A candidate that scores above this is dropped."""
    seed: int = Field(0, ge=0)
    """Of the languages and negatives that are drawn."""
    tokens_per_batch: int = Field(8192, ge=16)
    """Padded tokens that go through the reranker, or of queries through the encoder, at once."""
    encode: EncodeSettings = EncodeSettings(encoders=0)
    index: IndexSettings = IndexSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "MineJob":
        if self.by == "encoder" and self.encoder is None:
            raise ValueError("by encoder needs an encoder; name one, such as runs/NAME/model, or set by to bm25")
        if self.by == "bm25" and self.encoder is not None:
            raise ValueError(
                "by bm25 has no encoder; leave encoder out, or set by to encoder (reranker may score either's anew)"
            )
        if self.first_rank > self.last_rank:
            raise ValueError(f"first_rank {self.first_rank} is behind last_rank {self.last_rank}")
        return self
