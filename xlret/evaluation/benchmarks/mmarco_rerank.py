"""mMARCO as it is reranked: the passages that BM25 finds for each dev question, in all languages (Litschko et al. 2023)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from xlret.data.read import read_lines
from xlret.data.rows import ReadingReport
from xlret.data.sources.mmarco import LANGUAGES
from xlret.data.sources.texts import either
from xlret.errors import DataError
from xlret.evaluation.baselines.bm25 import best_by_bm25
from xlret.evaluation.benchmarks.mmarco import MMARCO, add_queries, data_folder, files_of, passages_of
from xlret.evaluation.benchmarks.parallel import ParallelTexts
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import HubRepository

DEPTH = 1000
"""Passages of a question that are ranked, as usual."""


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set: the dev questions, each over the passages whose ids the BM25 run of its language names, in every language.

    Ids are common to all languages, so a run of one language is one of all: Mo is reranking within a language (MoIR), Cr with
    passages of another (CLIR), Mul over all (MLIR). Runs are `google/runs/run.bm25_NAME-msmarco.txt` (query, passage, rank; or
    the six columns of TREC). A language without its run gets one by `bm25s` over its whole collection, which is then held in
    memory. Of the collections only what some run names is kept.
    """
    data = data_folder(directory)
    texts = ParallelTexts()
    add_queries(texts, data, languages)
    named: dict[tuple[str, str], list[str]] = {}
    for lang in languages:
        queries = {group: text for _, query_lang, text, group, _ in texts.queries if query_lang == lang}
        run = either(data / f"google/runs/run.bm25_{LANGUAGES[lang]}-msmarco.txt")
        ranked = _read_run(run) if run.exists() else _own_run(data, lang, queries)
        texts.leave_out(f"questions in {lang} that the BM25 run lacks, which count 0", len(queries.keys() - ranked.keys()))
        named.update({(lang, group): ranked.get(group, []) for group in queries})
    wanted = {passage_id for passage_ids in named.values() for passage_id in passage_ids}
    wanted |= {key for *_, keys in texts.queries for key in keys}  # an answer that BM25 misses counts, but is not ranked
    for lang in languages:
        for passage in passages_of(data, lang):
            if passage.id in wanted:
                texts.add_passage(passage.id, lang, passage.text)
    rows_of: dict[str, list[int]] = {}
    for row, (passage_id, _) in enumerate(texts.passages):
        rows_of.setdefault(passage_id, []).append(row)
    candidates = [
        np.array([row for passage_id in named[lang, group] for row in rows_of.get(passage_id, ())], np.int64)
        for _, lang, _, group, _ in texts.queries
    ]
    missed = sum(not set(keys) & set(named[lang, group]) for _, lang, _, group, keys in texts.queries)
    texts.leave_out("questions of which BM25 finds no relevant passage, which count 0", missed)
    yield replace(texts.retrieval_set("mmarco-rerank"), candidates=candidates)


def _read_run(path: Path) -> dict[str, list[str]]:
    """Question -> passages, best first, `DEPTH` at most."""
    ranked: dict[str, list[tuple[int, str]]] = {}
    for where, line in read_lines(path, ReadingReport()):
        columns = line.split()
        if not columns:
            continue
        try:
            query, passage, rank = (columns[0], columns[2], columns[3]) if len(columns) == 6 else columns
            ranked.setdefault(query, []).append((int(rank), passage))
        except ValueError as error:
            raise DataError(f"{where}: not a line of a run (query, passage, rank; or TREC's six): {line!r:.80}") from error
    return {query: [passage for _, passage in sorted(pairs)[:DEPTH]] for query, pairs in ranked.items()}


def _own_run(data: Path, lang: str, queries: dict[str, str]) -> dict[str, list[str]]:
    passages = {passage.id: passage.text for passage in passages_of(data, lang)}
    ids = list(passages)
    best = best_by_bm25(list(queries.values()), list(passages.values()), lang, DEPTH)
    return {query: [ids[row] for row in rows] for query, rows in zip(queries, best, strict=True)}


def _files(languages: tuple[str, ...]) -> list[str]:
    return [*files_of(languages), *(f"data/google/runs/run.bm25_{LANGUAGES[lang]}-msmarco.txt" for lang in languages)]


MMARCO_RERANK = replace(
    MMARCO,
    name="mmarco-rerank",
    title="mMARCO, BM25's 1,000 passages of each dev question reranked",
    size="6,980 questions, 1,000 passages each",
    files=f"{MMARCO.files}, data/google/runs/run.bm25_NAME-msmarco.txt",
    read=_sets,
    hub=(HubRepository("unicamp-dl/mmarco", MMARCO.revision, _files),),
    task="reranking",
)
