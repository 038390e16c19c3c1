"""What a balance does to rankings: the metrics before and after, and how hits share out over languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlret.evaluation import report
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.metrics import mean
from xlret.evaluation.sets import RetrievalSet
from xlret.search.balance import LanguageQuota, language_share, share_distance
from xlret.search.calibration import Calibration, Vector, estimate_calibration

_POOLED = {"ndcg@10": "nDCG@10", "mrr@10": "MRR@10", "recall@10": "R@10", "recall@100": "R@100"}
TOP = 10
"""Hits of each query whose languages are counted."""


@dataclass(frozen=True)
class Shares:
    """How the best `TOP` hits share out over languages."""

    by_language: Mapping[str, Mapping[str, LanguageQuota]]
    """Query language -> passage language -> share of hits and of the corpus."""

    @property
    def distance(self) -> float:
        """Mean over query languages of the distance to the corpus' shares: 0 no language is preferred, 1 wholly so."""
        return mean(np.array([share_distance(row) for row in self.by_language.values()]))

    @property
    def own(self) -> float:
        """Mean over query languages that the corpus has of the share of hits in the query's own language."""
        return mean(np.array([row[lang].hits for lang, row in self.by_language.items() if lang in row and row[lang].corpus]))


def shares(of: RetrievalSet, found: Evaluation) -> Shares:
    """Language shares of the best hits, which the evaluation must have kept (`depth` of at least `TOP`)."""
    counts = {lang: of.passage_langs.count(lang) for lang in sorted({*of.passage_langs})}
    hits: dict[str, list[str]] = {}
    for lang, top_K in zip(of.query_langs, found.retrieved.top_QK[:, :TOP].tolist(), strict=True):
        hits.setdefault(lang, []).extend(of.passage_langs[one] for one in top_K)
    return Shares({lang: language_share(hits[lang], counts) for lang in sorted(hits)})


def effect_rows(of: RetrievalSet, evaluations: Mapping[str, Evaluation]) -> report.Rows:
    """A row a balance: numbers over the pooled corpus, the share of hits in the query's language, the distance of shares."""
    rows = []
    for name, one in evaluations.items():
        found, pooled = shares(of, one), one.pooled
        values = (one.mul, one.rank_distance, *(pooled[key] for key in _POOLED), found.own, found.distance)
        rows.append([name, *map(report.number, values)])
    return ["", "Mul", "rank dist.", *_POOLED.values(), f"own@{TOP}", f"dist@{TOP}"], rows


def effect_json(of: RetrievalSet, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """The same as JSON values, with the shares of every language."""
    result: dict[str, Any] = {}
    for name, one in evaluations.items():
        found = shares(of, one)
        numbers = {key: getattr(one, key) for key in report.HEADLINE} | dict(one.pooled)
        numbers |= {f"own_share@{TOP}": found.own, f"share_distance@{TOP}": found.distance}
        table = {lang: {other: list(share) for other, share in row.items()} for lang, row in found.by_language.items()}
        result[name] = report.without_nan(numbers) | {f"hits_and_corpus_share@{TOP}": table}
    return result


def calibration_of(of: RetrievalSet, passages_PD: Vector) -> Calibration:
    """A calibration of a set from its passages alone, as an index makes it: no query and no relevance is used."""
    rows: dict[str, list[int]] = {}
    for row, lang in enumerate(of.passage_langs):
        rows.setdefault(lang, []).append(row)
    return estimate_calibration(
        {lang: passages_PD[np.array(some)] for lang, some in rows.items()}, made_from=f"passages of {of.name}"
    )
