"""MIRACL (Zhang et al. 2023): native questions and judged Wikipedia passages within each of 18 languages."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import json_texts, read_qrels, tsv_texts
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
        passages = [text for part in parts for text in json_texts(part, report)]
        index_of = {passage.id: index for index, passage in enumerate(passages)}
        answers: dict[str, list[int]] = {}
        qrels = folder / "qrels" / f"qrels.miracl-v1.0-{lang}-dev.tsv"
        for passage_id, query_ids in read_qrels(qrels, report).items():
            if passage_id not in index_of:
                raise DataError(f"{qrels}: passage {passage_id!r}, judged relevant, is not in miracl-corpus-v1.0-{lang}")
            for query_id in query_ids:
                answers.setdefault(query_id, []).append(index_of[passage_id])
        queries = list(tsv_texts(folder / "topics" / f"topics.miracl-v1.0-{lang}-dev.tsv", report))
        yield RetrievalSet(
            f"miracl/{lang}",
            (lang,),
            [f"{lang}/{query.id}" for query in queries],
            [lang] * len(queries),
            [query.text for query in queries],
            [f"{lang}/{passage.id}" for passage in passages],
            [lang] * len(passages),
            [f"{passage.title} {passage.text}" if passage.title else passage.text for passage in passages],
            [np.array(sorted(answers.get(query.id, [])), dtype=np.int64) for query in queries],
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
