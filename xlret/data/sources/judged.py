"""Collections with judgements kept apart (BEIR, MS MARCO, TREC): each relevant (query, passage) pair becomes a group."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from xlret.config import PathSetting, Settings
from xlret.data.read import read_columns, read_lines, read_records
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings
from xlret.errors import DataError
from xlret.text.languages import language


class Text(NamedTuple):
    """A query or passage with its id."""

    where: str
    id: str
    title: str | None
    text: str


_IDS = ("_id", "id", "docid", "doc_id", "qid")

Relevant = dict[str, list[str]]
"""Passage id to the ids of the queries that it answers."""


def judged_rows(
    relevant: Relevant,
    queries: Iterable[Text],
    passages: Iterable[Text],
    lang: str,
    passage_lang: str,
    qrels_path: Path,
    report: ReadingReport,
) -> Iterator[Row]:
    """One group `query|passage` for each relevant pair. Memory holds the ids of relevant pairs, never the collection.

    Pairs whose query or passage is not there are bad rows; so that no group has half a pair, ids of the passages come first.

    Args:
        relevant: the judgements, which several languages may share.
        queries, passages: read once each, in any order; those that no pair names are left out.
        lang, passage_lang: their languages.
        qrels_path: where the judgements are, for messages.
    """
    present: set[str] = set()
    for passage in passages:
        if passage.id in relevant:
            present.add(passage.id)
            for query_id in relevant[passage.id]:
                yield Row(f"{query_id}|{passage.id}", passage_lang, None, passage.title, passage.text, None, passage.where)
    answers: dict[str, list[str]] = {}
    for passage_id, query_ids in relevant.items():
        if passage_id not in present:
            report.bad(str(qrels_path), f"passage {passage_id!r}, judged relevant, is not among the passages in {passage_lang}")
            continue
        for query_id in query_ids:
            answers.setdefault(query_id, []).append(passage_id)
    for query in queries:
        for passage_id in answers.pop(query.id, ()):
            yield Row(f"{query.id}|{passage_id}", lang, query.text, None, None, None, query.where)
    for query_id in answers:
        report.bad(str(qrels_path), f"query {query_id!r}, which has a relevant passage, is not among the queries in {lang}")


def read_qrels(path: Path, report: ReadingReport, at_least: int = 1) -> Relevant:
    """Judgements in TREC form (query, ignored, passage, grade), BEIR's (header; query, passage, grade) or as triples of ids.

    Grades below `at_least` do not count; triples (query, relevant, not relevant) are told by their lack of a header.

    Raises:
        DataError: the first line has another number of columns, or nothing is relevant.
    """
    relevant: Relevant = {}
    seen: set[tuple[str, str]] = set()
    beir = False
    width = 0
    for where, line in read_lines(path, report):
        values = line.split()
        if not width and values:
            width = len(values)
            if width not in (3, 4):
                raise DataError(f"{where}: {width} columns; qrels have 4 (query 0 passage grade) or 3 (BEIR's, triples)")
            beir = width == 3 and not values[2].lstrip("-").isdigit()
            if beir:
                continue
        if not values:
            continue
        if len(values) != width:
            report.bad(where, f"{len(values)} columns; the first line has {width}")
            continue
        grade = values[-1] if beir or width == 4 else str(at_least)
        if not re.fullmatch(r"-?\d+", grade):
            report.bad(where, f"grade {grade!r} is not a whole number")
            continue
        pair = (values[0], values[2] if width == 4 else values[1])
        if int(grade) >= at_least and pair not in seen:
            seen.add(pair)
            relevant.setdefault(pair[1], []).append(pair[0])
    if not relevant:
        raise DataError(f"{path} judges no passage relevant (grade {at_least} or more)")
    return relevant


def json_texts(path: Path, report: ReadingReport) -> Iterator[Text]:
    """Queries or passages of records with an id (`_id`, `id`, `docid`, `doc_id`, `qid`), `text` and perhaps `title`."""
    for where, record in read_records(path, report):
        given_id = next((record[name] for name in _IDS if record.get(name) is not None), None)
        text, title = record.get("text"), record.get("title") or None
        if given_id is None or text is None:
            report.bad(where, f"no id or no text; found: {', '.join(record)}")
        elif isinstance(text, str) and not text.strip() and title:
            yield Text(where, str(given_id), None, title)  # BEIR has passages that are a title alone
        else:
            yield Text(where, str(given_id), title, text)


def tsv_texts(path: Path, report: ReadingReport) -> Iterator[Text]:
    """Queries or passages of a file with lines `id TAB text`."""
    for where, record in read_columns(path, ("id", "text"), report):
        yield Text(where, record["id"], None, record["text"])


def topics(path: Path, report: ReadingReport) -> Iterator[Text]:
    """Queries of a TREC topics file: `<top>` blocks with `<num>` and `<title>`, or lines `id TAB text`.

    Raises:
        DataError: a block lacks its number or its title.
    """
    lines = list(read_lines(path, report))
    if not any("<top>" in line for _, line in lines):
        yield from tsv_texts(path, report)
        return
    block: list[str] = []
    start = ""
    for where, line in lines:
        if "<top>" in line:
            block, start = [], where
        block.append(line)
        if "</top>" in line:
            text = "\n".join(block)
            number = re.search(r"<num>\s*(?:Number:)?\s*([^\s<]+)", text)
            title = re.search(r"<title>\s*(?:Topic:)?\s*([^<]+)", text)
            if not number or not title:
                raise DataError(f"{start}: a <top> block without <num> or <title>")
            yield Text(start, number[1], None, " ".join(title[1].split()))


class _Judged(SourceSettings):
    lang: str
    passage_lang: str | None = None
    """Language of the passages where it is another than that of the queries."""
    at_least: int = Field(1, ge=1)
    """Smallest grade that counts as relevant."""

    @field_validator("lang", "passage_lang")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        return language(code) if code is not None else None


class BeirSource(_Judged):
    """A BEIR folder: `corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv` (each may end in .gz)."""

    format: Literal["beir"]
    path: PathSetting
    split: str = "train"

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair of the split."""
        qrels = either(self.path / "qrels" / f"{self.split}.tsv")
        queries, passages = either(self.path / "queries.jsonl"), either(self.path / "corpus.jsonl")
        relevant = read_qrels(qrels, report, self.at_least)
        passage_lang = self.passage_lang or self.lang
        yield from judged_rows(
            relevant, json_texts(queries, report), json_texts(passages, report), self.lang, passage_lang, qrels, report
        )


class TrecSource(_Judged):
    """TREC topics and qrels, with passages as records (`docid`, `title`, `text`) or lines `id TAB text`."""

    format: Literal["trec"]
    topics: PathSetting
    qrels: PathSetting
    passages: tuple[PathSetting, ...] = Field(min_length=1)

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair."""
        relevant = read_qrels(self.qrels, report, self.at_least)
        passages = (text for path in self.passages for text in _texts(path, report))
        lang = self.lang
        yield from judged_rows(
            relevant, topics(self.topics, report), passages, lang, self.passage_lang or lang, self.qrels, report
        )


class Translation(Settings):
    """One language of an MS MARCO collection."""

    lang: str
    queries: PathSetting
    collection: PathSetting

    @field_validator("lang")
    @classmethod
    def _known(cls, code: str) -> str:
        return language(code)


class MsMarcoSource(SourceSettings):
    """MS MARCO's form: `collection.tsv` and `queries.tsv` (`id TAB text`) in some languages, and qrels or triples of ids."""

    format: Literal["msmarco"]
    qrels: PathSetting
    translations: tuple[Translation, ...] = Field(min_length=1)

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """One group for each relevant pair, in every language."""
        relevant = read_qrels(self.qrels, report)
        for translation in self.translations:
            queries, passages = tsv_texts(translation.queries, report), tsv_texts(translation.collection, report)
            lang = translation.lang
            yield from judged_rows(relevant, queries, passages, lang, lang, self.qrels, report)


def either(path: Path) -> Path:
    """`path`, or `path.gz` where that is what there is."""
    zipped = path.with_name(path.name + ".gz")
    return zipped if not path.exists() and zipped.exists() else path


def _texts(path: Path, report: ReadingReport) -> Iterator[Text]:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    return tsv_texts(path, report) if plain.suffix == ".tsv" else json_texts(path, report)
