"""Measuring an encoder on retrieval sets, and what a balance of languages or a reranker makes of its rankings.

Nothing here prints or writes: `run` does, from what these functions return.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.evaluation.balance_effect import calibration_of
from xlret.evaluation.balanced_ranking import BalancedRanking
from xlret.evaluation.baselines.bm25 import Statistics, bm25
from xlret.evaluation.baselines.fusion import fused
from xlret.evaluation.baselines.trec_run import trec_run
from xlret.evaluation.candidates import candidates_order
from xlret.evaluation.debias.choice import component_of_set, without_language
from xlret.evaluation.evaluate import Evaluation, depth_needed, evaluate, evaluation_of, passages_ranked
from xlret.evaluation.kept_vectors import KeptVectors, StoredPassages
from xlret.evaluation.mining import MiningScores, mine, scores_of_mining
from xlret.evaluation.named_measures import NamedMeasure
from xlret.evaluation.pool_measures import TOP
from xlret.evaluation.rerank import reranking
from xlret.evaluation.retrieve import Reorder
from xlret.evaluation.sets import Bitext, Mining, RetrievalSet
from xlret.evaluation.through_index import retrieve_through_index
from xlret.model.debias.component import DebiasMethod, LanguageComponent
from xlret.model.debias.estimate import estimate_component
from xlret.model.encoder import Encoder
from xlret.model.reranker import Reranker
from xlret.search.balance import Balance
from xlret.search.calibration import Calibration
from xlret.search.debias import read_component
from xlret.search.index import SearchIndex
from xlret.search.same_encoder import check_encodes_alike
from xlret.shapes import FloatMatrix, IntArray
from xlret.text.sides import Side

MOST_IN_MEMORY = 200_000
"""Passages whose kept vectors are searched all at once; more are searched in blocks, unless something reorders the scores."""
_SAMPLED = 4096
INDEX_DEPTH = 1000
"""Hits of each query that an index is asked for, at least."""


@dataclass(frozen=True)
class Method:
    """How texts are encoded and ranked. At most one of `balance` and `reranker` changes the rankings of the vectors.

    A reranker with a baseline or a run orders the best passages of that ranking, or of it and the encoder's fused.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    tokens_per_batch: int = 8192
    """Padded tokens encoded at once."""
    balance: Balance = "none"
    calibration: Calibration | None = None
    """For the balance; None: one is made from the passages of each set."""
    reranker: Reranker | None = None
    rerank_depth: int = 100
    """Passages of each query that the reranker orders anew."""
    depth: int = 0
    """Best passages of each query to keep in `Evaluation.retrieved`."""
    debias: LanguageComponent | DebiasMethod | None = None
    """What is taken out of all vectors before anything is ranked; a method is estimated from the passages of each set."""
    measures: tuple[NamedMeasure, ...] = ()
    """What to measure besides the numbers of every table."""
    baseline: Statistics | None = None
    """BM25, alone without an encoder, else fused with its ranking."""
    run: Path | None = None
    """A TREC run, in the same way."""
    vectors: Path | None = None
    """Where the vectors are kept, by encoder and texts, see `kept_vectors`; None: nowhere."""
    encoders: int = 0
    """Workers of Ray that encode passages which are kept; 0: this process."""
    index: Path | None = None
    """An index of the passages that is asked in place of an exact search."""
    progress: bool = False
    """Whether to draw progress bars."""


@dataclass(frozen=True)
class Measured:
    """A retrieval set and its evaluation."""

    retrieval_set: RetrievalSet
    evaluation: Evaluation
    """Of the ranking that was asked for."""
    rankings: Mapping[str, Evaluation]
    """Where a balance or a reranker changed the ranking: the one before and the one after, by their names in tables."""
    calibrated_from: str | None
    """What the calibration of a balance was made from."""
    component: LanguageComponent | None
    """What was taken out of the vectors."""
    encoding_seconds: float
    search_seconds: float


def evaluate_sets(encoder: Encoder, sets: Iterable[RetrievalSet], method: Method | None = None) -> list[Evaluation]:
    """The evaluation of an encoder on each retrieval set, in their order; sets may be made one at a time.

    Args:
        encoder: with its prompts and length limits.
        sets: queries, passages and relevance, as `from_corpus` or `Benchmark.load` give them.
        method: how texts are encoded and ranked; None: in float32, by the inner product alone.

    Cost: every distinct text is encoded once; then see `evaluate`.
    """
    return [measure(encoder, retrieval_set, method or Method()).evaluation for retrieval_set in sets]


KnownVectors = dict[tuple[Side, str], NDArray[np.float32]]
"""The vectors of texts that sets share, by side and text."""


class PreparedSet(NamedTuple):
    """A set with the rankings that need no encoder, so that several encoders can share them."""

    retrieval_set: RetrievalSet
    rankings: list[Reorder]
    """Of the baseline and the run, see `rankings_given`."""


def measure(
    encoder: Encoder | None,
    retrieval_set: RetrievalSet,
    method: Method,
    known: KnownVectors | None = None,
    rankings: list[Reorder] | None = None,
) -> Measured:
    """Encodes a set and ranks its passages for every query, with and without the change that the method asks for.

    Args:
        encoder, retrieval_set, method: what is measured, on what, and how. Without an encoder the method names a ranking.
        known: vectors that are not made again, see `encoded`.
        rankings: of the method's baseline and run, where they were made already.
    """
    began = time.monotonic()
    if rankings is None:
        rankings, retrieval_set = rankings_given(retrieval_set, method.baseline, method.run)
    mining: MiningScores | None = None
    passages_PD: FloatMatrix | StoredPassages
    component: LanguageComponent | None = None
    if encoder is None:
        rankings = rankings or _order_of_candidates(retrieval_set)
        queries_QD = np.zeros((len(retrieval_set.query_ids), 1), np.float32)
        passages_PD = np.zeros((len(retrieval_set.passage_ids), 1), np.float32)
    elif retrieval_set.mining is not None:
        mining, component, queries_QD, passages_PD = _mined(encoder, retrieval_set, retrieval_set.mining, method)
    elif method.index is not None:
        return _through_index(encoder, retrieval_set, method, method.index)
    elif method.vectors is not None and not retrieval_set.candidates:
        kept = _kept(encoder, method, method.vectors)
        queries_QD, stored = kept.queries(retrieval_set), kept.passages(retrieval_set)
        is_reordered = method.balance != "none" or method.reranker is not None or bool(rankings)
        passages_PD = stored if stored.count > MOST_IN_MEMORY and not is_reordered else stored.matrix()
    else:
        title = retrieval_set.name
        queries_QD = encoded(encoder, retrieval_set.query_texts, "query", method, f"{title}: queries", known)
        passages_PD = _passage_vectors(encoder, retrieval_set, method, known)
    encoded_at = time.monotonic()
    if mining is None:
        component, queries_QD, passages_PD = _without_language(retrieval_set, queries_QD, passages_PD, method)
    depth = max(method.depth, TOP)
    changed = method.balance != "none" or method.reranker is not None or bool(rankings)

    def ranked(reorder: Reorder | None = None) -> Evaluation:
        return evaluate(
            retrieval_set,
            queries_QD,
            passages_PD,
            depth=depth,
            reorder=reorder,
            correlation=not changed or reorder is not None,
            measures=method.measures,
        )

    by_ranking: dict[str, Evaluation] = {}
    calibrated_from = None
    base: Reorder | None = None
    if rankings and (encoder is not None or len(rankings) > 1):
        base = fused(rankings, with_vectors=encoder is not None)
    elif rankings:
        base = rankings[0]
    if rankings and encoder is not None:
        by_ranking["encoder alone"] = ranked()
    evaluation = ranked(base)
    if by_ranking:
        by_ranking["fused"] = evaluation
    if method.balance != "none":
        assert isinstance(passages_PD, np.ndarray), "what reorders has all vectors in memory"
        calibration = method.calibration or calibration_of(retrieval_set, passages_PD)
        calibrated_from = calibration.made_from
        by_ranking["none"] = evaluation
        by_ranking[method.balance] = evaluation = ranked(BalancedRanking(method.balance, queries_QD, calibration))
    elif method.reranker is not None:
        score = partial(method.reranker.score, tokens_per_batch=method.tokens_per_batch, precision=method.precision)
        if not by_ranking:
            by_ranking["encoder alone" if encoder is not None else "first ranking"] = evaluation
        reranked = reranking(retrieval_set, score, method.rerank_depth)
        by_ranking["reranked"] = evaluation = ranked(reranked if base is None else _after(base, reranked))
    evaluation = replace(evaluation, mining=mining)
    seconds = (encoded_at - began, time.monotonic() - encoded_at)
    return Measured(retrieval_set, evaluation, by_ranking, calibrated_from, component, *seconds)


def _without_language(
    retrieval_set: RetrievalSet, queries_QD: FloatMatrix, passages_PD: FloatMatrix | StoredPassages, method: Method
) -> tuple[LanguageComponent | None, FloatMatrix, FloatMatrix | StoredPassages]:
    """What the method takes out of all vectors, and the vectors without it; stored ones lose it when they are read."""
    if isinstance(passages_PD, np.ndarray):
        component = (
            component_of_set(retrieval_set, passages_PD, method.debias) if isinstance(method.debias, str) else method.debias
        )
        return component, *without_language(component, retrieval_set, queries_QD, passages_PD)
    if method.debias is None:
        return None, queries_QD, passages_PD
    component = (
        method.debias if not isinstance(method.debias, str) else _sampled_component(retrieval_set, passages_PD, method.debias)
    )
    cleaned_QD = component.remove(queries_QD, retrieval_set.query_langs, "query")
    return component, cleaned_QD, replace(passages_PD, component=component)


def _sampled_component(retrieval_set: RetrievalSet, passages: StoredPassages, method: DebiasMethod) -> LanguageComponent:
    """As `component_of_set`, from some thousand passages of each language, spread over its rows."""
    lang_P = np.asarray(retrieval_set.passage_langs, dtype=np.str_)
    by_language = {}
    for lang in np.unique(lang_P).tolist():
        rows = np.flatnonzero(lang_P == lang)
        by_language[lang] = passages.rows(rows[np.unique(np.linspace(0, len(rows) - 1, _SAMPLED).astype(np.int64))])
    return estimate_component(by_language, method, made_from=f"sampled passages of {retrieval_set.name}")


def _kept(encoder: Encoder, method: Method, directory: Path) -> KeptVectors:
    return KeptVectors(
        directory,
        encoder,
        precision=method.precision,
        tokens_per_batch=method.tokens_per_batch,
        encoders=method.encoders,
        show=print if method.progress else lambda line: None,
        progress=method.progress,
    )


def _through_index(encoder: Encoder, retrieval_set: RetrievalSet, method: Method, directory: Path) -> Measured:
    """The numbers of what an index finds, with the language component that it carries."""
    began = time.monotonic()
    if method.vectors is not None:
        queries_QD = _kept(encoder, method, method.vectors).queries(retrieval_set)
    else:
        queries_QD = encoded(encoder, retrieval_set.query_texts, "query", method, f"{retrieval_set.name}: queries")
    index = SearchIndex.open(directory)
    check_encodes_alike(index, encoder)
    component = read_component(index.path, index.manifest)
    if component is not None:
        queries_QD = component.remove(queries_QD, retrieval_set.query_langs, "query")
    encoded_at = time.monotonic()
    depth = depth_needed(retrieval_set, max(method.depth, INDEX_DEPTH), method.measures)
    ranked = passages_ranked(retrieval_set)
    retrieved = retrieve_through_index(index, retrieval_set, queries_QD, ranked, depth)
    evaluation = evaluation_of(retrieval_set, retrieved, method.measures)
    return Measured(retrieval_set, evaluation, {}, None, component, encoded_at - began, time.monotonic() - encoded_at)


def _after(first: Reorder, second: Reorder) -> Reorder:
    """One change of the scores after another."""

    def scores(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        return second(rows, first(rows, scores_BP, columns), columns)

    return scores


def _passage_vectors(encoder: Encoder, retrieval_set: RetrievalSet, method: Method, known: KnownVectors | None) -> FloatMatrix:
    """A vector for each passage; zeros for those that no query ranks."""
    title = f"{retrieval_set.name}: passages"
    if not retrieval_set.candidates:
        return encoded(encoder, retrieval_set.passage_texts, "passage", method, title, known)
    ranked = np.unique(np.concatenate(retrieval_set.candidates))
    vectors_RD = encoded(encoder, [retrieval_set.passage_texts[row] for row in ranked], "passage", method, title, known)
    passages_PD = np.zeros((len(retrieval_set.passage_ids), vectors_RD.shape[1]), np.float32)
    passages_PD[ranked] = vectors_RD
    return passages_PD


def _mined(
    encoder: Encoder, retrieval_set: RetrievalSet, mining: Mining, method: Method
) -> tuple[MiningScores, LanguageComponent | None, FloatMatrix, FloatMatrix]:
    """F1 of the pairs that are found, what was taken out of all vectors (estimated from dev, where it is a method), and the
    vectors of the set's queries and passages, which are among the sentences of test."""
    langs = (retrieval_set.query_langs[0], retrieval_set.passage_langs[0])

    def vectors(bitext: Bitext, part: str) -> tuple[FloatMatrix, FloatMatrix]:
        title = f"{retrieval_set.name}, {part}"
        return (
            encoded(encoder, bitext.source_texts, "query", method, f"{title}: sources"),
            encoded(encoder, bitext.target_texts, "passage", method, f"{title}: targets"),
        )

    dev, test = vectors(mining.dev, "dev"), vectors(mining.test, "test")
    component = method.debias if not isinstance(method.debias, str) else None
    if isinstance(method.debias, str):
        by_language = dict(zip(langs, dev, strict=True))
        component = estimate_component(by_language, method.debias, made_from=f"dev sentences of {retrieval_set.name}")

    def cleaned(sides: tuple[FloatMatrix, FloatMatrix]) -> tuple[FloatMatrix, FloatMatrix]:
        if component is None:
            return sides
        sources_ND, targets_MD = sides
        return (
            component.remove(sources_ND, [langs[0]] * len(sources_ND), "query"),
            component.remove(targets_MD, [langs[1]] * len(targets_MD), "passage"),
        )

    sources_ND, targets_MD = cleaned(test)
    scores = scores_of_mining(mine(*cleaned(dev)), mining.dev.gold_G2, mine(sources_ND, targets_MD), mining.test.gold_G2)
    return scores, component, sources_ND[np.unique(mining.test.gold_G2[:, 0])], targets_MD


def _order_of_candidates(retrieval_set: RetrievalSet) -> list[Reorder]:
    """The ranking that a set brings with it.

    Raises:
        UserError: it brings none.
    """
    if not retrieval_set.candidates:
        raise UserError(
            f"{retrieval_set.name}: a reranker needs a ranking to begin with; give an encoder, a baseline or a run, or take a "
            "benchmark that has one (mmarco-rerank)"
        )
    return [candidates_order(retrieval_set.candidates, retrieval_set.passage_langs)]


def rankings_given(
    retrieval_set: RetrievalSet, baseline: Statistics | None, run: Path | None
) -> tuple[list[Reorder], RetrievalSet]:
    """The rankings that need no encoder, and the set with what did not fit counted.

    Args:
        retrieval_set: what is ranked.
        baseline: BM25, with which statistics.
        run: a TREC run.
    """
    rankings = [] if baseline is None else [bm25(retrieval_set, baseline)]
    if run is None:
        return rankings, retrieval_set
    read = trec_run(run, retrieval_set)
    left_out = dict(retrieval_set.left_out) | dict(read.left_out)
    return [*rankings, read.reorder], replace(retrieval_set, left_out=left_out)


def encoded(
    encoder: Encoder, texts: Sequence[str], side: Side, method: Method, title: str, known: KnownVectors | None = None
) -> FloatMatrix:
    """A vector for each text, [N, D]; texts that are equal are encoded once and get the same vector, bit for bit.

    Args:
        encoder, method: what encodes, and how.
        texts: any strings.
        side: which prompt they get.
        title: of the progress bar.
        known: vectors of earlier calls with this encoder, which are not made again; gets the new ones.
    """
    row_of_text: dict[str, int] = {}
    rows = [row_of_text.setdefault(text, len(row_of_text)) for text in texts]
    fresh = [text for text in row_of_text if known is None or (side, text) not in known]
    vectors_UD = encoder.encode(
        fresh,
        side,
        precision=method.precision,
        tokens_per_batch=method.tokens_per_batch,
        progress=title if method.progress and fresh else None,
        remember=True,
    )
    if known is None:
        return vectors_UD[rows]
    known.update({(side, text): vector_D for text, vector_D in zip(fresh, vectors_UD, strict=True)})
    return np.stack([known[side, text] for text in texts])
