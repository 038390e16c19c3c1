"""XOR-Retrieve (Asai et al. 2021): questions in seven languages, answered by passages of the English Wikipedia."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.data.texts_on_disk import hold_texts
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import Answers, RetrievalSet
from xlret.hub import HubRepository
from xlret.text.languages import language

_ON_HUB = ("dev/xor_dev_retrieve_eng_span_v1_1.jsonl", "en_wiki.tsv")
"""Questions and passages, as two copies on the hub call them."""
_QUESTIONS = ("xor_dev_retrieve_eng_span_v1_1.jsonl", "xor_dev_retrieve_eng_span.jsonl", _ON_HUB[0])
_TABLES = ("psgs_w100.tsv", "enwiki_20190201_w100.tsv", "all_w100.tsv", _ON_HUB[1])
_PASSAGES = tuple(name + end for name in _TABLES for end in ("", ".gz"))


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set: the dev questions of all languages over the English passages, by the strings of their answers.

    Passages are a table as that of DPR: a header `id text title`, one passage of 100 words a line. Nobody judged passages, so
    only R@2kt and R@5kt have a value. The whole Wikipedia (18 million passages) takes some 12 GB of disk. On the hub the
    questions are those of XOR-TyDi's v1.1 and the passages those of Wikipedia's dump of 2019-02-01 (11.6 GB), in repositories
    of two users; their listings were read, the files were not.
    """
    report = ReadingReport()
    ids, langs, questions, answers = [], [], [], []
    for where, record in read_records(first_existing(directory, *_QUESTIONS), report):
        try:
            lang, strings = language(record["lang"]), tuple(map(str, record["answers"]))
            question_id, question = str(record["id"]), record["question"]
        except (KeyError, TypeError) as error:
            raise DataError(f"{where}: no id, question, answers or lang ({error}); found: {', '.join(record)}") from error
        if lang in languages:
            ids.append(question_id)
            langs.append(lang)
            questions.append(question)
            answers.append(strings)
    passage_ids, starts = [], []

    def passage_texts() -> Iterator[str]:
        for where, record in read_records(first_existing(directory, *_PASSAGES), report):
            if not record.keys() >= {"id", "text", "title"}:
                raise DataError(f"{where}: no columns id, text and title; found: {', '.join(record)}")
            title = f"{record['title']} " if record["title"] else ""
            passage_ids.append(record["id"])
            starts.append(len(title))
            yield title + _unquoted(record["text"])

    texts = hold_texts(passage_texts())
    if len(set(ids)) != len(ids) or len(set(passage_ids)) != len(passage_ids):
        raise DataError(f"{directory}: a question or passage id is there twice")
    yield RetrievalSet(
        "xor-retrieve",
        tuple(sorted({*langs, "en"})),
        ids,
        langs,
        questions,
        passage_ids,
        ["en"] * len(passage_ids),
        texts,
        [np.empty(0, np.int64)] * len(ids),
        answers=Answers(answers, np.array(starts, np.int64)),
    )


def _unquoted(text: str) -> str:
    """DPR's table has its texts in quotes, those within doubled, though it is no CSV."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if is_quoted else text


XOR_RETRIEVE = Benchmark(
    name="xor-retrieve",
    title="XOR-Retrieve, dev questions to the English Wikipedia",
    size="2,110 questions, some 18 million passages",
    languages=("ar", "bn", "fi", "ja", "ko", "ru", "te"),
    metric="R@5kt",
    licence="MIT; Wikipedia: CC BY-SA",
    source="https://github.com/AkariAsai/XORQA",
    revision=(
        "v1.1; its copies crystina-z/xor-tydi at 6327fcff8ee65b83237d1e30c5bb45c98d537bc3 "
        "and ielab/xor-tydi at 7f5ff3aad626614625829c57fa211f9ff4d1cbbd"
    ),
    files="xor_dev_retrieve_eng_span_v1_1.jsonl and psgs_w100.tsv (id, text, title)",
    citation="""@inproceedings{asai2021xor,
  title = {{XOR} {QA}: Cross-lingual Open-Retrieval Question Answering},
  author = {Asai, Akari and Kasai, Jungo and Clark, Jonathan H. and Lee, Kenton and Choi, Eunsol and Hajishirzi, Hannaneh},
  booktitle = {Proceedings of NAACL},
  year = {2021}
}""",
    read=_sets,
    hub=(
        HubRepository("crystina-z/xor-tydi", "6327fcff8ee65b83237d1e30c5bb45c98d537bc3", lambda _: [_ON_HUB[0]]),
        HubRepository("ielab/xor-tydi", "7f5ff3aad626614625829c57fa211f9ff4d1cbbd", lambda _: [_ON_HUB[1]]),
    ),
)
