"""Retrieval sets of texts that come in several languages under one key: the answers of a question in every language."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from xlret.errors import DataError, UserError
from xlret.evaluation.sets import RetrievalSet
from xlret.text.languages import language


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

    def retrieval_set(self, name: str) -> RetrievalSet:
        """Everything as one pool.

        Raises:
            UserError: no query or no passage.
            DataError: a query id is there twice in a language.
        """
        if not self.queries or not self.passages:
            raise UserError(
                f"{name}: {len(self.queries)} queries and {len(self.passages)} passages; there must be some of both"
            )
        repeated = [query_id for query_id, count in Counter(query[0] for query in self.queries).items() if count > 1]
        if repeated:
            raise DataError(f"{name}: query {repeated[0]!r} is there twice ({len(repeated)} such queries)")
        by_key: dict[str, list[int]] = {}
        for index, (key, _) in enumerate(self.passages):
            by_key.setdefault(key, []).append(index)
        ids, langs, texts, groups, keys = map(list, zip(*self.queries, strict=True))
        return RetrievalSet(
            name,
            tuple(sorted({*langs, *(lang for _, lang in self.passages)})),
            ids,
            langs,
            texts,
            [f"{lang}/{key}" for key, lang in self.passages],
            [lang for _, lang in self.passages],
            list(self.passages.values()),
            [np.array(sorted(index for key in query_keys for index in by_key.get(key, ())), np.int64) for query_keys in keys],
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
