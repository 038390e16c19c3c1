"""What an evaluation is made of: queries and passages in many languages, and which passages are relevant."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

import numpy as np

from xlret.artifacts import digest_of_texts
from xlret.data.corpus import ParallelCorpus
from xlret.data.sources.judged import JudgedSet
from xlret.data.texts_on_disk import hold_texts
from xlret.errors import UserError
from xlret.keys import generator
from xlret.shapes import FloatArray, FloatMatrix, IntArray
from xlret.text.languages import language
from xlret.text.sides import SIDES, Side


class Answers(NamedTuple):
    """Strings that answer the queries, where nobody judged passages (XOR-Retrieve)."""

    strings: list[tuple[str, ...]]
    """Of each query; none: it is not counted."""
    text_starts: IntArray
    """Where the text of each passage begins, behind its title: only there is an answer looked for."""


class Bitext(NamedTuple):
    """Two sides of sentences of which a few are translations of each other."""

    source_texts: list[str]
    target_texts: list[str]
    gold_G2: IntArray
    """The pairs that are: row of the source, row of the target."""


class Mining(NamedTuple):
    """A task of finding the translations (BUCC): the threshold is tuned on one bitext and used on the other."""

    dev: Bitext
    test: Bitext


class Judgements(NamedTuple):
    """What people said of one query's passages."""

    passages: IntArray
    """Their indices in the pool, none twice."""
    grades: FloatArray
    """0 and below: not relevant; from 1 on: relevant. nDCG takes the grade as the gain."""


@dataclass(frozen=True)
class RetrievalSet:
    """Queries, a multilingual pool of passages, and the relevant passages of each query.

    `query_ids` and `passage_ids` are unique over all languages.
    """

    name: str
    languages: tuple[str, ...]
    query_ids: list[str]
    query_langs: list[str]
    query_texts: list[str]
    passage_ids: list[str]
    passage_langs: list[str]
    passage_texts: Sequence[str]
    """Of a large pool on disk (`xlret.data.texts_on_disk`): read in order where all are needed."""
    relevant: list[IntArray]
    """For each query the indices of its relevant passages in the whole pool, in all languages."""
    query_groups: list[str] = field(default_factory=list)
    """Queries of equal group ask the same in several languages; empty: not known."""
    left_out: dict[str, int] = field(default_factory=dict)
    """What of the published files is not in this set, such as passages that come twice -> how many."""
    caution: str | None = None
    """Why its numbers are not what they seem."""
    read_from: str | None = None
    """Which files of the hub it was read from, as `repository@commit`."""
    judgements: list[Judgements] = field(default_factory=list)
    """For each query all that was judged, of which `relevant` are those with a grade of 1 or more. Empty: every relevant
    passage has grade 1, and nothing else was judged."""
    answers: Answers | None = None
    """Strings that passages are searched for, in place of judgements."""
    candidates: list[IntArray] = field(default_factory=list)
    """For each query the only passages that are ranked, best first by what chose them. Empty: all passages."""
    mining: Mining | None = None
    """Bitexts of which this set's queries and passages are: the sources of the gold pairs in `test`, and all its targets."""

    def __post_init__(self) -> None:
        """Checks lengths and ids.

        Raises:
            ValueError: columns of unequal length or an id that is there twice.
        """
        queries, passages = len(self.query_ids), len(self.passage_ids)
        if {len(self.query_langs), len(self.query_texts), len(self.relevant), len(self.query_groups) or queries} != {queries}:
            raise ValueError(f"{self.name}: the query columns have different lengths")
        if {len(self.passage_langs), len(self.passage_texts)} != {passages}:
            raise ValueError(f"{self.name}: the passage columns have different lengths")
        if len(self.judgements) not in (0, queries):
            raise ValueError(f"{self.name}: judgements of {len(self.judgements)} queries, where there are {queries}")
        if len(self.candidates) not in (0, queries):
            raise ValueError(f"{self.name}: candidates of {len(self.candidates)} queries, where there are {queries}")
        if len(set(self.query_ids)) != queries or len(set(self.passage_ids)) != passages:
            raise ValueError(f"{self.name}: an id is there twice")

    def by_passage_language(self, passages_PD: FloatMatrix) -> dict[str, FloatMatrix]:
        """Language -> the rows of its passages, in the order of the pool."""
        rows: dict[str, list[int]] = {}
        for row, lang in enumerate(self.passage_langs):
            rows.setdefault(lang, []).append(row)
        return {lang: passages_PD[np.array(members)] for lang, members in rows.items()}

    @property
    def judged(self) -> list[Judgements]:
        """`judgements`, or those that `relevant` stands for."""
        return self.judgements or [Judgements(passages, np.ones(len(passages))) for passages in self.relevant]


def set_fingerprint(retrieval_set: RetrievalSet) -> str:
    """SHA-256 of all ids, languages, texts and judgements of a set: equal for two evaluations on the same."""
    judged = [
        f"{row} {passage} {grade!r}"
        for row, query in enumerate(retrieval_set.judged)
        for passage, grade in zip(query.passages.tolist(), query.grades.tolist(), strict=True)
    ]
    return digest_of_texts(
        *(retrieval_set.query_ids, retrieval_set.query_langs, retrieval_set.query_texts),
        *(retrieval_set.passage_ids, retrieval_set.passage_langs, retrieval_set.passage_texts, judged),
    )


def relevant_of(judgements: Iterable[Judgements]) -> list[IntArray]:
    """The relevant passages of each query, ascending: those with a grade of 1 or more."""
    return [np.sort(query.passages[query.grades >= 1]) for query in judgements]


def from_judged(name: str, judged: JudgedSet, *, languages: Iterable[str] | None = None, prefix: str = "") -> RetrievalSet:
    """A retrieval set of a test collection: every passage, judged or not, every judgement with its grade.

    Args:
        name: of the set.
        judged: the collection.
        languages: only queries and passages in these; all by default.
        prefix: put before every id.

    Raises:
        UserError: the collection has no judged query in these languages.
    """
    queries, passages, left_out = judged.queries, judged.passages, Counter(judged.left_out)
    index_of, passage_langs, passage_texts = passages.row_of, passages.langs, passages.full_texts
    if languages is not None:
        chosen = {language(code) for code in languages}
        queries = {query_id: text for query_id, text in queries.items() if text.lang in chosen}
        is_chosen = [lang in chosen for lang in passages.langs]
        index_of = {passage_id: index for index, passage_id in enumerate(compress(passages, is_chosen))}
        passage_langs = list(compress(passages.langs, is_chosen))
        passage_texts = hold_texts(compress(passages.full_texts, is_chosen))
        left_out["queries in other languages"] = len(judged.queries) - len(queries)
        left_out["passages in other languages"] = len(passages) - len(index_of)
    judgements = []
    for query_id in queries:
        pairs = [(index_of[passage], grade) for passage, grade in judged.qrels[query_id].items() if passage in index_of]
        left_out["judgements of passages in other languages"] += len(judged.qrels[query_id]) - len(pairs)
        indices, grades = zip(*pairs, strict=True) if pairs else ((), ())
        judgements.append(Judgements(np.array(indices, np.int64), np.array(grades, np.float64)))
    if not any(len(query.passages) for query in judgements):
        raise UserError(f"{name}: no query and passage in {', '.join(languages or ())} are judged together")
    present = {text.lang for text in queries.values()}.union(passage_langs)
    empty = [] if languages is None else sorted(chosen - present)
    return RetrievalSet(
        name,
        tuple(sorted(present)),
        [f"{prefix}{query_id}" for query_id in queries],
        [text.lang for text in queries.values()],
        [text.full_text for text in queries.values()],
        [f"{prefix}{passage_id}" for passage_id in index_of],
        passage_langs,
        passage_texts,
        relevant_of(judgements),
        left_out={reason: count for reason, count in left_out.items() if count},
        caution=f"nothing judged is in {', '.join(empty)}, which was asked for" if empty else None,
        judgements=judgements,
    )


def from_corpus(
    corpus: ParallelCorpus, *, languages: Iterable[str] | None = None, groups: int | None = None, seed: int = 0
) -> RetrievalSet:
    """A retrieval set of a prepared corpus: at most one group of each cluster, so that no other group's passage is an answer.

    Relevant for a group's query are the group's passages in every language. Of a cluster the first group with both a query
    and a passage is taken.

    Args:
        corpus: a prepared corpus, usually of held-out groups.
        languages: only queries and passages in these; all of the corpus by default.
        groups: at most so many groups, drawn in an order that depends on `seed` alone; all by default.
        seed: of the draw.

    Raises:
        UserError: the corpus lacks a language that is asked for, or no group has both a query and a passage.
    """
    if groups is not None and (not isinstance(groups, int) or groups < 1):
        raise UserError(f"groups is {groups!r}; allowed are whole numbers from 1, and None for all")
    chosen = corpus.languages if languages is None else tuple(sorted({language(code) for code in languages}))
    missing = sorted(set(chosen) - set(corpus.languages))
    if missing:
        raise UserError(f"{corpus.path} has no {', '.join(missing)}; it has {', '.join(corpus.languages)}")
    members = _groups(corpus, chosen, groups, seed)
    if not len(members):
        raise UserError(f"{corpus.path}: no group has both a query and a passage in {', '.join(chosen)}")
    names = corpus.group_ids(members)
    queries = _side_texts(corpus, "query", chosen, members, names)
    passages = _side_texts(corpus, "passage", chosen, members, names)
    answers: list[list[int]] = [[] for _ in members]
    for passage, member in enumerate(passages.members):
        answers[member].append(passage)
    relevant = [np.array(passage_rows, dtype=np.int64) for passage_rows in answers]
    return RetrievalSet(
        f"{corpus.path.parent.name}/{corpus.path.name}",
        tuple(lang for lang in chosen if lang in {*queries.langs, *passages.langs}),
        queries.ids,
        queries.langs,
        queries.texts,
        passages.ids,
        passages.langs,
        passages.texts,
        [relevant[member] for member in queries.members],
        [names[member] for member in queries.members],
    )


class _SideTexts(NamedTuple):
    """All queries or all passages of some groups."""

    ids: list[str]
    langs: list[str]
    texts: list[str]
    members: list[int]
    """Which of the groups each text is of."""


def _side_texts(
    corpus: ParallelCorpus, side: Side, languages: Iterable[str], groups_N: IntArray, names: list[str]
) -> _SideTexts:
    """The texts of one side, a language after the other."""
    texts = _SideTexts([], [], [], [])
    for lang in languages:
        have = np.flatnonzero(corpus.side(side, lang).rank_of(groups_N) >= 0)
        fetch = corpus.queries if side == "query" else corpus.passages
        texts.texts.extend(fetch(lang, groups_N[have]))
        texts.ids.extend(f"{names[member]}/{lang}" for member in have)
        texts.langs.extend([lang] * len(have))
        texts.members.extend(have.tolist())
    return texts


def _groups(corpus: ParallelCorpus, languages: tuple[str, ...], most: int | None, seed: int) -> IntArray:
    """One group a cluster that has a query and a passage, `most` of them, ascending."""
    has = np.zeros((2, corpus.n_groups), dtype=np.bool_)
    for lang in languages:
        for side, mask in zip(SIDES, has, strict=True):
            pool = corpus.side(side, lang)
            mask[pool.take(np.arange(len(pool)))] = True
    usable = np.flatnonzero(has.all(axis=0))
    _, first = np.unique(corpus.clusters(usable), return_index=True)
    usable = np.sort(usable[first])
    if most is not None and most < len(usable):
        usable = np.sort(generator(seed, "retrieval set").permutation(usable)[:most])
    return usable
