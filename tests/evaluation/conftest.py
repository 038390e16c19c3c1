"""Retrieval sets made by code: a pool in several languages with vectors on a coarse grid, so that scores are exact and tie."""

from collections.abc import Callable

import numpy as np
import pytest

from xlret.evaluation.sets import RetrievalSet
from xlret.shapes import FloatMatrix

Made = tuple[RetrievalSet, FloatMatrix, FloatMatrix]


def make_set(seed: int, groups: int = 12, languages: tuple[str, ...] = ("en", "de", "th"), *, ties: bool = True) -> Made:
    """Groups with a passage in about 80 % of the languages, in mixed order; without ties scores are random reals."""
    rng = np.random.default_rng(seed)
    queries = [(group, lang) for lang in languages for group in range(groups)]
    passages = [pair for pair in queries if rng.random() < 0.8 or pair == (0, languages[0])]
    order = rng.permutation(len(passages))
    passages = [passages[place] for place in order]
    relevant = [np.array([i for i, (one, _) in enumerate(passages) if one == group], np.int64) for group, _ in queries]
    draw = (lambda size: rng.integers(-1, 2, size)) if ties else (lambda size: rng.normal(size=size))
    vectors = [draw((len(rows), 4)).astype(np.float32) for rows in (queries, passages)]
    made = RetrievalSet(
        f"made-{seed}",
        tuple(sorted(languages)),
        [f"q{group}/{lang}" for group, lang in queries],
        [lang for _, lang in queries],
        [f"query {group} {lang}" for group, lang in queries],
        [f"p{group}/{lang}" for group, lang in passages],
        [lang for _, lang in passages],
        [f"passage {group} {lang}" for group, lang in passages],
        relevant,
        [str(group) for group, _ in queries],
    )
    return made, vectors[0], vectors[1]


@pytest.fixture(scope="session")
def made() -> Callable[..., Made]:
    """`make_set`."""
    return make_set
