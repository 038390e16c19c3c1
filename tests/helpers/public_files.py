"""Files of benchmarks as they are published, made by hand, and what is read of them."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xlret.evaluation.benchmarks import benchmark
from xlret.evaluation.sets import RetrievalSet


def write(directory: Path, files: Mapping[str, str | bytes | list[dict[str, Any]]]) -> None:
    """Texts, bytes, or records as JSON lines or Parquet by the name's end."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(content), path)
        else:
            lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in content)
            path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())


def single(name: str, directory: Path, languages: list[str] | None = None) -> RetrievalSet:
    (retrieval_set,) = benchmark(name).load(directory, languages)
    return retrieval_set


def answers(retrieval_set: RetrievalSet) -> dict[str, list[str]]:
    """Query id -> ids of its relevant passages."""
    return {
        query_id: [retrieval_set.passage_ids[passage] for passage in passages]
        for query_id, passages in zip(retrieval_set.query_ids, retrieval_set.relevant, strict=True)
    }
