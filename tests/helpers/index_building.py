"""Indexes for the tests of search."""

from pathlib import Path

from xlret.search.build import build_index
from xlret.search.index import SearchIndex
from xlret.search.settings import IndexSettings
from xlret.search.vectors.store import VectorStore


def quiet(line: str) -> None:
    pass


def build(store: VectorStore, place: Path, **settings: object) -> Path:
    """A new version of the index at `place`, measured with few queries."""
    values = {"certificate_queries": 10, "threads": 1, **settings}
    return build_index(store, place, IndexSettings.model_validate(values), say=quiet)


def built(store: VectorStore, place: Path, **settings: object) -> SearchIndex:
    return SearchIndex.open(build(store, place, **settings))
