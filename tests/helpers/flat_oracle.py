"""What a search has to answer, by plain means: one flat FAISS index over all passages, and Python for the rest."""

from collections.abc import Iterable, Mapping

import faiss
import numpy as np
from numpy.typing import NDArray

from xlret.search.merge import Hits
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions


def scores_of(vectors_ND: NDArray[np.floating], query_D: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores of one flat index, one query alone."""
    index = faiss.IndexFlatIP(vectors_ND.shape[1])
    index.add(np.ascontiguousarray(vectors_ND, dtype=np.float32))
    scores, rows = index.search(query_D[None], len(vectors_ND))
    found = np.empty(len(vectors_ND), np.float32)
    found[rows[0]] = scores[0]
    return found


def fits(passage: Passage, options: SearchOptions) -> bool:
    if options.languages is not None and passage.lang not in options.languages:
        return False
    for name, (kind, value) in (options.filter.conditions if options.filter else {}).items():
        own = passage.metadata.get(name)
        if kind == "eq" and not (own == value and (own is None) == (value is None)):
            return False
        if kind == "in" and own not in value:
            return False
        if kind == "range":
            if own is None:
                return False
            tests: Mapping[str, bool] = {
                how: {"gt": own > one, "gte": own >= one, "lt": own < one, "lte": own <= one}[how] for how, one in value.items()
            }
            if not all(tests.values()):
                return False
    return True


def expected(
    passages: list[Passage],
    vectors_ND: NDArray[np.floating],
    query_D: NDArray[np.float32],
    options: SearchOptions,
    deleted: Iterable[str] = (),
) -> tuple[list[str], list[float]]:
    gone = set(deleted) | options.exclude_ids
    scores = scores_of(vectors_ND, query_D)
    rows = [row for row, one in enumerate(passages) if one.id not in gone and fits(one, options)]
    rows.sort(key=lambda row: (-scores[row], passages[row].id))
    rows = rows[: options.top_k]
    return [passages[row].id for row in rows], [float(scores[row]) for row in rows]


def assert_same(one: Hits, other: Hits) -> None:
    """Hits that are equal to the bit."""
    assert one.ids == other.ids
    assert one.langs == other.langs
    for a, b in zip(one.scores, other.scores, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))
