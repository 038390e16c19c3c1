"""The rows of the tables of `python -m jobs.bench.debias`: what is taken out of which vectors."""

from collections.abc import Iterator, Mapping

import numpy as np

from jobs.bench.debias_vectors import Pool
from xlret.evaluation.debias.choice import candidates, trials
from xlret.evaluation.evaluate import Evaluation
from xlret.keys import generator
from xlret.model.debias.component import METHODS
from xlret.model.debias.estimate import LEAST, LanguageMeans, component_from, language_means
from xlret.search.balance import BALANCES
from xlret.shapes import FloatMatrix

Rows = Iterator[tuple[str, Evaluation]]
Sources = Mapping[str, dict[str, FloatMatrix]]
"""Where texts come from -> language -> their vectors."""
SIZES = (100, 300, 1000)
OWN = "own passages"


def method_rows(pool: Pool, sources: Sources, dev_pool: Pool | None) -> Rows:
    """Balances of rankings, every method with texts of every source, and what dev groups choose of them."""
    for balance in BALANCES[1:]:
        yield f"balance {balance}", pool.balanced(balance)
    for source, vectors in sources.items():
        means = language_means(vectors)
        for method in METHODS:
            if method != "project":
                yield f"{method}, {source}", pool.with_component(component_from(means, method))
                continue
            for directions in sorted({1, 3, 5, 8, _all(means)}):
                if directions <= _all(means):
                    component = component_from(means, method, directions=directions)
                    yield f"{method} {directions}, {source}", pool.with_component(component)
        if dev_pool is not None:
            best = trials(candidates(means), dev_pool.retrieval_set, dev_pool.queries_QD, dev_pool.passages_PD)[0]
            yield f"chosen on dev ({best.name}), {source}", pool.with_component(best.component)


def together_rows(pool: Pool, sources: Sources, dev_pool: Pool | None) -> Rows:
    """A balance of rankings of vectors that have lost their language."""
    means = language_means(sources[OWN])
    for name, component in (
        ("centre", component_from(means, "centre")),
        (f"project {_all(means)}", component_from(means, "project", directions=_all(means))),
    ):
        for balance in BALANCES[1:]:
            yield f"{name} and balance {balance}", pool.balanced(balance, component)


def size_rows(pool: Pool, sources: Sources, dev_pool: Pool | None) -> Rows:
    """How many texts of a language; then very unequally many."""
    for source, vectors in sources.items():
        largest = max(map(len, vectors.values()))
        for size in (size for size in SIZES if size <= largest):
            means = language_means({lang: _drawn(rows, size, lang) for lang, rows in vectors.items()})
            for method in METHODS:
                yield f"{method}, {size:,} texts, {source}", pool.with_component(component_from(means, method))
        sizes = falling_sizes(vectors, min(SIZES[-1], largest))
        means = language_means({lang: _drawn(rows, sizes[lang], lang) for lang, rows in vectors.items()})
        for method in METHODS:
            title = f"{method}, {max(sizes.values()):,} to {min(sizes.values())} texts, {source}"
            yield title, pool.with_component(component_from(means, method))


def missing_rows(pool: Pool, sources: Sources, dev_pool: Pool | None) -> Rows:
    """Every third language has no text."""
    for source, vectors in sources.items():
        left = {lang: rows for number, (lang, rows) in enumerate(sorted(vectors.items())) if number % 3}
        means, missing = language_means(left), " ".join(sorted(set(vectors) - set(left)))
        for method in METHODS:
            yield f"{method}, {source} without {missing}", pool.with_component(component_from(means, method))


def unequal_rows(pool: Pool) -> Rows:
    """A pool whose languages are of very unequal size, its component from its own passages."""
    for balance in BALANCES[1:]:
        yield f"balance {balance}", pool.balanced(balance)
    means = language_means(pool.passages_by_language())
    for method in METHODS:
        component = component_from(means, method)
        yield method, pool.with_component(component)
        if method in ("centre", "project"):
            yield f"{method} and balance quota", pool.balanced("quota", component)


def trained_rows(pool: Pool, trained: Pool) -> Rows:
    """What each encoder's own passages give before and after a training, with a balance and without."""
    for name, of_encoder in (("before", pool), ("trained", trained)):
        means = language_means(of_encoder.passages_by_language())
        project = component_from(means, "project", directions=_all(means))
        if name != "before":
            yield f"{name}, none", of_encoder.with_component(None)
        yield f"{name}, balance quota", of_encoder.balanced("quota")
        for method in METHODS:
            if method != "project":
                yield f"{name}, {method}", of_encoder.with_component(component_from(means, method))
        yield f"{name}, project {_all(means)}", of_encoder.with_component(project)
        yield f"{name}, project {_all(means)} and balance quota", of_encoder.balanced("quota", project)


def falling_sizes(vectors: Mapping[str, FloatMatrix], largest: int) -> dict[str, int]:
    """From so many texts in English (else in the first language) down to `LEAST` in the last, by equal ratios.

    >>> falling_sizes({"ar": np.empty((500, 2)), "de": np.empty((500, 2)), "en": np.empty((500, 2))}, 500)
    {'en': 500, 'ar': 100, 'de': 20}
    """
    languages = sorted(vectors, key=lambda lang: (lang != "en", lang))
    steps = np.linspace(0, 1, len(languages))
    return {lang: round(largest * (LEAST / largest) ** float(step)) for lang, step in zip(languages, steps, strict=True)}


def _all(means: LanguageMeans) -> int:
    return len(means.counts)


def _drawn(rows_ND: FloatMatrix, size: int, lang: str) -> FloatMatrix:
    return rows_ND[generator(1, "debias bench", lang).permutation(len(rows_ND))[:size]]
