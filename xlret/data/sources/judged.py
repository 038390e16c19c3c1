"""Judged test sets as they are: every passage, every grade, every query that was judged; what is left out is counted."""

from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from xlret.data.rows import MAX_CHARACTERS, BadRowError, ReadingReport, clean_text
from xlret.data.sources.pairs import Distinct
from xlret.data.sources.qrels import Qrels, are_triples, read_qrels
from xlret.data.sources.squad import squad_questions
from xlret.data.sources.texts import Text, either, texts_of
from xlret.data.sources.topics import topics
from xlret.data.texts_on_disk import hold_texts
from xlret.errors import DataError, UserError
from xlret.storage.url import path_of
from xlret.text.languages import language

_LAYOUTS = (
    "BEIR's (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv), MS MARCO's (collection.tsv, queries.SPLIT.tsv, qrels.SPLIT.tsv), "
    "TREC's (one topics*, one qrels*, and docs* or passages*), or one SQuAD file (.json)"
)
_DOCUMENTS = ("docs", "passages", "corpus", "collection")


class JudgedText(NamedTuple):
    """A query or a passage."""

    lang: str
    title: str | None
    text: str

    @property
    def full_text(self) -> str:
        """Title and text joined by one space, as they are encoded."""
        return f"{self.title} {self.text}" if self.title else self.text


@dataclass(frozen=True, eq=False)
class JudgedPassages(Mapping[str, JudgedText]):
    """Id -> passage, as columns: ids and languages in memory, texts on disk where there are many (`hold_texts`).

    Attributes:
        row_of: id -> row in the other columns, in their order.
        langs: of each.
        full_texts: title and text of each, joined by one space.
        title_lengths: characters of each title, 0 without one.
    """

    row_of: dict[str, int]
    langs: list[str]
    full_texts: Sequence[str]
    title_lengths: Sequence[int]

    @classmethod
    def read(cls, passages: Iterable[tuple[str, JudgedText]]) -> "JudgedPassages":
        """Passages that come one by one with their ids, in their order.

        Raises:
            DataError: an id is there twice.
        """
        row_of: dict[str, int] = {}
        langs: list[str] = []
        title_lengths = array("l")

        def full_texts() -> Iterator[str]:
            for passage_id, passage in passages:
                if row_of.setdefault(passage_id, len(langs)) != len(langs):
                    raise DataError(f"passage {passage_id!r} is there twice; an id may come once")
                langs.append(passage.lang)
                title_lengths.append(len(passage.title or ""))
                yield passage.full_text

        texts = hold_texts(full_texts())
        return cls(row_of, langs, texts, title_lengths)

    def __len__(self) -> int:
        return len(self.row_of)

    def __iter__(self) -> Iterator[str]:
        return iter(self.row_of)

    def __contains__(self, passage_id: object) -> bool:
        return passage_id in self.row_of

    def __getitem__(self, passage_id: str) -> JudgedText:
        row = self.row_of[passage_id]
        text, length = self.full_texts[row], self.title_lengths[row]
        title, content = (text[:length], text[length + 1 :]) if length else (None, text)
        return JudgedText(self.langs[row], title, content)


@dataclass(frozen=True)
class JudgedSet:
    """A test collection. Ids are those of the files.

    Attributes:
        queries: id -> query, those that have a judgement of whatever grade.
        passages: id -> passage, judged or not.
        qrels: query id -> passage id -> grade; grades of 0 and below are there too. Both ids are in this set.
        left_out: what of the files is not in this set -> how many.
    """

    queries: dict[str, JudgedText]
    passages: JudgedPassages
    qrels: Qrels
    left_out: dict[str, int] = field(default_factory=dict)


def read_judged(
    path: Path,
    *,
    split: str = "test",
    lang: str | None = None,
    passage_lang: str | None = None,
    report: ReadingReport | None = None,
) -> JudgedSet:
    """A test collection in the layout of BEIR, MS MARCO, TREC or SQuAD, told by the names of its files (each may end in .gz).

    Args:
        path: a directory, or the one file of SQuAD's form.
        split: which judgements, where there are several (`dev`, `test`).
        lang: language of queries and passages that do not say theirs in a field `lang`.
        passage_lang: language of such passages where it is another.
        report: takes bad rows; by default the first one is an error.

    Raises:
        DataError: a bad row, or a file of another form; the message says what was expected.
        UserError: there is no collection at `path`, or a language is missing or unknown.
    """
    path = path_of(path)
    if path.is_file():
        return read_judged_squad(path, lang=lang, report=report)
    if not path.is_dir():
        raise UserError(f"no test collection at {path}; expected is a directory in the layout of {_LAYOUTS}")
    beir, msmarco = either(path / "corpus.jsonl"), either(path / "collection.tsv")
    files: tuple[Path, Sequence[Path], Path]
    if beir.exists() and (path / "qrels").is_dir():
        qrels = either(path / "qrels" / f"{split}.tsv")
        if not qrels.exists():
            splits = ", ".join(sorted(file.name.split(".")[0] for file in (path / "qrels").iterdir())) or "none"
            raise UserError(f"there is no {qrels}; splits that are there: {splits}")
        files = either(path / "queries.jsonl"), (beir,), qrels
    elif msmarco.exists():
        files = _only(path, ("queries",), split), (msmarco,), _only(path, ("qrels",), split)
    else:
        documents = sorted(file for file in path.iterdir() if file.name.lower().startswith(_DOCUMENTS))
        if not documents:
            raise UserError(f"{path} holds no test collection; expected is the layout of {_LAYOUTS}")
        files = _only(path, ("topics", "queries"), split), documents, _only(path, ("qrels",), split)
    return read_judged_files(*files, lang=lang, passage_lang=passage_lang, report=report)


def read_judged_files(
    queries: Path,
    passages: Sequence[Path],
    qrels: Path,
    *,
    lang: str | None = None,
    passage_lang: str | None = None,
    report: ReadingReport | None = None,
) -> JudgedSet:
    """A test collection of files named one by one.

    Args:
        queries: TREC topics (SGML or XML), records with an id and a text, or lines `id TAB text`.
        passages: records (`_id` or `docid`, `title`, `text` or `contents`, `lang`), or lines `id TAB text`.
        qrels: TREC's or BEIR's form, see `read_qrels`.
        lang, passage_lang, report: as for `read_judged`.

    Raises:
        DataError, UserError: as for `read_judged`.
    """
    report = report or ReadingReport()
    if are_triples(qrels):
        raise UserError(f"{qrels} holds triples for training; a test set needs graded judgements (qrels)")
    grades = read_qrels(qrels, report)
    asked = topics(queries, report)
    texts = (text for path in passages for text in texts_of(path, report))
    return judged_set(asked, texts, grades, lang=lang, passage_lang=passage_lang, report=report)


def read_judged_squad(path: Path, *, lang: str | None = None, report: ReadingReport | None = None) -> JudgedSet:
    """A file of SQuAD's form: the questions are queries, the paragraphs passages, and each question's paragraph answers it.

    Passages are called `TITLE#NUMBER`; equal paragraphs are one. Questions that SQuAD 2 says have no answer are left out.

    Raises:
        DataError, UserError: as for `read_judged`.
    """
    report = report or ReadingReport()
    paragraphs: dict[tuple[str, str], str] = {}
    in_article: Counter[str] = Counter()
    queries: list[Text] = []
    passages: list[Text] = []
    qrels: Qrels = {}
    unanswerable = 0
    for question in squad_questions(path, report):
        key = (question.title, question.context)
        if key not in paragraphs:
            in_article[question.title] += 1
            paragraphs[key] = f"{question.title}#{in_article[question.title]}"
            passages.append(Text(question.where, paragraphs[key], question.title or None, question.context))
        if question.is_impossible:
            unanswerable += 1
            continue
        queries.append(Text(question.where, question.id, None, question.text))
        qrels.setdefault(question.id, {})[paragraphs[key]] = 1.0
    judged = judged_set(queries, passages, qrels, lang=lang, passage_lang=None, report=report)
    if unanswerable:
        judged.left_out["questions that have no answer"] = unanswerable
    return judged


def judged_set(
    queries: Iterable[Text],
    passages: Iterable[Text],
    qrels: Qrels,
    *,
    lang: str | None,
    passage_lang: str | None,
    report: ReadingReport,
) -> JudgedSet:
    """Queries, passages and judgements put together; what has no counterpart is left out and counted.

    Raises:
        DataError: a text is bad, or an id comes twice with different texts, unless bad rows are left out.
        UserError: nothing is left, or a language is missing or unknown.
    """
    left_out: Counter[str] = Counter()
    by_query = dict(_distinct("query", queries, lang, report, left_out, judged=qrels))
    by_passage = JudgedPassages.read(_distinct("passage", passages, passage_lang or lang, report, left_out))
    kept: Qrels = {}
    for query_id, grades in qrels.items():
        if query_id not in by_query:
            left_out["judgements of queries that are not there"] += len(grades)
            continue
        present = {passage_id: grade for passage_id, grade in grades.items() if passage_id in by_passage}
        left_out["judgements of passages that are not there"] += len(grades) - len(present)
        if present:
            kept[query_id] = present
        else:
            left_out["queries whose judged passages are not there"] += 1
            del by_query[query_id]
    if not kept:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()) if count)
        raise UserError(f"no judgement is of a query and a passage that are there ({counts}); do the ids of the files agree?")
    return JudgedSet(by_query, by_passage, kept, {reason: count for reason, count in left_out.items() if count})


def _distinct(
    kind: str,
    texts: Iterable[Text],
    default: str | None,
    report: ReadingReport,
    left_out: Counter[str],
    judged: Container[str] | None = None,
) -> Iterator[tuple[str, JudgedText]]:
    """Ids and texts of a kind, those that can be used, each id once; the others are counted in `left_out`."""
    plural = {"query": "queries", "passage": "passages"}[kind]
    distinct = Distinct(kind, report)
    for text in texts:
        if judged is not None and text.id not in judged:
            left_out[f"{plural} without a judgement"] += 1
        elif not (text.text or "").strip() and not (text.title or "").strip():
            left_out[f"{plural} without a text"] += 1
        elif distinct.is_new(text):
            try:
                checked = _checked(kind, text, default)
            except BadRowError as error:
                report.bad(text.where, str(error))
            else:
                yield text.id, checked
    left_out[f"{plural} that came before with equal text"] += distinct.repeated


def _checked(kind: str, text: Text, default: str | None) -> JudgedText:
    lang = text.lang if text.lang is not None else default
    if lang is None:
        raise BadRowError(f"{kind} {text.id!r} does not say its language; give lang for those that do not")
    title = clean_text("title", text.title or None, MAX_CHARACTERS) if (text.title or "").strip() else None
    content = clean_text("text", text.text, MAX_CHARACTERS)
    assert content is not None, "empty texts are left out before"
    try:
        return JudgedText(language(lang), title, content)
    except UserError as error:
        raise BadRowError(str(error)) from error


def _only(directory: Path, starts: tuple[str, ...], split: str) -> Path:
    """The file whose name begins so; of several, the one of the split.

    Raises:
        UserError: none does, or more than one of the split.
    """
    files = sorted(file for file in directory.iterdir() if file.is_file() and file.name.lower().startswith(starts))
    chosen = files if len(files) == 1 else [file for file in files if split in file.name.lower().replace("-", ".").split(".")]
    if len(chosen) != 1:
        named = ", ".join(file.name for file in chosen or files) or "none"
        raise UserError(
            f"{directory} needs one file {' or '.join(starts)}.{split}*; there are: {named}; rename, or choose a split"
        )
    return chosen[0]
