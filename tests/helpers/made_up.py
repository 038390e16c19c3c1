"""Made-up passages and vectors for the tests of search."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.keys import generator
from xlret.search.passages import Passage
from xlret.search.vectors.store import VectorStore, write_store

LANGUAGES = ("de", "en", "fr", "sw", "th")


def unit(vectors_ND: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def make_vectors(count: int, dimension: int = 16, seed: int = 0, distinct: int | None = None) -> NDArray[np.float32]:
    """Clustered vectors; only `distinct` different ones where that is given."""
    numbers = generator(seed, "vectors")
    centres = numbers.standard_normal((12, dimension))
    vectors = unit(centres[numbers.integers(12, size=count)] + 0.6 * numbers.standard_normal((count, dimension)))
    return vectors if distinct is None else vectors[numbers.integers(min(count, distinct), size=count)]


def make_passages(count: int, seed: int = 0, languages: Sequence[str] = LANGUAGES, prefix: str = "p") -> list[Passage]:
    """Languages of different sizes; metadata of all four types with some values missing."""
    numbers = generator(seed, "passages")
    weights = np.array([2.0**-place for place in range(len(languages))])
    langs = numbers.choice(len(languages), size=count, p=weights / weights.sum())
    order = numbers.permutation(count)
    return [
        Passage(
            f"{prefix}{order[row]}",
            languages[langs[row]],
            None if row % 3 else f"Title {row}",
            f"text of {row}",
            {
                "year": int(2000 + numbers.integers(20)),
                "kind": ["news", "wiki", None][row % 3],
                "score": float(numbers.random()),
                "good": bool(row % 2),
            },
        )
        for row in range(count)
    ]


def make_store(
    path: Path,
    count: int = 300,
    dimension: int = 16,
    seed: int = 0,
    distinct: int | None = None,
    dtype: str = "float16",
    languages: Sequence[str] = LANGUAGES,
    prefix: str = "p",
) -> VectorStore:
    vectors = make_vectors(count, dimension, seed, distinct)
    return write_store(path, make_passages(count, seed, languages, prefix), vectors, dtype=dtype, passages_per_part=97)
