"""LAReQA's form and protocol (Roy et al. 2020, arXiv 2004.05484): SQuAD JSON with sentences, answers in all languages."""

import gzip
import json
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import first_existing
from xlret.evaluation.sets import RetrievalSet

LAREQA = """@inproceedings{roy2020lareqa,
  title = {{LAReQA}: Language-Agnostic Answer Retrieval from a Multilingual Pool},
  author = {Roy, Uma and Constant, Noah and Al-Rfou, Rami and Barua, Aditya and Phillips, Aaron and Yang, Yinfei},
  booktitle = {Proceedings of EMNLP},
  year = {2020}
}"""
"""How its authors want to be cited."""


def lareqa_set(name: str, directory: Path, languages: tuple[str, ...]) -> RetrievalSet:
    """One retrieval set of the files `LANG.json` or `LANG.json.gz`.

    A passage is one sentence followed by its whole paragraph, for every sentence of every paragraph (equal ones are kept
    apart). Relevant for a question is the sentence in which its answer starts, in every language that has a question of the
    same id, the question's own language included; an answer that runs on belongs to the sentence it starts in.

    Raises:
        UserError: a language's file is missing.
        DataError: a file is damaged or not of this form, or a question id is there twice in a language.
    """
    query_ids, query_langs, query_texts, query_groups = [], [], [], []
    passage_ids: list[str] = []
    passage_langs: list[str] = []
    passage_texts: list[str] = []
    answers: dict[str, list[int]] = {}
    for lang in languages:
        path = first_existing(directory, f"{lang}.json", f"{lang}.json.gz")
        seen: set[str] = set()
        for position, paragraph in _paragraphs(path):
            try:
                context, starts = paragraph["context"], [start for start, _ in paragraph["sentence_breaks"]]
                sentences = paragraph["sentences"]
                if len(sentences) != len(starts) or starts != sorted(starts):
                    raise ValueError(f"{len(sentences)} sentences and {len(starts)} ascending sentence_breaks")
                first = len(passage_ids)
                for number, sentence in enumerate(sentences):
                    passage_ids.append(f"{lang}/{position}/{number}")
                    passage_langs.append(lang)
                    passage_texts.append(f"{sentence} {context}")
                for question in paragraph["qas"]:
                    if question["id"] in seen:
                        raise ValueError(f"question id {question['id']!r} is there twice")
                    seen.add(question["id"])
                    query_ids.append(f"{lang}/{question['id']}")
                    query_langs.append(lang)
                    query_texts.append(question["question"])
                    query_groups.append(question["id"])
                    sentences_hit = {_sentence_at(answer["answer_start"], starts, context) for answer in question["answers"]}
                    answers.setdefault(question["id"], []).extend(first + number for number in sorted(sentences_hit))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}: article/paragraph {position} is not of LAReQA's form: {_reason(error)}") from error
    relevant = {group: np.array(sorted(indices), dtype=np.int64) for group, indices in answers.items()}
    return RetrievalSet(
        name,
        languages,
        query_ids,
        query_langs,
        query_texts,
        passage_ids,
        passage_langs,
        passage_texts,
        [relevant[group] for group in query_groups],
        query_groups,
    )


def _sentence_at(position: int, starts: list[int], context: str) -> int:
    if not starts or not starts[0] <= position < len(context):
        raise ValueError(f"answer_start {position} is outside the sentences")
    return bisect_right(starts, position) - 1


def _paragraphs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """`article/paragraph` and the paragraph, in the order of the file."""
    try:
        content = path.read_bytes()
        articles = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)["data"]
        for position, article in enumerate(articles):
            for number, paragraph in enumerate(article["paragraphs"]):
                yield f"{position}/{number}", paragraph
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a whole SQuAD file: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return f"no key {error}" if isinstance(error, KeyError) else str(error)
