"""SWIM-IR (Thakur et al. 2024), a held-out cut: synthetic questions in 17 languages to English Wikipedia passages."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.benchmarks.parallel import ParallelTexts
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import PINNED, HubRepository

_QUERIES = 1000
"""Of each language."""


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set: 1,000 questions of each language over the passages of all of them.

    The published data have a training part alone. These are the records of each language whose passages come first by the
    SHA-256 of their text, so that the languages share passages where the data do, and a reader elsewhere finds the same. Take
    them out of what is trained on: numbers of an encoder that has seen them say nothing. Nobody else reports this cut.
    """
    texts = ParallelTexts()
    for lang in languages:
        files = sorted((directory / lang).glob("*.parquet")) or sorted(directory.glob(f"{lang}*.jsonl*"))
        if not files:
            raise UserError(f"there is no {lang}/*.parquet and no {lang}*.jsonl in {directory}")
        records = []
        for path in files:
            for where, record in read_records(path, ReadingReport()):
                query, text, title = record.get("query"), record.get("text"), record.get("title")
                if not isinstance(query, str) or not isinstance(text, str) or record.get("_id") is None:
                    raise DataError(f"{where}: no _id, query or text; found: {', '.join(record)}")
                passage = f"{title} {text}" if title else text
                records.append((hashlib.sha256(passage.encode()).hexdigest(), str(record["_id"]), query, passage))
            records = sorted(records)[:_QUERIES]
        for key, record_id, query, passage in records:
            texts.add_passage(key, "en", passage)
            texts.add_query(record_id, lang, query, (key,))
    yield texts.retrieval_set("swim-ir")


SWIM_IR = Benchmark(
    name="swim-ir",
    title="SWIM-IR cross-lingual, a held-out cut of its training part",
    size="17,000 questions and their passages",
    languages=("ar", "bn", "de", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh"),
    metric="mrr@10",
    licence="CC BY-SA 4.0",
    source="https://huggingface.co/datasets/nthakur/swim-ir-cross-lingual",
    revision=PINNED["nthakur/swim-ir-cross-lingual"],
    files="LANG/*.parquet",
    citation="""@inproceedings{thakur2024swimir,
  title = {Leveraging {LLM}s for Synthesizing Training Data Across Many Languages in Multilingual Dense Retrieval},
  author = {Thakur, Nandan and Ni, Jianmo and Hernandez Abrego, Gustavo and Wieting, John and Lin, Jimmy and Cer, Daniel},
  booktitle = {Proceedings of NAACL},
  year = {2024}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "nthakur/swim-ir-cross-lingual",
            PINNED["nthakur/swim-ir-cross-lingual"],
            lambda languages: [f"{lang}/*.parquet" for lang in languages],
        ),
    ),
)
