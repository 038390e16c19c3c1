"""Finding translations among sentences: the margin of cosines, a threshold from dev pairs, F1 (BUCC).

Artetxe and Schwenk, "Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings" (ACL 2019): a pair scores by
the ratio of its cosine to the mean cosine of both sentences to their 4 nearest neighbours on the other side.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlret.lexicon.neighbours import nearest
from xlret.shapes import FloatArray, FloatMatrix, IntArray

NEIGHBOURS = 4
"""k of the margin."""


class MinedPairs(NamedTuple):
    """Pairs of a source and a target, the best margin first; no sentence is in two."""

    source_N: IntArray
    target_N: IntArray
    margin_N: FloatArray


@dataclass(frozen=True)
class MiningScores:
    """What a threshold from dev finds on test."""

    threshold: float
    """Pairs with this margin and more are taken for translations."""
    dev_f1: float
    f1: float
    precision: float
    recall: float
    pairs: int
    """Taken on test."""
    gold: int


def mine(sources_ND: FloatMatrix, targets_MD: FloatMatrix, neighbours: int = NEIGHBOURS) -> MinedPairs:
    """The best partner of each sentence of both sides, by the margin; of pairs that share a sentence the better one stays.

    Partners are sought among the nearest neighbours in both directions, as in LASER. Equal margins go by source, then target.

    Cost: two exact searches, N x M x D multiplications each; memory for the vectors twice and 12 bytes a neighbour.
    """
    sources_ND, targets_MD = _unit(sources_ND), _unit(targets_MD)
    forth_NK, target_NK = nearest(sources_ND, targets_MD, neighbours, "cosine")
    back_MK, source_MK = nearest(targets_MD, sources_ND, neighbours, "cosine")
    mean_N, mean_M = forth_NK.mean(axis=1, dtype=np.float64), back_MK.mean(axis=1, dtype=np.float64)
    forth_margin_NK = forth_NK / ((mean_N[:, None] + mean_M[target_NK]) / 2)
    back_margin_MK = back_MK / ((mean_M[:, None] + mean_N[source_MK]) / 2)
    best_N, best_M = forth_margin_NK.argmax(axis=1), back_margin_MK.argmax(axis=1)
    rows_N, rows_M = np.arange(len(sources_ND)), np.arange(len(targets_MD))
    source = np.concatenate([rows_N, source_MK[rows_M, best_M]])
    target = np.concatenate([target_NK[rows_N, best_N], rows_M])
    margin = np.concatenate([forth_margin_NK[rows_N, best_N], back_margin_MK[rows_M, best_M]])
    free_source, free_target = np.ones(len(sources_ND), np.bool_), np.ones(len(targets_MD), np.bool_)
    kept = []
    for pair in np.lexsort((target, source, -margin)).tolist():
        if free_source[source[pair]] and free_target[target[pair]]:
            free_source[source[pair]] = free_target[target[pair]] = False
            kept.append(pair)
    return MinedPairs(source[kept], target[kept], margin[kept])


def scores_of_mining(dev: MinedPairs, dev_gold_G2: IntArray, test: MinedPairs, test_gold_G2: IntArray) -> MiningScores:
    """F1 on test at the threshold that is best on dev: half-way between the last pair that is taken there and the next."""
    threshold, dev_f1 = best_threshold(dev.margin_N, _is_gold(dev, dev_gold_G2), len(dev_gold_G2))
    taken_N = test.margin_N >= threshold
    pairs, right = int(np.count_nonzero(taken_N)), int(np.count_nonzero(taken_N & _is_gold(test, test_gold_G2)))
    gold = len(test_gold_G2)
    return MiningScores(
        threshold,
        dev_f1,
        f1=2 * right / (pairs + gold) if pairs + gold else 0.0,
        precision=right / pairs if pairs else 0.0,
        recall=right / gold if gold else 0.0,
        pairs=pairs,
        gold=gold,
    )


def best_threshold(margin_N: FloatArray, is_gold_N: NDArray[np.bool_], gold: int) -> tuple[float, float]:
    """The threshold with the highest F1 of pairs in falling order of margin, and that F1.

    >>> best_threshold(np.array([1.4, 1.2, 1.0]), np.array([True, True, False]), gold=2)
    (1.1, 1.0)
    """
    if not len(margin_N):
        return float("inf"), 0.0
    f1_N = 2 * np.cumsum(is_gold_N) / (np.arange(1, len(margin_N) + 1) + gold)
    f1_N[:-1][margin_N[:-1] == margin_N[1:]] = -1.0  # equal margins are taken together or not at all
    last = int(f1_N.argmax())
    following = margin_N[last + 1] if last + 1 < len(margin_N) else margin_N[last]
    return float((margin_N[last] + following) / 2), float(f1_N[last])


def _is_gold(pairs: MinedPairs, gold_G2: IntArray) -> NDArray[np.bool_]:
    gold = set(map(tuple, gold_G2.tolist()))
    return np.array([pair in gold for pair in zip(pairs.source_N.tolist(), pairs.target_N.tolist(), strict=True)], np.bool_)


def _unit(vectors_ND: FloatMatrix) -> FloatMatrix:
    norm_N = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    unit_ND: FloatMatrix = vectors_ND / np.maximum(norm_N, np.finfo(np.float32).tiny)
    return unit_ND
