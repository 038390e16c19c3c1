"""How much of the exact answer each kind finds at its default dial, by language and by what a filter leaves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from index_building import built
from made_up import LANGUAGES, make_passages, make_vectors, unit

from xlret.keys import generator
from xlret.search.filters import Filter
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.search.vectors.store import VectorStore, write_store

COUNT, DIMENSION = 8000, 32
FLOORS = {"SQ8": 0.999, "IVF64,Flat": 0.95, "IVF64,SQ8": 0.95, "IVF64,PQ8": 0.95, "HNSW16": 0.97, "HNSW16,SQ8": 0.97}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VectorStore:
    passages = [
        passage._replace(metadata={"half": row % 2, "tenth": row % 10, "hundredth": row % 100, "thousandth": row % 1000})
        for row, passage in enumerate(make_passages(COUNT))
    ]
    return write_store(tmp_path_factory.mktemp("recall") / "store", passages, make_vectors(COUNT, DIMENSION))


def recall(index: SearchIndex, queries: np.ndarray, options: SearchOptions) -> float:
    approximate, exact = index.search(queries, options), index.search(queries, replace(options, exact=True))
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(approximate.ids, exact.ids, strict=True)]
    assert all(len(a) == len(b) for a, b in zip(approximate.ids, exact.ids, strict=True))
    return float(np.mean(shares))


@pytest.mark.parametrize("factory", FLOORS)
def test_recall_at_10(factory: str, store: VectorStore, tmp_path: Path) -> None:
    index = built(store, tmp_path / "index", factory=factory, shards=2, exact_rows=100, certificate_queries=100)
    noise = 0.1 * generator(0, "noise").standard_normal((100, DIMENSION))
    queries = unit(make_vectors(COUNT, DIMENSION)[::80] + noise)
    floor = FLOORS[factory]
    assert recall(index, queries, SearchOptions()) >= floor
    for lang in LANGUAGES:
        assert recall(index, queries, SearchOptions(languages=(lang,))) >= floor - 0.05, lang
    for name in ("half", "tenth", "hundredth", "thousandth"):
        assert recall(index, queries, SearchOptions(filter=Filter({name: 1}))) >= floor - 0.05, name


def test_the_certificate_tells_the_truth(store: VectorStore, tmp_path: Path) -> None:
    index = built(store, tmp_path / "index", factory="IVF64,SQ8", certificate_queries=100, recall=0.9)
    certificate = index.manifest.certificate
    assert certificate is not None
    assert certificate.made_of.startswith("sampled passages")
    values = [dial.value for dial in certificate.dials]
    assert values == sorted(set(values))
    assert values[0] == 1
    assert [dial.recall_10 for dial in certificate.dials] == sorted(dial.recall_10 for dial in certificate.dials)
    reached = [dial.value for dial in certificate.dials if dial.recall_10 >= 0.9]
    assert index.manifest.default_dial == certificate.default == reached[0]
    assert certificate.dials[-1].recall_100 >= 0.9995
    queries = make_vectors(100, DIMENSION, seed=4)
    default = index.search(queries, SearchOptions())
    assert default.ids == index.search(queries, SearchOptions(nprobe=reached[0])).ids
