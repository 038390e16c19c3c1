"""BM25 (Robertson and Zaragoza 2009, as Lucene has it) over words of any script, through `bm25s`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from xlret.errors import UserError
from xlret.evaluation.retrieve import NOT_RETRIEVED, Reorder, passage_of_columns
from xlret.evaluation.sets import RetrievalSet
from xlret.shapes import FloatMatrix, IntArray
from xlret.text.case import fold
from xlret.text.segment import split_words

Statistics = Literal["bm25", "bm25-pooled"]
_WITH_DIGIT = re.compile(r"\w*\d\w*")


def words_of(text: str, lang: str) -> list[str]:
    """The terms of a text: its words as `split_words` cuts them (ICU's dictionaries where there are no spaces) in lower case
    by the rules of the language, and what has a digit. No stemming, no stop words.

    >>> words_of("In Oslo, 3rd May 2024", "en")
    ['in', 'oslo', '3rd', 'may', '2024']
    """
    parts = split_words(text, lang)
    terms = []
    for number, part in enumerate(parts):
        terms += [fold(part, lang)] if number % 2 else [term.lower() for term in _WITH_DIGIT.findall(part)]
    return terms


def bm25(retrieval_set: RetrievalSet, statistics: Statistics) -> Reorder:
    """Scores of BM25 for all passages (k1 = 1.5, b = .75); passages without a term of the query are not retrieved.

    Across languages it finds what is written the same: names, numbers, loan words.

    Args:
        retrieval_set: queries and passages.
        statistics: `bm25` counts terms and lengths within each language, `bm25-pooled` over all passages together.

    Raises:
        UserError: `bm25s` is not installed, or PyICU for a language without spaces.

    Cost: for each query a sum over its terms' lists in every index, and a row of scores as long as the pool.
    """
    passage_rows: dict[str, list[int]] = {}
    for row, lang in enumerate(retrieval_set.passage_langs):
        passage_rows.setdefault(lang if statistics == "bm25" else "", []).append(row)
    indexes: list[tuple[IntArray, Any]] = []
    for rows in passage_rows.values():
        terms = [words_of(retrieval_set.passage_texts[row], retrieval_set.passage_langs[row]) for row in rows]
        if any(terms):
            indexes.append((np.array(rows), _index(terms)))

    def scores(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        passage_of = passage_of_columns(retrieval_set.passage_langs, columns)
        by_passage_BP = np.zeros(scores_BP.shape, np.float32)
        for block_row, row in enumerate(rows):
            query = words_of(retrieval_set.query_texts[row], retrieval_set.query_langs[row])
            for passages, index in indexes:
                by_passage_BP[block_row, passages] = _scores(index, query, len(passages))
        by_passage_BP[by_passage_BP <= 0] = NOT_RETRIEVED
        return by_passage_BP[:, passage_of]

    return scores


def best_by_bm25(queries: Sequence[str], passages: Sequence[str], lang: str, depth: int) -> list[IntArray]:
    """The rows of the best `depth` passages of each query, best first, by BM25 within one language; equal scores by row.

    Passages without a term of the query are none of them.

    Raises:
        UserError: see `bm25`.
    """
    terms = [words_of(text, lang) for text in passages]
    if not any(terms):
        return [np.empty(0, np.int64)] * len(queries)
    index, best = _index(terms), []
    for query in queries:
        scores_P = _scores(index, words_of(query, lang), len(passages))
        matching = np.flatnonzero(scores_P > 0)
        best.append(matching[np.argsort(-scores_P[matching], kind="stable")][:depth])
    return best


def _index(terms: Sequence[Sequence[str]]) -> Any:
    try:
        import bm25s
    except ImportError as error:
        raise UserError("BM25 needs the package bm25s: pip install 'xlret[lexical]'") from error
    index = bm25s.BM25()
    index.index(terms, show_progress=False)
    return index


def _scores(index: Any, query: Sequence[str], n_passages: int) -> Any:
    known = [term for term in query if term in index.vocab_dict]
    return index.get_scores(known) if known else np.zeros(n_passages, np.float32)
