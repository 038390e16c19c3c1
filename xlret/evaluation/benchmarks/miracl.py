"""MIRACL (Zhang et al. 2023): native questions and judged Wikipedia passages within each of 18 languages."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import judged_set
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import json_texts, tsv_texts
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.sets import RetrievalSet, from_judged
from xlret.hub import PINNED, HubRepository


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a language: the dev questions against all passages of that language's Wikipedia.

    50,000 passages for yo, 130,000 for sw, 33 million for en. Texts of many go to disk (`TextsOnDisk`); reading takes some 300
    bytes of memory a passage at its peak, 10 GB for en by the slope from .5 to 1.5 million, and 200 are kept. That is the set
    alone: its vectors need `evaluate --vectors`.
    """
    present = tuple(lang for lang in languages if (directory / f"miracl-v1.0-{lang}").is_dir())
    if not present or (languages != MIRACL.languages and present != languages):
        missing = next(lang for lang in languages if lang not in present)
        raise UserError(f"there is no miracl-v1.0-{missing} in {directory}; it should hold {MIRACL.files}")
    for lang in present:
        yield _set(directory, lang)


def _set(directory: Path, lang: str) -> RetrievalSet:
    """The set of a language; what reading it needs is gone when it is returned."""
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
    answers = (passage_id for query_id in judged.queries for passage_id, grade in qrels[query_id].items() if grade >= 1)
    absent = next((passage_id for passage_id in answers if passage_id not in judged.passages), None)
    if absent is not None:
        raise DataError(f"{path}: passage {absent!r}, judged relevant, is not in miracl-corpus-v1.0-{lang}")
    return from_judged(f"miracl/{lang}", judged, prefix=f"{lang}/")


MIRACL = Benchmark(
    name="miracl",
    title="MIRACL, dev questions",
    size="13,495 questions, 106,332,152 passages",
    languages=("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh"),
    metric="ndcg@10",
    licence="Apache 2.0",
    source="https://huggingface.co/datasets/miracl/miracl and miracl/miracl-corpus",
    revision=(
        f"v1.0; miracl/miracl at {PINNED['miracl/miracl']} and miracl/miracl-corpus at {PINNED['miracl/miracl-corpus']}, "
        "as several other projects pin them; not fetched by us"
    ),
    files="miracl-v1.0-LANG/{topics,qrels} and miracl-corpus-v1.0-LANG/docs-*.jsonl.gz",
    citation="""@article{zhang2023miracl,
  title = {{MIRACL}: A Multilingual Retrieval Dataset Covering 18 Diverse Languages},
  author = {Zhang, Xinyu and Thakur, Nandan and Ogundepo, Odunayo and Kamalloo, Ehsan and Alfonso-Hermelo, David and
    Li, Xiaoguang and Liu, Qun and Rezagholizadeh, Mehdi and Lin, Jimmy},
  journal = {Transactions of the Association for Computational Linguistics},
  volume = {11},
  pages = {1114--1131},
  year = {2023}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "miracl/miracl",
            PINNED["miracl/miracl"],
            lambda languages: [f"miracl-v1.0-{lang}/*/*-dev.tsv" for lang in languages],
        ),
        HubRepository(
            "miracl/miracl-corpus",
            PINNED["miracl/miracl-corpus"],
            lambda languages: [f"miracl-corpus-v1.0-{lang}/*" for lang in languages],
        ),
    ),
)
