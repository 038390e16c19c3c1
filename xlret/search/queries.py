"""Queries to measure an index with where there are none: titles, or first sentences, of some of its passages."""

import heapq
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.search.vectors.fingerprint import encoder_files, same_vectors
from xlret.search.vectors.store import VectorStore
from xlret.search.write import hashes

if TYPE_CHECKING:  # an index can be built without torch
    from xlret.model.encoder import Encoder

_END = re.compile(r"(?<=[.!?。！？؟।։።])\s*")
_LONGEST = 200


def sampled_queries(store: VectorStore, per_language: int) -> dict[str, list[str]]:
    """Language -> texts that may stand for queries: those of the passages whose ids hash lowest; one pass over the ids.

    Args:
        store: encoded passages.
        per_language: at most so many of each language.
    """
    lowest: dict[str, list[tuple[int, str]]] = {}
    for part in store.parts():
        keys = hashes(part.column("id").to_pylist()).tolist()
        titles, texts = part.column("title"), part.column("text")
        for row, (key, lang) in enumerate(zip(keys, part.column("lang").to_pylist(), strict=True)):
            best = lowest.setdefault(lang, [])
            if len(best) < per_language or -key > best[0][0]:
                query = titles[row].as_py() or first_sentence(texts[row].as_py())
                (heapq.heappush if len(best) < per_language else heapq.heapreplace)(best, (-key, query))
    return {lang: [query for _, query in sorted(best, reverse=True)] for lang, best in sorted(lowest.items())}


def encoded_queries(
    store: VectorStore, encoder: Path, count: int, loaded: "Encoder | None" = None
) -> dict[str, NDArray[np.float32]]:
    """Language -> vectors [N, D] of `sampled_queries`, for `build_index`.

    Args:
        store: encoded passages.
        encoder: directory of the encoder that made them.
        count: how many queries over all languages; each has 8 at least.
        loaded: that encoder, where this process has it already.

    Raises:
        UserError: another encoder made the passages.
    """
    if store.encoder.get("sha256") is not None and not same_vectors(store.encoder, encoder, encoder_files(encoder)):
        raise UserError(
            f"{store.path} was encoded with {store.encoder.get('path')}, whose files are not those of {encoder}: "
            "its queries would find nothing there; name that encoder, or none"
        )
    if loaded is None:
        from xlret.model.encoder import Encoder

        loaded = Encoder.load(encoder)
    texts = sampled_queries(store, max(8, -(-count // len(store.languages))))
    vectors = loaded.encode(list(chain.from_iterable(texts.values())), "query")
    ends = np.cumsum([len(queries) for queries in texts.values()])[:-1]
    return dict(zip(texts, np.split(vectors, ends), strict=True))


def first_sentence(text: str) -> str:
    """Up to the first full stop or its like, and not more than 200 characters.

    >>> first_sentence("Bern is a city. It lies on the Aare.")
    'Bern is a city.'
    """
    return next((sentence for sentence in _END.split(text[: 4 * _LONGEST]) if sentence.strip()), text)[:_LONGEST]
