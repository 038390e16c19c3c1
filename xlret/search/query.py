"""What a search is asked: how many hits, from which languages, with which metadata, and how hard to look."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.search.filters import Filter, check_filter
from xlret.text.languages import language, languages_meant

MAX_TOP_K = 10_000
"""The library's bound; the HTTP endpoint has a lower one."""
MAX_EXCLUDED = 10_000
MAX_QUERIES = 10_000
MAX_DIAL = 1 << 20
MAX_NUMBER = 1e6


@dataclass(frozen=True)
class SearchOptions:
    """One query's options; equal options are searched in one go."""

    top_k: int = 10
    languages: tuple[str, ...] | None = None
    """Only passages in these languages, as the index names them; None: all."""
    filter: Filter | None = None
    exclude_ids: frozenset[str] = frozenset()
    nprobe: int | None = None
    """Lists of an IVF index to look into; by default what the certificate chose. Other indexes ignore it."""
    ef: int | None = None
    """How many candidates an HNSW index keeps; by default what the certificate chose. Other indexes ignore it."""
    exact: bool = False
    """Compare with every passage."""


def check_options(options: SearchOptions, languages: Mapping[str, int], fields: Mapping[str, str]) -> None:
    """Whether an index can be asked so.

    Args:
        options: what is asked for.
        languages: the index's languages, with the number of passages in each.
        fields: its metadata fields and their types.

    Raises:
        UserError: a number out of range, or a language or field that the index has not.
    """
    for name, value, most in (
        ("top_k", options.top_k, MAX_TOP_K),
        ("nprobe", options.nprobe, MAX_DIAL),
        ("ef", options.ef, MAX_DIAL),
    ):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
            raise UserError(f"{name} is {value!r}; allowed is 1 to {most:,}")
    if options.languages is not None:
        if not options.languages:
            raise UserError("languages is empty; name at least one, or leave it out for all")
        for code in options.languages:
            if code not in languages:
                raise UserError(f"languages: the index has no passages in {code!r:.40}; it has {', '.join(languages)}")
    if len(options.exclude_ids) > MAX_EXCLUDED:
        raise UserError(f"exclude_ids has {len(options.exclude_ids):,} ids; allowed are {MAX_EXCLUDED:,}")
    if options.filter is not None:
        check_filter(options.filter, fields)


def indexed_languages(codes: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The languages of an index that are meant, each once; see `languages_meant`.

    Args:
        codes: BCP-47 codes, or others that `language` understands.
        known: the index's languages.

    Raises:
        UserError: a code that names no language, or none of the index's.

    >>> indexed_languages(["deu", "pt", "fr-CA"], ["de", "fr", "pt-BR", "pt-PT"])
    ('de', 'pt-BR', 'pt-PT', 'fr')
    """
    meant: dict[str, None] = {}
    for code in codes:
        try:
            indexed = languages_meant(language(code), known)
        except UserError as error:
            raise UserError(f"languages: {error}") from error
        if not indexed:
            raise UserError(f"languages: there are no passages in {code!r:.40}; there are {', '.join(known)}")
        meant.update(dict.fromkeys(indexed))
    return tuple(meant)


def options_of_each(options: SearchOptions | Sequence[SearchOptions], queries: int) -> list[SearchOptions]:
    """The options of each of `queries` queries: the same for all, or one each.

    Raises:
        UserError: another number of them.
    """
    if isinstance(options, SearchOptions):
        return [options] * queries
    if len(options) != queries:
        raise UserError(f"{len(options)} options for {queries} queries; give one for all or one each")
    return list(options)


def checked_vectors(vectors_QD: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """Query vectors as they are searched: float32, [Q, D], C order.

    Raises:
        UserError: wrong shape, too many, or a number that is not finite.
    """
    vectors = np.ascontiguousarray(vectors_QD, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise UserError(f"query vectors have shape {list(vectors.shape)}; this index needs [number of queries, {dimension}]")
    if len(vectors) > MAX_QUERIES:
        raise UserError(f"{len(vectors):,} queries at once; allowed are {MAX_QUERIES:,}")
    bad = np.flatnonzero(~(np.abs(vectors) <= MAX_NUMBER).all(axis=1))  # also what is not a number
    if bad.size:
        raise UserError(f"query vector {bad[0]} holds NaN, infinity or a number beyond {MAX_NUMBER:g}; vectors have length 1")
    return vectors
