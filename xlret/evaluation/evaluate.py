"""Evaluation of one encoder on one retrieval set: Mo / Cr / Mul, the matrix of all language pairs, rank distance."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.evaluation.answer_strings import DEPTH, answer_recalls
from xlret.evaluation.bias import is_the_same_for_all, peer, rank_distance
from xlret.evaluation.blocked import PassageBlocks, retrieve_blocks
from xlret.evaluation.candidates import among_candidates
from xlret.evaluation.metrics import mean
from xlret.evaluation.mining import MiningScores
from xlret.evaluation.named_measures import POOLED, Hits, NamedMeasure, library_values
from xlret.evaluation.pool_measures import SHARES, language_shares, pool_measures, share_distances
from xlret.evaluation.retrieve import Reorder, Retrieved, retrieve
from xlret.evaluation.sets import Judgements, RetrievalSet
from xlret.shapes import FloatArray, FloatMatrix, IntArray

Matrix = Mapping[str, Mapping[str, float]]
"""Query language -> passage language -> a number."""


@dataclass(frozen=True)
class Evaluation:
    """All numbers of one encoder on one set; NaN where a number has no queries to stand on.

    Questions of which nothing is judged in what is searched are left out of that number (LAReQA). Those of which passages were
    judged, and none relevant, count 0, as in trec_eval.
    """

    name: str
    languages: tuple[str, ...]
    mo: float
    """Mean over languages L of the mAP of queries in L over passages in L alone."""
    cr: float
    """Mean over ordered pairs (K, L) of different languages of the mAP of queries in K over passages in L alone."""
    mul: float
    """Mean over query languages of the mAP over all passages, the answers in all languages relevant."""
    micro: float
    """The same AP as `mul`, mean over all questions of all languages (LAReQA's mAP)."""
    rank_distance: float
    """Mean over query languages of the mean rank distance in the pooled corpus; lower is better."""
    peer: float
    """Mean over query languages of the mean PEER (see `bias.peer`) in the pooled corpus; 1: no language is preferred. NaN
    where each language has one relevant passage, which gives all rankings the same PEER."""
    rank_correlation: float
    """MRC over the whole pool, see `bias.RankCorrelation`; NaN unless asked for."""
    pooled: Mapping[str, float]
    """Macro means: over query languages, of the mean of every metric of `POOLED` and every named measure."""
    micro_means: Mapping[str, float]
    """The same of rank distance and PEER too, as means over all questions of all languages: trec_eval's `all`."""
    pool: Mapping[str, float]
    """Macro means of what `pool_measures` says of languages in the pooled ranking; empty for passages in one language."""
    shares: Mapping[str, Mapping[str, float]]
    """Of each passage language among the first ten, in the pool and among the relevant, see `language_shares`."""
    matrix: Matrix
    """mAP of queries in one language over passages of one language alone."""
    matrices: Mapping[str, Matrix]
    """The same of every metric that follows from ranks alone; mAP is called `map`."""
    by_language: Mapping[str, Mapping[str, float]]
    """Query language -> `queries`, `mo`, `cr` (from it to the others), `rank_distance`, `peer`, all of `pooled` and `pool`."""
    queries: int
    passages: int
    skipped: int
    """Queries of which no passage is relevant or was judged."""
    unanswered: int
    """Queries whose judged passages are all not relevant; they count 0."""
    short: Mapping[str, int]
    """Queries whose ranking is shorter than a cut-off and than the pool: such as `fewer than 10` -> how many."""
    tied: int
    """Queries of which a relevant passage has the score of another passage; ties go by the passages' order in the set."""
    grades: Mapping[str, int]
    """How many judgements there are of each grade."""
    left_out: Mapping[str, int]
    """What of the published files is not in the set -> how many."""
    caution: str | None
    """Why these numbers are not what they seem."""
    read_from: str | None
    """Which files of the hub the set was read from, as `repository@commit`."""
    measures: tuple[str, ...]
    """The named measures, in the order they were asked for, after those of answer strings."""
    mining: MiningScores | None
    """Of a set whose translations are mined; no mean over queries, so that queries.csv and comparisons do not have it."""
    values_Q: Mapping[str, FloatArray] = field(repr=False)
    """Every number of `micro_means` for each query, in the order of the set."""
    ap_QL: FloatArray = field(repr=False)
    """AP of each query over the passages of each language alone: Mo, Cr and `matrix` are means of these."""
    retrieved: Retrieved = field(repr=False)
    """Ranks of all relevant passages and, where asked for, the best passages of each query."""

    def means_over(self, languages: Iterable[str]) -> dict[str, float]:
        """Mo, Cr, Mul and rank distance of some languages, such as those that were held out of training.

        Cr is the mean over ordered pairs with at least one of them; the others are means over them as query languages.
        """
        chosen = [lang for lang in self.languages if lang in set(languages)]
        pairs = [
            self.matrix[asked][searched]
            for asked in self.languages
            for searched in self.languages
            if asked != searched and (asked in chosen or searched in chosen)
        ]
        return {
            "mo": mean(np.array([self.matrix[lang][lang] for lang in chosen])),
            "cr": mean(np.array(pairs)),
            "mul": mean(np.array([self.by_language[lang]["mul"] for lang in chosen])),
            "rank_distance": mean(np.array([self.by_language[lang]["rank_distance"] for lang in chosen])),
        }


def evaluate(
    retrieval_set: RetrievalSet,
    query_vectors_QD: FloatMatrix,
    passage_vectors_PD: FloatMatrix | PassageBlocks,
    *,
    depth: int = 0,
    reorder: Reorder | None = None,
    correlation: bool = False,
    measures: Sequence[NamedMeasure] = (),
) -> Evaluation:
    """Searches the whole pool exactly for every query and takes all metrics from the ranks of the relevant passages.

    Args:
        retrieval_set: queries, passages and relevance.
        query_vectors_QD: a vector for each query, scored by the inner product.
        passage_vectors_PD: a vector for each passage; or blocks of them where they do not fit into memory.
        depth: how many best passages of each query to keep in `retrieved`, for a TREC run.
        reorder: changes the scores before they are ranked, see `retrieve`; not with blocks.
        correlation: whether to take MRC, where the set knows which queries ask the same; not of blocks.
        measures: what to measure besides, see `named_measures`.

    Cost: see `retrieve`; 13,000 queries against 13,000 passages in 11 languages take some 8 s on two cores.

    Raises:
        ValueError: vectors that do not fit the set or are not finite.
        UserError: a measure that cannot be taken of this set.
    """
    if retrieval_set.candidates:
        reorder = among_candidates(retrieval_set.candidates, retrieval_set.passage_langs, reorder)
    depth, ranked, langs = (
        depth_needed(retrieval_set, depth, measures),
        passages_ranked(retrieval_set),
        retrieval_set.passage_langs,
    )
    if isinstance(passage_vectors_PD, np.ndarray):
        groups = retrieval_set.query_groups if correlation else ()
        retrieved = retrieve(query_vectors_QD, passage_vectors_PD, ranked, langs, depth, reorder, groups)
    elif reorder is not None:
        raise UserError(f"{retrieval_set.name}: other orders than that of the vectors need all of them in memory")
    else:
        retrieved = retrieve_blocks(query_vectors_QD, passage_vectors_PD, ranked, langs, depth)
    return evaluation_of(retrieval_set, retrieved, measures)


def depth_needed(retrieval_set: RetrievalSet, depth: int, measures: Sequence[NamedMeasure]) -> int:
    """How many best passages of each query the numbers are taken from; `depth` at least."""
    return max([depth, DEPTH if retrieval_set.answers else 0, *(measure.depth for measure in measures)])


def passages_ranked(retrieval_set: RetrievalSet) -> list[IntArray]:
    """For each query the passages whose ranks the numbers are taken from: those with a grade above 0."""
    return [query.passages[query.grades > 0] for query in retrieval_set.judged]


def evaluation_of(retrieval_set: RetrievalSet, retrieved: Retrieved, measures: Sequence[NamedMeasure] = ()) -> Evaluation:
    """All numbers of rankings.

    Args:
        retrieval_set: queries, passages and relevance.
        retrieved: ranks of `passages_ranked`, and `depth_needed` best passages of each query.
        measures: what to measure besides.
    """
    judged = retrieval_set.judged
    graded = [Judgements(query.passages[query.grades > 0], query.grades[query.grades > 0]) for query in judged]
    langs = retrieval_set.languages
    number = {lang: row for row, lang in enumerate(langs)}
    query_lang_Q = np.array([number[lang] for lang in retrieval_set.query_langs], dtype=np.int64)
    passage_lang_P = np.array([number[lang] for lang in retrieval_set.passage_langs], dtype=np.int64)
    n_queries, lang_N = len(retrieval_set.query_ids), passage_lang_P[retrieved.passage_N]
    grade_N = np.concatenate([np.empty(0), *(query.grades for query in graded)])

    judged_Q = np.array([len(query.passages) > 0 for query in judged], dtype=np.bool_)
    hits = Hits(retrieved.query_N, _ranks(retrieved.pooled_rank_N, retrieved.is_retrieved_N), grade_N, n_queries)
    of_hits = dict(POOLED) | {measure.name: measure.of_hits for measure in measures if measure.of_hits is not None}
    values = {name: _zero_where(judged_Q, metric(hits)) for name, metric in of_hits.items()}
    values |= {
        measure.name: library_values(measure, judged, retrieved.top_QK) for measure in measures if measure.of_hits is None
    }
    of_answers: dict[str, FloatArray] = {}
    if retrieval_set.answers is not None:
        of_answers = answer_recalls(retrieval_set.answers, retrieval_set.passage_texts, retrieved.top_QK)
    values |= of_answers
    pooled_names = list(values)
    is_relevant = grade_N >= 1
    distance_Q = rank_distance(
        retrieved.query_N[is_relevant], retrieved.pooled_rank_N[is_relevant], lang_N[is_relevant], n_queries
    )
    values["rank_distance"] = np.where(distance_Q > 0, distance_Q, np.nan)  # 0: none was retrieved, so all have one rank
    values["peer"] = _peer(hits._replace(rank_N=retrieved.pooled_rank_N), lang_N)
    in_pool = (lang_N, query_lang_Q, passage_lang_P, retrieved.top_QK)
    of_pool = pool_measures(hits, retrieved.pooled_rank_N, *in_pool)
    values |= of_pool

    # One ranking for each query and passage language.
    cells = n_queries * len(langs)
    judged_cells = np.zeros(cells, dtype=np.bool_)
    for row, query in enumerate(judged):
        judged_cells[row * len(langs) + passage_lang_P[query.passages]] = True
    is_own_retrieved_N = retrieved.is_retrieved_N if retrieved.is_own_retrieved_N is None else retrieved.is_own_retrieved_N
    own_rank_N = _ranks(retrieved.own_rank_N, is_own_retrieved_N)
    own_hits = Hits(retrieved.query_N * len(langs) + lang_N, own_rank_N, grade_N, cells)
    of_cells = {name: _zero_where(judged_cells, metric(own_hits)).reshape(n_queries, -1) for name, metric in of_hits.items()}
    matrices = {name: _means_by_language(value_QL, query_lang_Q, len(langs)) for name, value_QL in of_cells.items()}
    matrix = matrices["mul"]
    off_diagonal = np.where(np.eye(len(langs), dtype=np.bool_), np.nan, matrix)
    by_language = {
        lang: {
            "queries": float(np.count_nonzero(query_lang_Q == row)),
            "mo": float(matrix[row, row]),
            "cr": mean(off_diagonal[row]),
            **{name: mean(value_Q[query_lang_Q == row]) for name, value_Q in values.items()},
            **share_distances(hits, *in_pool, row),
        }
        for lang, row in number.items()
    }
    macro = {
        name: mean(np.array([numbers[name] for numbers in by_language.values()]))
        for name in (*values, *(SHARES if of_pool else ()))
    }
    relevant_Q = hits.relevant()[2]
    grades = Counter(f"{grade:g}" for query in judged for grade in query.grades.tolist())
    return Evaluation(
        name=retrieval_set.name,
        languages=langs,
        mo=mean(np.diag(matrix)),
        cr=mean(off_diagonal.ravel()),
        mul=macro["mul"],
        micro=mean(values["mul"]),
        rank_distance=macro["rank_distance"],
        peer=macro["peer"],
        rank_correlation=mean(retrieved.correlation_G),
        pooled={name: macro[name] for name in pooled_names},
        micro_means={name: mean(value_Q) for name, value_Q in values.items()},
        pool={name: macro[name] for name in (*of_pool, *(SHARES if of_pool else ()))},
        shares=language_shares(hits, lang_N, passage_lang_P, retrieved.top_QK, langs),
        matrix=_as_matrix(matrix, langs),
        matrices={"map" if name == "mul" else name: _as_matrix(numbers, langs) for name, numbers in matrices.items()},
        by_language=by_language,
        queries=n_queries,
        passages=len(retrieval_set.passage_ids),
        skipped=int(np.count_nonzero(~judged_Q & np.all([np.isnan(value_Q) for value_Q in of_answers.values()], axis=0))),
        unanswered=int(np.count_nonzero(judged_Q & (relevant_Q == 0))),
        short=_short(retrieved.length_Q, len(retrieval_set.passage_ids)),
        tied=len(np.unique(retrieved.query_N[retrieved.is_tied_N])),
        grades=dict(sorted(grades.items(), key=lambda count: float(count[0]))),
        left_out=dict(retrieval_set.left_out),
        caution=retrieval_set.caution,
        read_from=retrieval_set.read_from,
        measures=(*of_answers, *(measure.name for measure in measures)),
        mining=None,
        values_Q=values,
        ap_QL=of_cells["mul"],
        retrieved=retrieved,
    )


_BEHIND = 1 << 40
"""The rank, for metrics, of a passage that is not in the ranking."""
_CUTOFFS = (1, 10, 100, 1000)


def _ranks(rank_N: IntArray, is_retrieved_N: NDArray[np.bool_]) -> IntArray:
    """Ranks for metrics: of what is not in the ranking so far behind that it adds nothing."""
    return np.where(is_retrieved_N, rank_N, _BEHIND)


def _short(length_Q: IntArray, pool: int) -> dict[str, int]:
    counts = {f"fewer than {k:,}": int(np.count_nonzero(length_Q < min(k, pool))) for k in _CUTOFFS}
    return {reason: count for reason, count in counts.items() if count}


def _zero_where(judged: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    """0 in place of NaN for rankings of which something was judged."""
    return np.where(judged & np.isnan(values), 0.0, values)


def _peer(hits: Hits, lang_N: IntArray) -> FloatArray:
    """PEER of every query with a passage above grade 0, NaN for the others and for those on which it `is_the_same_for_all`."""
    peer_Q = np.full(hits.rankings, np.nan)
    ends = np.searchsorted(hits.query_N, np.arange(hits.rankings + 1))
    for row, (start, stop) in enumerate(pairwise(ends.tolist())):
        rank_M, lang_M, grade_M = hits.rank_N[start:stop], lang_N[start:stop], hits.grade_N[start:stop]
        if len(rank_M) and not is_the_same_for_all(lang_M, grade_M):
            peer_Q[row] = peer(rank_M.astype(np.float64), lang_M, grade_M)
    return peer_Q


def _means_by_language(values_QL: FloatArray, query_lang_Q: IntArray, n_languages: int) -> FloatArray:
    """The mean over the queries of each language, [L, L]."""
    rows = [values_QL[query_lang_Q == lang] for lang in range(n_languages)]
    return np.array([[mean(values) for values in row_ML.T] for row_ML in rows])


def _as_matrix(numbers_LL: FloatArray, langs: Sequence[str]) -> Matrix:
    return {lang: dict(zip(langs, map(float, row), strict=True)) for lang, row in zip(langs, numbers_LL, strict=True)}
