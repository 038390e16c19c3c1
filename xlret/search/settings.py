"""How passages are encoded and how an index of them is built: settings that need neither FAISS nor Ray to be read."""

import os
from typing import Literal

from pydantic import Field

from xlret.config import Settings

MOST_SHARDS = 1024
DType = Literal["float16", "float32"]


class EncodeSettings(Settings):
    """How passages are encoded."""

    tokens_per_batch: int | None = Field(None, ge=16)
    """Padded tokens that go through the encoder at once; by default 1,024 on CPUs (8,192 in bfloat16, which costs something
    for each batch) and 32,768 on GPUs."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of encoding; bfloat16 is faster on GPUs and on processors with instructions for it, and slower on others."""
    store: DType = "float16"
    """How vectors are stored."""
    passages_per_part: int = Field(8192, ge=1, le=65_536)
    """Passages that are sorted by length and encoded together; what is lost when a run is killed."""
    gpu: bool = False
    """Encode on GPUs."""
    encoders: int | None = Field(None, ge=0)
    """Actors; by default one for each GPU, or for each CPU up to eight. 0: this process alone, without Ray."""
    threads: int | None = Field(None, ge=1)
    """Threads of each actor; by default all CPUs shared among them."""
    tasks: int = Field(1, ge=1)
    """Parts that are tokenised at the same time."""


class IndexSettings(Settings):
    """How to build an index."""

    shards: int = Field(1, ge=1, le=MOST_SHARDS)
    """Parts that are searched side by side."""
    factory: str = "auto"
    """auto, or a FAISS factory string: Flat, SQfp16, SQ8, IVF4096,SQ8, HNSW32,SQ8, OPQ48,IVF4096,PQ48, ..."""
    seed: int = Field(0, ge=0)
    """Of what is drawn in training and measuring."""
    recall: float = Field(0.97, gt=0, le=1)
    """The default dial is the least whose recall@10 reaches this."""
    exact_rows: int = Field(50_000, ge=0)
    """Searches restricted to so few passages compare with all of them."""
    certificate_queries: int = Field(200, ge=1, le=10_000)
    """Queries that recall is measured with."""
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """For training and filling the index; by default one for each processor."""
    workers: int | None = Field(None, ge=0)
    """Shards that are made side by side, by tasks of Ray, each with its share of the threads, on a cluster whose machines all
    see the paths; by default as many as the machine of the cluster of RAY_ADDRESS that the command runs on has room for, and
    without a cluster as with 0: this process, one shard after the other."""
