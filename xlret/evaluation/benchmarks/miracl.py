"""MIRACL (Zhang et al. 2023): native questions and judged Wikipedia passages within each of 18 languages."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import judged_set
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import json_texts, tsv_texts
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.sets import RetrievalSet


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a language: the dev questions against all passages of that language's Wikipedia.

    A set is held in memory whole: 50,000 passages for yo, 130,000 for sw, but 33 million for en.
    """
    present = tuple(lang for lang in languages if (directory / f"miracl-v1.0-{lang}").is_dir())
    if not present or (languages != MIRACL.languages and present != languages):
        missing = next(lang for lang in languages if lang not in present)
        raise UserError(f"there is no miracl-v1.0-{missing} in {directory}; it should hold {MIRACL.files}")
    for lang in present:
        folder, report = directory / f"miracl-v1.0-{lang}", ReadingReport()
        files = (directory / f"miracl-corpus-v1.0-{lang}").glob("docs-*.jsonl*")
        parts = sorted(files, key=lambda path: (len(path.name), path.name))
        if not parts:
            raise UserError(f"there is no miracl-corpus-v1.0-{lang}/docs-*.jsonl.gz in {directory}")
        path = folder / "qrels" / f"qrels.miracl-v1.0-{lang}-dev.tsv"
        qrels = read_qrels(path, report)
        passages = (text for part in parts for text in json_texts(part, report))
        queries = tsv_texts(folder / "topics" / f"topics.miracl-v1.0-{lang}-dev.tsv", report)
        judged = judged_set(queries, passages, qrels, lang=lang, passage_lang=None, report=report)
        index_of = {passage_id: index for index, passage_id in enumerate(judged.passages)}
        relevant = [[passage_id for passage_id, grade in qrels[query_id].items() if grade >= 1] for query_id in judged.queries]
        absent = next((passage_id for answers in relevant for passage_id in answers if passage_id not in index_of), None)
        if absent is not None:
            raise DataError(f"{path}: passage {absent!r}, judged relevant, is not in miracl-corpus-v1.0-{lang}")
        yield RetrievalSet(
            f"miracl/{lang}",
            (lang,),
            [f"{lang}/{query_id}" for query_id in judged.queries],
            [lang] * len(judged.queries),
            [query.text for query in judged.queries.values()],
            [f"{lang}/{passage_id}" for passage_id in index_of],
            [lang] * len(judged.passages),
            [passage.full_text for passage in judged.passages.values()],
            [np.array(sorted(index_of[passage_id] for passage_id in answers), dtype=np.int64) for answers in relevant],
            left_out=judged.left_out,
        )


MIRACL = Benchmark(
    name="miracl",
    title="MIRACL, dev questions",
    languages=("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh"),
    metric="ndcg@10",
    licence="Apache 2.0",
    source="https://huggingface.co/datasets/miracl/miracl and miracl/miracl-corpus",
    revision="v1.0",
    files="miracl-v1.0-LANG/{topics,qrels} and miracl-corpus-v1.0-LANG/docs-*.jsonl.gz",
    read=_sets,
)
