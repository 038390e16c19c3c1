"""Measuring an encoder on retrieval sets, and what a balance of languages or a reranker makes of its rankings.

Nothing here prints or writes: `run` does, from what these functions return.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xlret.evaluation.balance_effect import calibration_of
from xlret.evaluation.balanced_ranking import BalancedRanking
from xlret.evaluation.baselines.bm25 import Statistics, bm25
from xlret.evaluation.baselines.fusion import fused
from xlret.evaluation.baselines.trec_run import trec_run
from xlret.evaluation.debias.choice import component_of_set, without_language
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.named_measures import NamedMeasure
from xlret.evaluation.pool_measures import TOP
from xlret.evaluation.rerank import reranking
from xlret.evaluation.retrieve import Reorder
from xlret.evaluation.sets import RetrievalSet
from xlret.model.debias.component import DebiasMethod, LanguageComponent
from xlret.model.encoder import Encoder
from xlret.model.reranker import Reranker
from xlret.search.balance import Balance
from xlret.search.calibration import Calibration
from xlret.shapes import FloatMatrix
from xlret.text.sides import Side


@dataclass(frozen=True)
class Method:
    """How texts are encoded and ranked. At most one of `balance` and `reranker` changes the rankings of the vectors."""

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


def measure(
    encoder: Encoder | None, retrieval_set: RetrievalSet, method: Method, known: KnownVectors | None = None
) -> Measured:
    """Encodes a set and ranks its passages for every query, with and without the change that the method asks for.

    Args:
        encoder, retrieval_set, method: what is measured, on what, and how. Without an encoder the method names a ranking.
        known: vectors that are not made again, see `encoded`.
    """
    began = time.monotonic()
    rankings_given, retrieval_set = _rankings_given(retrieval_set, method)
    if encoder is None:
        assert rankings_given, "without an encoder there is a baseline or a run"
        queries_QD, passages_PD = (
            np.zeros((len(ids), 1), np.float32) for ids in (retrieval_set.query_ids, retrieval_set.passage_ids)
        )
    else:
        title = retrieval_set.name
        queries_QD = encoded(encoder, retrieval_set.query_texts, "query", method, f"{title}: queries", known)
        passages_PD = encoded(encoder, retrieval_set.passage_texts, "passage", method, f"{title}: passages", known)
    encoded_at = time.monotonic()
    component = component_of_set(retrieval_set, passages_PD, method.debias) if isinstance(method.debias, str) else method.debias
    queries_QD, passages_PD = without_language(component, retrieval_set, queries_QD, passages_PD)
    depth = max(method.depth, TOP)
    changed = method.balance != "none" or method.reranker is not None or bool(rankings_given)

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

    rankings: dict[str, Evaluation] = {}
    calibrated_from = None
    if encoder is None:
        evaluation = ranked(rankings_given[0] if len(rankings_given) == 1 else fused(rankings_given, with_vectors=False))
    else:
        evaluation = ranked()
    if rankings_given and encoder is not None:
        rankings["encoder alone"] = evaluation
        rankings["fused"] = evaluation = ranked(fused(rankings_given, with_vectors=True))
    elif method.balance != "none":
        calibration = method.calibration or calibration_of(retrieval_set, passages_PD)
        calibrated_from = calibration.made_from
        rankings["none"] = evaluation
        rankings[method.balance] = evaluation = ranked(BalancedRanking(method.balance, queries_QD, calibration))
    elif method.reranker is not None:
        score = partial(method.reranker.score, tokens_per_batch=method.tokens_per_batch, precision=method.precision)
        rankings["encoder alone"] = evaluation
        rankings["reranked"] = evaluation = ranked(reranking(retrieval_set, score, method.rerank_depth))
    seconds = (encoded_at - began, time.monotonic() - encoded_at)
    return Measured(retrieval_set, evaluation, rankings, calibrated_from, component, *seconds)


def _rankings_given(retrieval_set: RetrievalSet, method: Method) -> tuple[list[Reorder], RetrievalSet]:
    """The rankings that need no encoder, and the set with what did not fit counted."""
    rankings = [] if method.baseline is None else [bm25(retrieval_set, method.baseline)]
    if method.run is None:
        return rankings, retrieval_set
    run = trec_run(method.run, retrieval_set)
    left_out = dict(retrieval_set.left_out) | dict(run.left_out)
    return [*rankings, run.reorder], replace(retrieval_set, left_out=left_out)


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
