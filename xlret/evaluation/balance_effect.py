"""What a balance does to rankings: the metrics before and after, and how hits share out over languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlret.evaluation import report
from xlret.evaluation.evaluate import Evaluation
from xlret.evaluation.metrics import mean
from xlret.evaluation.pool_measures import TOP
from xlret.evaluation.sets import RetrievalSet
from xlret.search.balance import LanguageQuota, language_share, share_distance
from xlret.search.calibration import Calibration, Vector, estimate_calibration

_POOLED = {"ndcg@10": "nDCG@10", "mrr@10": "MRR@10", "recall@10": "R@10", "recall@100": "R@100"}


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


def shares(retrieval_set: RetrievalSet, evaluation: Evaluation) -> Shares:
    """Language shares of the best hits, which the evaluation must have kept (`depth` of at least `TOP`)."""
    counts = {lang: retrieval_set.passage_langs.count(lang) for lang in sorted({*retrieval_set.passage_langs})}
    hits: dict[str, list[str]] = {}
    for lang, top_K in zip(retrieval_set.query_langs, evaluation.retrieved.top_QK[:, :TOP].tolist(), strict=True):
        hits.setdefault(lang, []).extend(retrieval_set.passage_langs[passage] for passage in top_K if passage >= 0)
    return Shares({lang: language_share(hits[lang], counts) for lang in sorted(hits)})


def effect_rows(retrieval_set: RetrievalSet, evaluations: Mapping[str, Evaluation]) -> report.Rows:
    """A row a balance: numbers over the pooled corpus, the share of hits in the query's language, the distance of shares."""
    rows = []
    for name, evaluation in evaluations.items():
        top, pooled = shares(retrieval_set, evaluation), [evaluation.pooled[key] for key in _POOLED]
        values = (evaluation.mul, evaluation.rank_distance, *pooled, top.own, top.distance)
        rows.append([name, *map(report.number, values)])
    return ["", "Mul", "rank dist.", *_POOLED.values(), f"own@{TOP}", f"dist@{TOP}"], rows


def effect_json(retrieval_set: RetrievalSet, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """The same as JSON values, with the shares of every language."""
    result: dict[str, Any] = {}
    for name, evaluation in evaluations.items():
        top = shares(retrieval_set, evaluation)
        numbers = {key: getattr(evaluation, key) for key in report.HEADLINE} | dict(evaluation.pooled)
        numbers |= {f"own_share@{TOP}": top.own, f"share_distance@{TOP}": top.distance}
        table = {asked: {lang: list(share) for lang, share in row.items()} for asked, row in top.by_language.items()}
        result[name] = report.without_nan(numbers) | {f"hits_and_corpus_share@{TOP}": table}
    return result


def calibration_of(retrieval_set: RetrievalSet, passages_PD: Vector) -> Calibration:
    """A calibration of a set from its passages alone, as an index makes it: no query and no relevance is used."""
    return estimate_calibration(retrieval_set.by_passage_language(passages_PD), made_from=f"passages of {retrieval_set.name}")
