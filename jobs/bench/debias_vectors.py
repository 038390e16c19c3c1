"""What the measurements of `debias` stand on: pools of queries and passages whose vectors are encoded once and kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation.balance_effect import calibration_of
from xlret.evaluation.balanced_ranking import BalancedRanking
from xlret.evaluation.debias.choice import without_language
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.measure import Method as Encoding
from xlret.evaluation.measure import encoded
from xlret.evaluation.sets import RetrievalSet
from xlret.keys import generator
from xlret.model.debias.component import LanguageComponent
from xlret.model.encoder import Encoder
from xlret.search.balance import Balance
from xlret.shapes import FloatArray, FloatMatrix
from xlret.text.sides import Side


@dataclass(frozen=True)
class Kept:
    """An encoder whose vectors are kept in a directory by what they are of."""

    encoder: str
    directory: Path
    method: Encoding
    overrides: Mapping[str, int]

    def vectors(self, name: str, texts: list[str], side: Side) -> FloatMatrix:
        """Vectors of texts, encoded if they are not there yet.

        Raises:
            UserError: other texts are kept under that name.
        """
        path = self.directory / f"{name}.{side}.npy"
        if not path.is_file():
            self.directory.mkdir(parents=True, exist_ok=True)
            np.save(path, encoded(self._model, texts, side, self.method, path.stem))
        vectors: FloatMatrix = np.load(path)
        if len(vectors) != len(texts):
            raise UserError(
                f"{path} holds {len(vectors):,} vectors for {len(texts):,} texts; keep each set under its own directory"
            )
        return vectors

    @cached_property
    def _model(self) -> Encoder:
        return Encoder.load(
            self.encoder, max_query_tokens=self.overrides["query"], max_passage_tokens=self.overrides["passage"]
        )

    def pool(self, name: str, retrieval_set: RetrievalSet, asked: str | None = None) -> "Pool":
        """A set with its vectors, kept by language, so that a few languages first cost nothing twice.

        Args:
            name: what its passages are kept under.
            retrieval_set: the set.
            asked: what its queries are kept under; `name` by default.
        """

        def vectors(side: Side) -> FloatMatrix:
            kept_under = asked if side == "query" and asked else name
            langs, texts = ([*getattr(retrieval_set, f"{side}_{column}")] for column in ("langs", "texts"))
            rows = {lang: [row for row, of_row in enumerate(langs) if of_row == lang] for lang in dict.fromkeys(langs)}
            parts = [
                self.vectors(f"{kept_under}-{lang}", [texts[row] for row in members], side) for lang, members in rows.items()
            ]
            return np.concatenate(parts)[np.argsort(np.concatenate(list(rows.values())))]

        passages_PD = vectors("passage")
        return Pool(retrieval_set, vectors("query"), passages_PD)

    def texts(self, name: str, path: Path, languages: Iterable[str], most: int) -> dict[str, FloatMatrix]:
        """Vectors of up to so many passages of a corpus in each language that it has, drawn."""
        corpus, vectors = ParallelCorpus.open(path), {}
        for lang in (lang for lang in languages if lang in corpus.languages):
            rows = corpus.side("passage", lang).take(np.arange(len(corpus.side("passage", lang))))
            drawn = np.sort(rows[generator(0, "debias bench", lang).permutation(len(rows))[:most]])
            vectors[lang] = self.vectors(f"{name}-{lang}", list(corpus.passages(lang, drawn)), "passage")
        return vectors


@dataclass(frozen=True)
class Pool:
    """A retrieval set with its vectors."""

    retrieval_set: RetrievalSet
    queries_QD: FloatMatrix
    passages_PD: FloatMatrix

    def by_question(self, value_Q: FloatArray) -> FloatArray:
        """The mean over the languages of each question that has a value: a question in several languages counts once."""
        groups_Q = np.unique(self.retrieval_set.query_groups or self.retrieval_set.query_ids, return_inverse=True)[1]
        known_Q = ~np.isnan(value_Q)
        counts = np.bincount(groups_Q[known_Q])
        means: FloatArray = np.bincount(groups_Q[known_Q], value_Q[known_Q])[counts > 0] / counts[counts > 0]
        return means

    def passages_by_language(self) -> dict[str, FloatMatrix]:
        """Language -> vectors of its passages."""
        return self.retrieval_set.by_passage_language(self.passages_PD)

    def with_component(self, component: LanguageComponent | None) -> Evaluation:
        """The evaluation of the vectors without a component."""
        return evaluate(self.retrieval_set, *without_language(component, self.retrieval_set, self.queries_QD, self.passages_PD))

    def balanced(self, balance: Balance, component: LanguageComponent | None = None) -> Evaluation:
        """The evaluation of the vectors, perhaps without a component, in a balanced order."""
        queries_QD, passages_PD = without_language(component, self.retrieval_set, self.queries_QD, self.passages_PD)
        ranking = BalancedRanking(balance, queries_QD, calibration_of(self.retrieval_set, passages_PD))
        return evaluate(self.retrieval_set, queries_QD, passages_PD, reorder=ranking)

    def thinned(self, sizes: Mapping[str, int]) -> "Pool":
        """So many passages of each language, drawn, and the questions that still have an answer among them."""
        old, passage_langs = self.retrieval_set, np.asarray(self.retrieval_set.passage_langs)
        drawn = [
            generator(2, "debias bench", lang).permutation(np.flatnonzero(passage_langs == lang))[:size]
            for lang, size in sizes.items()
        ]
        passages = np.sort(np.concatenate(drawn))
        fresh_P = np.full(len(passage_langs), -1)
        fresh_P[passages] = np.arange(len(passages))
        relevant = [fresh_P[rows][fresh_P[rows] >= 0] for rows in old.relevant]
        queries = [row for row, rows in enumerate(relevant) if len(rows)]
        names = ("passage_ids", "passage_langs", "passage_texts")
        fewer: dict[str, Any] = {name: [getattr(old, name)[row] for row in passages] for name in names}
        retrieval_set = with_queries(replace(old, relevant=relevant, **fewer), queries)
        return Pool(retrieval_set, self.queries_QD[queries], self.passages_PD[passages])


def with_queries(retrieval_set: RetrievalSet, queries: list[int]) -> RetrievalSet:
    """A set without judgements of its own, with these of its queries and all of its passages."""
    names = ("query_ids", "query_langs", "query_texts", "relevant", "query_groups")
    given = {name: getattr(retrieval_set, name) for name in names}
    fewer: dict[str, Any] = {name: [column[row] for row in queries] for name, column in given.items() if column}
    return replace(retrieval_set, **fewer)
