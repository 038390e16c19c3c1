"""Measures by name: the seven of every table, and any other by its `ir_measures` spelling (`nDCG@20`, `AP(rel=2)@100`).

MacAvaney, Macdonald and Ounis, "Streamlining evaluation with ir-measures" (ECIR 2022). What follows from the ranks of the
relevant passages is computed here, over the whole ranking; the library computes all else from the best passages of each query.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import ir_measures
import numpy as np

from xlret.errors import UserError
from xlret.evaluation import metrics
from xlret.evaluation.sets import Judgements
from xlret.shapes import FloatArray, IntArray

_RUN_DEPTH = 1000
"""Passages of each query that the library sees for a measure that does not say how deep it looks, as usual in TREC runs."""
_EXAMPLES = "nDCG@20, AP(rel=2)@100, R@100, RR@10, P@5, Success@1, Rprec, Bpref, Judged@10"
_NO_CUTOFF = 1 << 62


class Hits(NamedTuple):
    """The passages with a grade above 0 in some rankings."""

    query_N: IntArray
    """Which ranking each is in."""
    rank_N: IntArray
    grade_N: FloatArray
    rankings: int

    def relevant(self, grade: float = 1) -> tuple[IntArray, IntArray, IntArray]:
        """Ranking and rank of those with this grade or more, and how many each ranking has."""
        is_relevant = self.grade_N >= grade
        query_N = self.query_N[is_relevant]
        return query_N, self.rank_N[is_relevant], np.bincount(query_N, minlength=self.rankings)


OfHits = Callable[[Hits], FloatArray]
"""A value for each ranking; NaN for one without relevant passages."""

POOLED: Mapping[str, OfHits] = {
    "mul": lambda hits: metrics.average_precision(*hits.relevant()),
    "map@20": lambda hits: metrics.average_precision(*hits.relevant(), 20),
    "ndcg@10": lambda hits: metrics.ndcg(hits.query_N, hits.rank_N, hits.grade_N, hits.rankings, 10),
    "mrr@10": lambda hits: metrics.reciprocal_rank(*hits.relevant(), 10),
    "recall@1": lambda hits: metrics.recall(*hits.relevant(), 1),
    "recall@10": lambda hits: metrics.recall(*hits.relevant(), 10),
    "recall@100": lambda hits: metrics.recall(*hits.relevant(), 100),
}
"""Metrics over the pooled corpus by name. `mul` is un-truncated AP."""


@dataclass(frozen=True)
class NamedMeasure:
    """A measure that a user asked for."""

    name: str
    """In the spelling of `ir_measures`."""
    of_hits: OfHits | None
    """How it follows from the ranks of relevant passages; None: the library computes it."""
    depth: int
    """Best passages of each query that the library needs."""


def named_measures(names: Iterable[str]) -> tuple[NamedMeasure, ...]:
    """The measures of these names, each once.

    AP, nDCG, P, R, RR, Rprec and Success are computed here, equal to the library's; as in trec_eval `AP@k` divides by all
    relevant passages (the built-in `map@20` by at most 20). `rel` is the smallest grade that counts, 1 unless given; gains of
    nDCG are the grades, or 2^grade - 1 with `dcg='exp-log2'`.

    Raises:
        UserError: a name that `ir_measures` does not know, a parameter out of range, or a measure whose package is missing.

    >>> [measure.name for measure in named_measures(["NDCG@20", "AP(rel=2)@100", "MRR@10", "nDCG@20"])]
    ['nDCG@20', 'AP(rel=2)@100', 'RR@10']
    """
    measures = {measure.name: measure for measure in map(_parsed, names)}
    return tuple(measures.values())


def library_values(measure: NamedMeasure, judged: Sequence[Judgements], top_QK: IntArray) -> FloatArray:
    """A measure that only the library knows, for each query; shape [Q]. NaN for queries of which nothing is judged.

    Rankings are `top_QK` in its order; for a measure without a cut-off they end at its width.

    Args:
        measure: with a depth of at most K, or as many as there are passages.
        judged: what was judged of each query.
        top_QK: the best passages of each query, best first, -1 behind the end.

    Raises:
        UserError: grades that are no whole numbers, or a measure that the library cannot compute of them.
    """
    qrels, run = {}, {}
    for row, query in enumerate(judged):
        if not len(query.passages):
            continue
        if np.any(query.grades != np.round(query.grades)):
            raise UserError(f"{measure.name} needs whole grades; this set has {query.grades[query.grades % 1 > 0][0]:g}")
        qrels[str(row)] = dict(zip(map(str, query.passages.tolist()), query.grades.astype(int).tolist(), strict=True))
        ranked = [passage for passage in top_QK[row, : measure.depth].tolist() if passage >= 0]
        if ranked:
            run[str(row)] = {str(passage): float(-rank) for rank, passage in enumerate(ranked)}
    values = np.array([0.0 if len(query.passages) else np.nan for query in judged])  # 0 for an empty ranking
    try:
        for value in ir_measures.iter_calc([ir_measures.parse_measure(measure.name)], qrels, run):
            values[int(value.query_id)] = value.value
    except (ValueError, RuntimeError, ImportError) as error:
        raise UserError(f"{measure.name} cannot be computed here: {error}") from error
    return values


def _parsed(name: str) -> NamedMeasure:
    try:
        measure = ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"unknown measure {name!r} ({error}); allowed are those of ir_measures, such as {_EXAMPLES}") from error
    parameters: dict[str, Any] = dict(measure.params)
    cutoff, grade = parameters.get("cutoff", _NO_CUTOFF), parameters.get("rel", 1)
    if cutoff < 1 or grade < 1:
        raise UserError(f"measure {name!r}: the cut-off is {cutoff} and rel {grade}; allowed is 1 and more")
    if measure.NAME in ("P", "R", "Success") and "cutoff" not in parameters:
        raise UserError(f"measure {name!r} needs a cut-off, such as {measure.NAME}@10")
    if parameters.keys() <= {"cutoff", "rel", "dcg"}:
        of_hits = _of_hits(measure.NAME, cutoff, grade, parameters.get("dcg", "log2"))
        if of_hits is not None:
            return NamedMeasure(str(measure), of_hits, 0)
    if not ir_measures.DefaultPipeline.supports(measure):  # said before anything is encoded
        raise UserError(
            f"measure {name!r} cannot be computed here: ir_measures takes it from a package that is not installed, such as "
            "cwl-eval (RBP) or pyndeval (alpha_nDCG); install it, or leave the measure out"
        )
    says_how_deep = "cutoff" in parameters and not parameters.get("judged_only")  # the k-th judged one may be anywhere
    return NamedMeasure(str(measure), None, cutoff if says_how_deep else _RUN_DEPTH)


def _of_hits(family: str, k: int, grade: int, dcg: str) -> OfHits | None:
    """How a measure follows from hits; None where it does not."""
    families: dict[str, OfHits] = {
        "AP": lambda hits: metrics.average_precision(*hits.relevant(grade), k, over_all=True),
        "nDCG": partial(_ndcg, k=k, exponential=dcg == "exp-log2"),
        "P": lambda hits: metrics.precision(*hits.relevant(grade), k),
        "R": lambda hits: metrics.recall(*hits.relevant(grade), k),
        "RR": lambda hits: metrics.reciprocal_rank(*hits.relevant(grade), k),
        "Rprec": lambda hits: metrics.r_precision(*hits.relevant(grade)),
        "Success": lambda hits: metrics.success(*hits.relevant(grade), k),
    }
    return families.get(family)


def _ndcg(hits: Hits, k: int, exponential: bool) -> FloatArray:
    gain_N = np.exp2(hits.grade_N) - 1 if exponential else hits.grade_N
    return metrics.ndcg(hits.query_N, hits.rank_N, gain_N, hits.rankings, k)
