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
    size="2,491 questions, 2,351 passages",
    languages=tuple(sorted(_FILES)),
    metric="mrr@10",
    licence="CC BY 4.0",
    source="https://huggingface.co/datasets/masakhane/afriqa-gold-passages",
    revision=(
        "2023; the test files of bem, fon, ha, ig, rw, tw and yo by checksum, those of sw, wo and zu not pinned; of the hub's "
        "copy no commit is known to us: its newest is read, and evaluation.json names it"
    ),
    files=f"{_START}LANG.PIVOT.test.json",
    sha256={
        "gold_span_passages.afriqa.bem.en.test.json": "72e7f7e3dd207b955968403f9a3699fb11aef996981d142063614e7f434e7c52",
        "gold_span_passages.afriqa.fon.fr.test.json": "3308b7d0e455912d4e37dd0b9e8b06e6c1d108d2af040a7f7ffbc3e838dfc927",
        "gold_span_passages.afriqa.hau.en.test.json": "e1a0d530d75641760387a2947044d69090c15db620fd9a4dbcf8dc52940d7687",
        "gold_span_passages.afriqa.ibo.en.test.json": "490af9c615ec5e56ec50a3da21efed82df5f67c794ac5d8d6c5e7d30845cc48d",
        "gold_span_passages.afriqa.kin.en.test.json": "fe067f3aa30c581adbaae7d0012eea5290b5f3119396bbb1c70d665d9e6f31eb",
        "gold_span_passages.afriqa.twi.en.test.json": "329221245f9880896b9038405c44b7f8ef48db3067aa556fbd82819de46b954d",
        "gold_span_passages.afriqa.yor.en.test.json": "0aa0f6c1769f07788c918fd0dc1848b70ec0f06e8de9a6893d9037b9ff05abaa",
    },
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
