"""The best passages of queries, and what their own passages score: by an encoder through an index, or by BM25."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus import ParallelCorpus
from xlret.mine.choose import Candidate
from xlret.mine.settings import MineJob
from xlret.search.passages import Passage
from xlret.shapes import IntArray
from xlret.storage.url import is_url

_PASSAGES_AT_ONCE = 1024
Say = Callable[[str], None]


class Query(NamedTuple):
    """A query of a group."""

    group: int
    lang: str
    text: str


class Ranked(NamedTuple):
    """What a query's ranking holds."""

    candidates: list[Candidate]
    """Best first; passages of the query's own group may be among them."""
    positives: dict[str, float]
    """Language -> score of the group's own passage in it."""


Ranker = Callable[[Sequence[Query], int], list[Ranked]]
"""The rankings of queries, each with its best passages of every pool that it is asked in, as many as the number says."""


def searched_languages(query_lang: str, languages: Sequence[str], job: MineJob) -> list[tuple[str, ...]]:
    """The pools that a query is asked in, by `draw`; none where no language is left."""
    others = tuple(lang for lang in languages if lang != query_lang)
    pools: dict[str, list[tuple[str, ...]]] = {
        "pooled": [tuple(languages)],
        "own": [(query_lang,)] if query_lang in languages else [],
        "other": [others] if others else [],
        "balanced": [(lang,) for lang in languages],
    }
    return pools[job.draw]


def encoder_ranker(corpus: ParallelCorpus, languages: Sequence[str], job: MineJob, scratch: Path, say: Say) -> Ranker:
    """By cosines of an encoder: passages are encoded in bulk and indexed, queries are searched in the index.

    Args:
        corpus: whose passages.
        languages: of the passages.
        job: encoder, and how to encode and index.
        scratch: a directory for vectors and index.
        say: told what is done.

    Cost: one pass of the encoder over the passages; disk for vectors and index.
    """
    from xlret.model.encoder import Encoder
    from xlret.search.build import build_index
    from xlret.search.index import SearchIndex
    from xlret.search.query import SearchOptions
    from xlret.search.vectors.encode import encode_passages
    from xlret.search.vectors.store import vectors_of

    assert job.encoder is not None, "settings ask for one"
    encoder = Encoder.load(job.encoder, device="cuda" if job.encode.gpu else "cpu")
    saved = scratch / "encoder"
    encoder.save(saved)  # whatever layout it came in
    store = encode_passages(
        _passages(corpus, languages), saved, scratch / "vectors", job.encode, show=say, progress=False, loaded=encoder
    )
    index = SearchIndex.open(build_index(store, scratch / "index", job.index, say=say), verify_files=False)
    parts = [vectors_of(table) for table in store.parts()]
    starts = np.cumsum([0, *(len(part) for part in parts)])
    offsets = dict(zip(languages, np.cumsum([0, *(len(corpus.side("passage", lang)) for lang in languages)]), strict=False))

    def stored_vectors(lang: str, groups: IntArray) -> NDArray[np.float32]:
        rows = offsets[lang] + corpus.side("passage", lang).rank_of(groups)
        vectors_ND = np.empty((len(rows), store.dimension), np.float32)
        for number in np.unique(owner := np.searchsorted(starts, rows, side="right") - 1):
            inside = owner == number
            vectors_ND[inside] = parts[number][rows[inside] - starts[number]]
        return vectors_ND

    def rank(queries: Sequence[Query], depth: int) -> list[Ranked]:
        vectors_QD = encoder.encode([query.text for query in queries], "query", tokens_per_batch=job.tokens_per_batch)
        asked = [(q, pool) for q, query in enumerate(queries) for pool in searched_languages(query.lang, languages, job)]
        candidates: list[list[Candidate]] = [[] for _ in queries]
        if asked:
            options = [SearchOptions(top_k=depth, languages=pool) for _, pool in asked]
            hits = index.search(vectors_QD[[q for q, _ in asked]], options)
            for row, (q, _) in enumerate(asked):
                for passage, score in zip(index.passages(hits, row), hits.scores[row], strict=True):
                    candidates[q].append(Candidate(int(passage.id.partition(":")[0]), passage.lang, float(score)))
        positives = _scored_positives(
            corpus,
            languages,
            queries,
            lambda lang, rows, groups: np.einsum("qd,qd->q", vectors_QD[rows], stored_vectors(lang, groups)),
        )
        return [
            Ranked(sorted(of_query, key=lambda candidate: -candidate.score), own)
            for of_query, own in zip(candidates, positives, strict=True)
        ]

    return rank


def bm25_ranker(corpus: ParallelCorpus, languages: Sequence[str], queries: Sequence[Query], job: MineJob) -> Ranker:
    """By BM25 with each language's own statistics: across languages it sees what is written the same.

    Args:
        corpus: whose passages.
        languages: of the passages.
        queries: all that will be asked.
        job: says which pools are searched.

    Cost: memory for all texts; for each query a row of scores as long as the pool.

    Raises:
        UserError: `bm25s` is not installed.
    """
    from xlret.evaluation.baselines.bm25 import bm25
    from xlret.evaluation.sets import RetrievalSet

    passages = list(_passages(corpus, languages))
    groups_P = np.array([int(passage.id.partition(":")[0]) for passage in passages])
    langs_P = np.array([passage.lang for passage in passages], dtype=object)
    counts = np.cumsum([0, *(len(corpus.side("passage", lang)) for lang in languages)]).tolist()
    columns = {lang: slice(counts[number], counts[number + 1]) for number, lang in enumerate(languages)}
    row_of = {(group, lang): row for row, (group, lang) in enumerate(zip(groups_P.tolist(), langs_P.tolist(), strict=True))}
    number_of = {(query.group, query.lang): number for number, query in enumerate(queries)}
    pool = RetrievalSet(
        name="mining",
        languages=tuple(languages),
        query_ids=[f"{query.group}:{query.lang}" for query in queries],
        query_langs=[query.lang for query in queries],
        query_texts=[query.text for query in queries],
        passage_ids=[passage.id for passage in passages],
        passage_langs=langs_P.tolist(),
        passage_texts=[passage.text for passage in passages],
        relevant=[np.empty(0, np.int64)] * len(queries),
    )
    scores_of = bm25(pool, "bm25")

    def ranking(query: Query, depth: int) -> Ranked:
        query_row = np.array([number_of[query.group, query.lang]])
        scores_P = scores_of(query_row, np.zeros((1, len(passages)), np.float32), columns)[0]
        candidates = []
        for langs in searched_languages(query.lang, languages, job):
            rows = np.flatnonzero(np.isin(langs_P, langs) & np.isfinite(scores_P))
            best = rows[np.argsort(-scores_P[rows], kind="stable")[:depth]].tolist()
            candidates += [Candidate(int(groups_P[row]), langs_P[row], float(scores_P[row])) for row in best]
        own_rows = {lang: row_of[query.group, lang] for lang in languages if (query.group, lang) in row_of}
        own = {lang: float(max(scores_P[own_row], 0)) for lang, own_row in own_rows.items()}  # 0: no word in common
        return Ranked(sorted(candidates, key=lambda candidate: -candidate.score), own)

    return lambda asked, depth: [ranking(query, depth) for query in asked]


Score = Callable[[list[tuple[str, str]]], NDArray[np.float32]]
"""Pairs of a query and a passage to scores."""


def reranked(ranked: Ranked, query: Query, corpus: ParallelCorpus, score: Score) -> Ranked:
    """The same candidates and positives with a reranker's scores, in their order.

    Args:
        ranked: of the query.
        query: the query.
        corpus: whose passages they are.
        score: the reranker.
    """
    keys = [(candidate.group, candidate.lang) for candidate in ranked.candidates]
    keys += [(query.group, lang) for lang in ranked.positives]
    texts = [corpus.passages(lang, np.array([group]))[0] for group, lang in keys]
    scores = score([(query.text, text) for text in texts]).tolist()
    count = len(ranked.candidates)
    candidates = [candidate._replace(score=value) for candidate, value in zip(ranked.candidates, scores[:count], strict=True)]
    positives = dict(zip(ranked.positives, scores[count:], strict=True))
    return Ranked(sorted(candidates, key=lambda candidate: -candidate.score), positives)


def scratch_beside(out: Path) -> AbstractContextManager[str | Path]:
    """A directory on the disk of `out`, gone at the end; of a URL on this machine's."""
    if is_url(out):
        from xlret.storage.cache import work_directory

        return work_directory()
    out.parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent)


def _passages(corpus: ParallelCorpus, languages: Sequence[str]) -> Iterator[Passage]:
    """All passages of these languages, language by language, with id `ORDINAL:LANG`."""
    for lang in languages:
        pool = corpus.side("passage", lang)
        for start in range(0, len(pool), _PASSAGES_AT_ONCE):
            groups = pool.take(np.arange(start, min(start + _PASSAGES_AT_ONCE, len(pool))))
            for group, text in zip(groups.tolist(), corpus.passages(lang, groups), strict=True):
                yield Passage(f"{group}:{lang}", lang, None, text)


def _scored_positives(
    corpus: ParallelCorpus,
    languages: Sequence[str],
    queries: Sequence[Query],
    score: Callable[[str, IntArray, IntArray], NDArray[np.float32]],
) -> list[dict[str, float]]:
    """For each query the scores of its group's own passages by language."""
    groups_Q = np.array([query.group for query in queries])
    positives: list[dict[str, float]] = [{} for _ in queries]
    for lang in languages:
        rows = np.flatnonzero(corpus.side("passage", lang).rank_of(groups_Q) >= 0)
        for row, value in zip(rows.tolist(), score(lang, rows, groups_Q[rows]).tolist(), strict=True):
            positives[row][lang] = value
    return positives
