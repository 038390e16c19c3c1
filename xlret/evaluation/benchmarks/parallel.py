"""Retrieval sets of texts that come in several languages under one key: the answers of a question in every language."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np

from xlret.data.texts_on_disk import hold_texts
from xlret.errors import DataError, UserError
from xlret.evaluation.sets import RetrievalSet
from xlret.text.languages import language


class KeyedText(NamedTuple):
    """A passage under a key that its versions in other languages have too."""

    key: str
    lang: str
    text: str


@dataclass
class ParallelTexts:
    """Queries and passages as they are read; relevant for a query are the passages of its keys, in every language."""

    queries: list[tuple[str, str, str, str, tuple[str, ...]]] = field(default_factory=list)
    """Id, language, text, group and keys."""
    passages: dict[tuple[str, str], str] = field(default_factory=dict)
    """(Key, language) -> text."""
    left_out: dict[str, int] = field(default_factory=dict)

    def add_passage(self, key: str, lang: str, text: str) -> None:
        """A passage; one that is there already under this key and language must have the same text.

        Raises:
            ValueError: it has another.
        """
        if self.passages.setdefault((key, lang), text) != text:
            raise ValueError(f"passage {key!r} is there twice in {lang}, with different texts")

    def add_query(self, group: str, lang: str, text: str, keys: tuple[str, ...]) -> None:
        """A query; those of one group ask the same in several languages."""
        self.queries.append((f"{lang}/{group}", lang, text, group, keys))

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Counts what is not in the set."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def retrieval_set(self, name: str, collection: Iterable[KeyedText] = ()) -> RetrievalSet:
        """Everything as one pool.

        Args:
            name: of the set.
            collection: further passages, read once, whose texts need not fit into memory (`hold_texts`).

        Raises:
            UserError: no query or no passage.
            DataError: a query id, or a key of the collection, is there twice in a language.
        """
        repeated = [query_id for query_id, count in Counter(query[0] for query in self.queries).items() if count > 1]
        if repeated:
            raise DataError(f"{name}: query {repeated[0]!r} is there twice ({len(repeated)} such queries)")
        rows_of: dict[str, list[int]] = {key: [] for *_, keys in self.queries for key in keys}
        passage_langs: list[str] = []
        row_of: dict[str, int] = {}

        def passage_texts() -> Iterator[str]:
            added = (KeyedText(key, lang, text) for (key, lang), text in self.passages.items())
            for row, passage in enumerate(chain(added, collection)):
                if row_of.setdefault(f"{passage.lang}/{passage.key}", row) != row:
                    raise DataError(f"{name}: passage {passage.key!r} is there twice in {passage.lang}; an id may come once")
                passage_langs.append(passage.lang)
                if passage.key in rows_of:
                    rows_of[passage.key].append(row)
                yield passage.text

        texts = hold_texts(passage_texts())
        if not self.queries or not texts:
            raise UserError(f"{name}: {len(self.queries)} queries and {len(texts)} passages; there must be some of both")
        ids, langs, query_texts, groups, keys = map(list, zip(*self.queries, strict=True))
        return RetrievalSet(
            name,
            tuple(sorted({*langs, *passage_langs})),
            ids,
            langs,
            query_texts,
            list(row_of),
            passage_langs,
            texts,
            [np.array(sorted(row for key in query_keys for row in rows_of[key]), np.int64) for query_keys in keys],
            groups,
            left_out=dict(self.left_out),
        )


def by_language(codes: str) -> dict[str, str]:
    """BCP-47 codes -> the codes that files are named by, for a list of these.

    >>> by_language("deu_Latn arb_Arab")
    {'ar': 'arb_Arab', 'de': 'deu_Latn'}
    """
    named = {language(code): code for code in codes.split()}
    assert len(named) == len(codes.split()), "two codes of one language"
    return dict(sorted(named.items()))
