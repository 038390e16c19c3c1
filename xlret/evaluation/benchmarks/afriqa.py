"""AfriQA's gold passages (Ogundepo et al. 2023): questions in ten African languages, answered by English or French passages."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError
from xlret.evaluation.benchmarks.base import Benchmark
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import HubRepository
from xlret.text.languages import language

_START = "gold_span_passages.afriqa."
_FILES = {language(code): code for code in ["bem", "fon", "hau", "ibo", "kin", "swa", "twi", "wol", "yor", "zul"]}


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """The questions of the test split against all distinct gold passages of the test split in English and French together.

    A question's passage may be another's too. Questions without a passage, which the data set has, are kept and skipped by
    the evaluation.
    """
    files = {lang: sorted(directory.rglob(f"{_START}{_FILES[lang]}.*.test.json")) for lang in languages}
    missing = [lang for lang, paths in files.items() if not paths]
    if len(missing) == len(files) or (missing and languages != AFRIQA.languages):
        raise UserError(f"there is no {_START}{_FILES[missing[0]]}.*.test.json in {directory}")
    query_ids, query_langs, query_texts, relevant = [], [], [], []
    index: dict[tuple[str, str], int] = {}
    for lang, path in ((lang, path) for lang, paths in files.items() for path in paths):
        pivot = language(path.name.removeprefix(_START).split(".")[1])
        for number, (where, record) in enumerate(read_records(path, ReadingReport())):
            question, context, title = record.get("question_lang"), record.get("context"), record.get("title")
            if not isinstance(question, str) or not question.strip():
                raise DataError(f"{where}: no question_lang; found: {', '.join(record)}")
            query_ids.append(f"{lang}/{number}")
            query_langs.append(lang)
            query_texts.append(question)
            if context:
                key = (pivot, f"{title} {context}" if title else str(context))
                relevant.append(np.array([index.setdefault(key, len(index))], dtype=np.int64))
            else:
                relevant.append(np.empty(0, dtype=np.int64))
    passage_langs = [pivot for pivot, _ in index]
    yield RetrievalSet(
        "afriqa",
        tuple(sorted({*query_langs, *passage_langs})),
        query_ids,
        query_langs,
        query_texts,
        [f"{pivot}/{number}" for number, pivot in enumerate(passage_langs)],
        passage_langs,
        [text for _, text in index],
        relevant,
    )


AFRIQA = Benchmark(
    name="afriqa",
    title="AfriQA, test questions to the gold passages",
    languages=tuple(sorted(_FILES)),
    metric="mrr@10",
    licence="CC BY 4.0",
    source="https://huggingface.co/datasets/masakhane/afriqa-gold-passages",
    revision="2023, as published",
    files=f"{_START}LANG.PIVOT.test.json",
    citation="""@inproceedings{ogundepo2023afriqa,
  title = {{AfriQA}: Cross-lingual Open-Retrieval Question Answering for {A}frican Languages},
  author = {Ogundepo, Odunayo and Gwadabe, Tajuddeen R. and Rivera, Clara E. and Clark, Jonathan H. and Ruder, Sebastian and
    Adelani, David Ifeoluwa and others},
  booktitle = {Findings of EMNLP},
  year = {2023}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "masakhane/afriqa-gold-passages",
            None,
            lambda languages: [f"*{_START}{_FILES[lang]}.*.test.json" for lang in languages],
        ),
    ),
)
