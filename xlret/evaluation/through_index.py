"""Retrieval through a built index: its best passages of each query, as the endpoint would give them."""

from collections.abc import Sequence

import numpy as np

from xlret.errors import UserError
from xlret.evaluation.retrieve import Retrieved
from xlret.evaluation.sets import RetrievalSet
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.shapes import FloatMatrix, IntArray

_QUERIES_AT_ONCE = 256


def retrieve_through_index(
    index: SearchIndex, retrieval_set: RetrievalSet, queries_QD: FloatMatrix, relevant: Sequence[IntArray], depth: int
) -> Retrieved:
    """What an index of exactly these passages finds, `depth` hits a query, and as many within each language that has answers.

    Whatever is not among the hits is not retrieved; its ranks are the mean of those behind the list. So un-truncated mAP and
    rank distance say what the lists hold, and no more. Ties go by id, as the index has them.

    Raises:
        UserError: the index holds other passages than the set, or `depth` is beyond what it can be asked.
    """
    row_of = {passage_id: row for row, passage_id in enumerate(retrieval_set.passage_ids)}
    counts = dict(index.manifest.languages)
    wanted = {lang: retrieval_set.passage_langs.count(lang) for lang in sorted({*retrieval_set.passage_langs})}
    if counts != wanted:
        raise UserError(
            f"the index {index.path} holds {sum(counts.values()):,} passages in {', '.join(counts)}, and {retrieval_set.name} "
            f"has {len(row_of):,} in {', '.join(wanted)}; build one of what evaluate --vectors keeps (index build --vectors)"
        )
    lang_P = np.asarray(retrieval_set.passage_langs, dtype=np.str_)
    query_N = np.repeat(np.arange(len(relevant), dtype=np.int64), [len(rows) for rows in relevant])
    passage_N = np.concatenate([np.empty(0, np.int64), *relevant]).astype(np.int64)
    lang_N = lang_P[passage_N]
    depth = min(depth, len(row_of))

    def best(rows: IntArray, languages: tuple[str, ...] | None) -> tuple[IntArray, FloatMatrix]:
        top_QK, scores_QK = np.full((len(rows), depth), -1, np.int64), np.full((len(rows), depth), -np.inf, np.float32)
        for start in range(0, len(rows), _QUERIES_AT_ONCE):
            asked = rows[start : start + _QUERIES_AT_ONCE]
            hits = index.search(queries_QD[asked], SearchOptions(top_k=depth, languages=languages))
            for number, (ids, scores) in enumerate(zip(hits.ids, hits.scores, strict=True), start):
                unknown = next((passage_id for passage_id in ids if passage_id not in row_of), None)
                if unknown is not None:
                    raise UserError(
                        f"the index {index.path} holds {unknown!r}, which {retrieval_set.name} does not; build it anew"
                    )
                top_QK[number, : len(ids)] = [row_of[passage_id] for passage_id in ids]
                scores_QK[number, : len(ids)] = scores
        return top_QK, scores_QK

    top_QK, scores_QK = best(np.arange(len(queries_QD)), None)
    length_Q = np.count_nonzero(top_QK >= 0, axis=1)
    rank_N = _ranks(top_QK, query_N, passage_N)
    own_N, is_own_retrieved_N = np.zeros(len(query_N), np.int64), np.ones(len(query_N), np.bool_)
    for lang in np.unique(lang_N).tolist():
        pairs = np.flatnonzero(lang_N == lang)
        rows, position = np.unique(query_N[pairs], return_inverse=True)
        own_N[pairs] = _ranks(best(rows, (lang,))[0], position, passage_N[pairs]) if len(wanted) > 1 else rank_N[pairs]
        missing = pairs[own_N[pairs] == 0]
        is_own_retrieved_N[missing] = False
        own_N[missing] = (min(depth, wanted[lang]) + 1 + wanted[lang]) // 2
    missing_N = rank_N == 0
    rank_N[missing_N] = (length_Q[query_N[missing_N]] + 1 + len(row_of)) // 2
    is_tied_N = np.zeros(len(query_N), np.bool_)
    for pair in np.flatnonzero(~missing_N):
        scores_K = scores_QK[query_N[pair]]
        is_tied_N[pair] = np.count_nonzero(scores_K == scores_K[rank_N[pair] - 1]) > 1
    return Retrieved(
        query_N,
        passage_N,
        rank_N,
        own_N,
        ~missing_N,
        is_tied_N,
        length_Q,
        top_QK,
        scores_QK,
        np.empty(0),
        is_own_retrieved_N,
    )


def _ranks(top_QK: IntArray, query_N: IntArray, passage_N: IntArray) -> IntArray:
    """The rank of each passage in its query's list, from 1; 0 where it is not there."""
    ranks_N = np.zeros(len(query_N), np.int64)
    for pair, (query, passage) in enumerate(zip(query_N.tolist(), passage_N.tolist(), strict=True)):
        position = np.flatnonzero(top_QK[query] == passage)
        ranks_N[pair] = position[0] + 1 if len(position) else 0
    return ranks_N
