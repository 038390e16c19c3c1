"""Queries to measure an index with where there are none: titles, or first sentences, of some of its passages."""

import heapq
import re

from xlret.search.vectors.store import VectorStore
from xlret.search.write import hashes

_END = re.compile(r"(?<=[.!?。！？؟।։።])\s*")
_LONGEST = 200


def sampled_queries(store: VectorStore, each: int) -> dict[str, list[str]]:
    """Language -> texts that may stand for queries: those of the `each` passages whose ids hash lowest; one pass over the ids.

    Args:
        store: encoded passages.
        each: at most so many of a language.
    """
    lowest: dict[str, list[tuple[int, str]]] = {}
    for part in store.parts():
        keys = hashes(part.column("id").to_pylist()).tolist()
        titles, texts = part.column("title"), part.column("text")
        for row, (key, lang) in enumerate(zip(keys, part.column("lang").to_pylist(), strict=True)):
            best = lowest.setdefault(lang, [])
            if len(best) < each or -key > best[0][0]:
                query = titles[row].as_py() or first_sentence(texts[row].as_py())
                (heapq.heappush if len(best) < each else heapq.heapreplace)(best, (-key, query))
    return {lang: [query for _, query in sorted(best, reverse=True)] for lang, best in sorted(lowest.items())}


def first_sentence(text: str) -> str:
    """Up to the first full stop or its like, and not more than 200 characters.

    >>> first_sentence("Bern is a city. It lies on the Aare.")
    'Bern is a city.'
    """
    return next((one for one in _END.split(text[: 4 * _LONGEST]) if one.strip()), text)[:_LONGEST]
