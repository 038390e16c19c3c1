"""Whole rankings are balanced as the server balances the best hits of each language, and the job shows what it does."""

from typing import Any

import numpy as np
import pytest

from xlret.errors import UserError
from xlret.evaluation.balance_effect import calibration_of, effect_json, effect_rows, shares
from xlret.evaluation.balanced_ranking import BalancedRanking
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.retrieve import retrieve
from xlret.evaluation.sets import RetrievalSet
from xlret.search.balance import balanced_order

LANGUAGES = ("de", "en", "th")


def biased(seed: int, groups: int = 60, dimension: int = 32) -> tuple[RetrievalSet, np.ndarray, np.ndarray]:
    """Queries and passages of a group are alike; those of a language are as well, which is the bias to take away."""
    rng = np.random.default_rng(seed)
    meaning, tongue = rng.normal(size=(groups, dimension)), 2.0 * rng.normal(size=(len(LANGUAGES), dimension))
    pairs = [(group, lang) for lang in range(len(LANGUAGES)) for group in range(groups)]
    shuffled = [pairs[place] for place in rng.permutation(len(pairs))]

    def vectors(rows: list[tuple[int, int]]) -> np.ndarray:
        found = np.array([meaning[group] + tongue[lang] for group, lang in rows]) + 0.7 * rng.normal(
            size=(len(rows), dimension)
        )
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    made = RetrievalSet(
        "biased",
        LANGUAGES,
        [f"q{group}/{lang}" for group, lang in pairs],
        [LANGUAGES[lang] for _, lang in pairs],
        ["?"] * len(pairs),
        [f"p{place:04d}" for place in range(len(pairs))],
        [LANGUAGES[lang] for _, lang in shuffled],
        ["."] * len(pairs),
        [np.array([i for i, (one, _) in enumerate(shuffled) if one == group], np.int64) for group, _ in pairs],
    )
    return made, vectors(pairs), vectors(shuffled)


@pytest.mark.parametrize("balance", ["quota", "calibrated"])
@pytest.mark.parametrize("calibrated", [True, False])
def test_whole_rankings_begin_as_the_server_orders_hits(balance: Any, calibrated: bool) -> None:
    made, queries, passages = biased(0)
    if balance == "calibrated" and not calibrated:
        with pytest.raises(UserError, match="needs a calibration"):
            BalancedRanking(balance, queries)
        return
    calibration = calibration_of(made, passages) if calibrated else None
    top_k = 15
    reorder = BalancedRanking(balance, queries, calibration)
    found = retrieve(queries, passages, made.relevant, made.passage_langs, top_k, reorder)
    langs = np.array(made.passage_langs)
    for row, query in enumerate(queries):
        scores = passages @ query
        pool = np.concatenate(
            [
                rows[np.argsort(-scores[rows], kind="stable")][:top_k]
                for rows in (np.flatnonzero(langs == one) for one in LANGUAGES)
            ]
        )
        order = balanced_order(
            balance,
            [made.passage_ids[one] for one in pool],
            scores[pool],
            langs[pool].tolist(),
            top_k,
            calibration=calibration,
            query_vector_D=query,
        )
        assert found.top_QK[row].tolist() == pool[order].tolist()


def test_balancing_takes_the_bias_away() -> None:
    made, queries, passages = biased(1, groups=300)
    calibration = calibration_of(made, passages)
    plain = evaluate(made, queries, passages, depth=10)
    both = {"none": plain} | {
        balance: evaluate(made, queries, passages, depth=10, reorder=BalancedRanking(balance, queries, calibration))
        for balance in ("quota", "calibrated")
    }
    assert shares(made, plain).own > 0.9
    for name in ("quota", "calibrated"):
        one = both[name]
        assert one.mul > 1.1 * plain.mul
        assert one.rank_distance < 0.7 * plain.rank_distance
        assert shares(made, one).own < 0.6
        assert shares(made, one).distance < shares(made, plain).distance
        assert one.mo == pytest.approx(plain.mo, abs=1e-6)  # the order within a language stays
        assert one.cr == pytest.approx(plain.cr, abs=1e-6)
    titles, rows = effect_rows(made, both)
    assert titles[-2:] == ["own@10", "dist@10"]
    assert [row[0] for row in rows] == ["none", "quota", "calibrated"]
    as_json = effect_json(made, both)
    assert as_json["none"]["mul"] == plain.mul
    assert as_json["quota"]["hits_and_corpus_share@10"]["de"]["en"][1] == pytest.approx(1 / 3)


def test_scores_without_bias_stay_as_good() -> None:
    rng = np.random.default_rng(2)
    made, _, _ = biased(2)
    meaning = rng.normal(size=(60, 32))
    groups = [int(one.split("/")[0][1:]) for one in made.query_ids]
    of_passage = np.empty(len(made.passage_ids), np.int64)
    for row, group in enumerate(groups):
        of_passage[made.relevant[row]] = group

    def vectors(rows: Any) -> np.ndarray:
        found = meaning[rows] + 1.5 * rng.normal(size=(len(rows), 32))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    queries, passages = vectors(groups), vectors(of_passage)
    reorder = BalancedRanking("calibrated", queries, calibration_of(made, passages))
    plain, balanced = evaluate(made, queries, passages), evaluate(made, queries, passages, reorder=reorder)
    assert balanced.mul == pytest.approx(plain.mul, abs=0.02)


def test_a_ranking_needs_a_balance() -> None:
    with pytest.raises(UserError, match="balance is 'none'"):
        BalancedRanking("none", np.ones((1, 2), np.float32))
