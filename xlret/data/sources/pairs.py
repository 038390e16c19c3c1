"""Relevant pairs of a judged collection as rows: each becomes a group."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.qrels import Qrels
from xlret.data.sources.texts import Text
from xlret.errors import DataError

Relevant = dict[str, list[str]]
"""Passage id to the ids of the queries that it answers."""


def relevant_pairs(qrels: Qrels, qrels_path: Path, at_least: float = 1.0) -> Relevant:
    """The judgements of grade `at_least` or more, by passage.

    Raises:
        DataError: there are none.
    """
    relevant: Relevant = {}
    for query_id, grades in qrels.items():
        for passage_id, grade in grades.items():
            if grade >= at_least:
                relevant.setdefault(passage_id, []).append(query_id)
    if not relevant:
        raise DataError(f"{qrels_path} judges no passage relevant (grade {at_least:g} or more)")
    return relevant


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
    A query or passage that comes twice with equal text counts once, and is counted in a note; with another text it is a
    bad row.

    Args:
        relevant: the judgements, which several languages may share.
        queries, passages: read once each, in any order; those that no pair names are left out.
        lang, passage_lang: their languages.
        qrels_path: where the judgements are, for messages.
    """
    present = Distinct("passage", report)
    for passage in passages:
        if passage.id in relevant and present.is_new(passage):
            for query_id in relevant[passage.id]:
                yield Row(f"{query_id}|{passage.id}", passage_lang, None, passage.title, passage.text, None, passage.where)
    present.note(f"{qrels_path}, {passage_lang}")
    answers: dict[str, list[str]] = {}
    for passage_id, query_ids in relevant.items():
        if passage_id not in present:
            report.bad(str(qrels_path), f"passage {passage_id!r}, judged relevant, is not among the passages in {passage_lang}")
            continue
        for query_id in query_ids:
            answers.setdefault(query_id, []).append(passage_id)
    asked = Distinct("query", report)
    for query in queries:
        if query.id in answers and asked.is_new(query):
            for passage_id in answers[query.id]:
                yield Row(f"{query.id}|{passage_id}", lang, query.text, None, None, None, query.where)
    asked.note(f"{qrels_path}, {lang}")
    for query_id in answers:
        if query_id not in asked:
            report.bad(str(qrels_path), f"query {query_id!r}, which has a relevant passage, is not among the queries in {lang}")


class Distinct:
    """Ids met so far, 16 bytes and the id each: equal repetitions are counted, others are bad rows.

    Args:
        kind: query or passage, for messages.
        report: takes the bad rows.
    """

    def __init__(self, kind: str, report: ReadingReport) -> None:
        self.repeated = 0
        """How many came again with equal title and text."""
        self._kind, self._report = kind, report
        self._texts: dict[str, int] = {}

    def __contains__(self, text_id: object) -> bool:
        return text_id in self._texts

    def is_new(self, text: Text) -> bool:
        """Whether this id comes for the first time.

        Raises:
            DataError: it came before with another text, unless bad rows are left out.
        """
        known, key = self._texts.get(text.id), hash((text.title, text.text))
        if known is None:
            self._texts[text.id] = key
        elif known == key:
            self.repeated += 1
        else:
            self._report.bad(text.where, f"{self._kind} {text.id!r} came before with another text; an id may come once")
        return known is None

    def note(self, source: str) -> None:
        """Says in the report how many came again, if any did."""
        if self.repeated:
            self._report.note(f"{source}: {self.repeated:,} times a {self._kind} came again with equal text, which counts once")
