"""The whole evaluation: by hand, by the definitions over sorted rankings, against trec_eval, and what must not change it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trec_eval import evaluated

from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.sets import RetrievalSet


def rank(query, passages, candidates):  # type: ignore[no-untyped-def]
    """Candidates, best first, ties by index."""
    return sorted(candidates, key=lambda one: (-float(query @ passages[one]), one))


def ap(ranking: list[int], relevant: set[int]) -> float:
    hits = [place for place, one in enumerate(ranking, 1) if one in relevant]
    return sum(nth / place for nth, place in enumerate(hits, 1)) / len(relevant)


def by_hand_set() -> tuple[RetrievalSet, Any, Any]:
    """Two languages, two questions. Scores are read off the vectors: passage vectors are unit vectors."""
    relevant = [np.array([0, 2]), np.array([1, 3])]
    scores = {  # passages: en0 en1 de0 de1
        "en0": [9, 8, 3, 1],
        "en1": [7, 6, 5, 4],
        "de0": [1, 2, 9, 8],
        "de1": [9, 8, 7, 6],
    }
    queries = np.array(list(scores.values()), np.float32)
    one = RetrievalSet(
        "hand",
        ("de", "en"),
        list(scores),
        ["en", "en", "de", "de"],
        list(scores),
        ["en0", "en1", "de0", "de1"],
        ["en", "en", "de", "de"],
        ["", "", "", ""],
        relevant * 2,
    )
    return one, queries, np.eye(4, dtype=np.float32)


def test_by_hand() -> None:
    found = evaluate(*by_hand_set())
    # en -> en: ranks 1 and 2; en -> de: 1 and 2; de -> de: 1 and 2; de -> en: 2 and 2.
    assert found.matrix == {"de": {"de": 0.75, "en": 0.5}, "en": {"de": 0.75, "en": 0.75}}
    assert found.mo == 0.75
    assert found.cr == (0.5 + 0.75) / 2
    # Pooled ranks: en0 1, 3; en1 2, 4; de0 4, 1; de1 2, 4.
    pooled = {"en0": (1 + 2 / 3) / 2, "en1": 0.5, "de0": (1 + 2 / 4) / 2, "de1": 0.5}
    assert found.values_Q["mul"].tolist() == pytest.approx(list(pooled.values()))
    assert found.by_language["en"]["mul"] == pytest.approx((pooled["en0"] + pooled["en1"]) / 2)
    assert found.mul == pytest.approx(sum(pooled.values()) / 4)
    assert found.values_Q["rank_distance"].tolist() == [2, 2, 3, 2]
    assert found.rank_distance == (2 + 2.5) / 2
    assert found.pooled["mrr@10"] == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)
    assert found.pooled["recall@1"] == 0.25
    assert (found.queries, found.passages, found.skipped) == (4, 4, 0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_definitions_over_full_rankings_with_ties(made: Callable[..., Any], seed: int) -> None:
    one, queries, passages = made(seed)
    found = evaluate(one, queries, passages)
    everything = range(len(passages))
    langs, cells = one.languages, {}
    for asked in langs:
        for searched in langs:
            pool = [place for place in everything if one.passage_langs[place] == searched]
            values = [
                ap(rank(queries[row], passages, pool), set(one.relevant[row].tolist()) & set(pool))
                for row in range(len(queries))
                if one.query_langs[row] == asked and set(one.relevant[row].tolist()) & set(pool)
            ]
            cells[asked, searched] = np.mean(values) if values else np.nan
            np.testing.assert_allclose(found.matrix[asked][searched], cells[asked, searched], atol=1e-12)
    np.testing.assert_allclose(found.mo, np.nanmean([cells[lang, lang] for lang in langs]))
    np.testing.assert_allclose(found.cr, np.nanmean([value for (a, b), value in cells.items() if a != b]))
    muls, distances, flat = [], [], []
    for asked in langs:
        rows = [row for row in range(len(queries)) if one.query_langs[row] == asked and len(one.relevant[row])]
        rankings = {row: rank(queries[row], passages, everything) for row in rows}
        aps = [ap(rankings[row], set(one.relevant[row].tolist())) for row in rows]
        flat += aps
        muls.append(np.mean(aps))
        several = [row for row in rows if len({one.passage_langs[place] for place in one.relevant[row]}) > 1]
        places = [[rankings[row].index(answer) for answer in one.relevant[row]] for row in several]
        if places:
            distances.append(np.mean([max(ranks) - min(ranks) for ranks in places]))
    np.testing.assert_allclose(found.mul, np.mean(muls))
    np.testing.assert_allclose(found.micro, np.mean(flat))
    np.testing.assert_allclose(found.rank_distance, np.mean(distances) if distances else np.nan)


@pytest.mark.parametrize("seed", range(5))
def test_pooled_metrics_against_trec_eval_with_ties(made: Callable[..., Any], seed: int) -> None:
    one, queries, passages = made(seed, groups=25, languages=("en", "de", "th", "zh"))
    found = evaluate(one, queries, passages)
    run = {}  # trec_eval has a tie rule of its own: it gets our order as distinct scores
    for query_id, query in zip(one.query_ids, queries, strict=True):
        ranking = rank(query, passages, range(len(passages)))
        run[query_id] = {one.passage_ids[passage]: float(-place) for place, passage in enumerate(ranking)}
    qrels = {
        query_id: {one.passage_ids[passage]: 1 for passage in answers}
        for query_id, answers in zip(one.query_ids, one.relevant, strict=True)
        if len(answers)
    }
    theirs = evaluated(qrels, run)
    for name in ("mul", "ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100"):
        means = [
            np.mean([values[name] for query, values in theirs.items() if query.endswith(f"/{lang}")]) for lang in one.languages
        ]
        assert found.pooled[name] == pytest.approx(np.mean(means), abs=1e-9)
    assert found.micro == pytest.approx(np.mean([values["mul"] for values in theirs.values()]), abs=1e-9)


def numbers(found: Any) -> dict[str, float]:
    """All headline numbers."""
    return {**{name: getattr(found, name) for name in ("mo", "cr", "mul", "micro", "rank_distance")}, **found.pooled}


def test_the_order_of_queries_does_not_matter(made: Callable[..., Any]) -> None:
    one, queries, passages = made(3)
    order = np.random.default_rng(1).permutation(len(queries))
    turned = replace(
        one,
        query_ids=[one.query_ids[row] for row in order],
        query_langs=[one.query_langs[row] for row in order],
        query_texts=[one.query_texts[row] for row in order],
        query_groups=[one.query_groups[row] for row in order],
        relevant=[one.relevant[row] for row in order],
    )
    assert numbers(evaluate(turned, queries[order], passages)) == pytest.approx(numbers(evaluate(one, queries, passages)))


def test_the_order_of_passages_does_not_matter_without_ties(made: Callable[..., Any]) -> None:
    one, queries, passages = made(4, groups=30, ties=False)
    order = np.random.default_rng(1).permutation(len(passages))
    new_place = np.argsort(order)
    turned = replace(
        one,
        passage_ids=[one.passage_ids[row] for row in order],
        passage_langs=[one.passage_langs[row] for row in order],
        passage_texts=[one.passage_texts[row] for row in order],
        relevant=[new_place[answers] for answers in one.relevant],
    )
    assert numbers(evaluate(turned, queries, passages[order])) == pytest.approx(numbers(evaluate(one, queries, passages)))


def test_a_language_of_irrelevant_passages_changes_neither_mo_nor_cr_and_cannot_help_mul(made: Callable[..., Any]) -> None:
    one, queries, passages = made(6, groups=20)
    noise = np.random.default_rng(2).integers(-1, 2, (50, 4)).astype(np.float32)
    more = replace(
        one,
        languages=tuple(sorted((*one.languages, "fi"))),
        passage_ids=[*one.passage_ids, *(f"noise{row}" for row in range(50))],
        passage_langs=[*one.passage_langs, *["fi"] * 50],
        passage_texts=[*one.passage_texts, *[""] * 50],
    )
    before, after = evaluate(one, queries, passages), evaluate(more, queries, np.concatenate([passages, noise]))
    assert after.mo == before.mo
    assert after.cr == before.cr
    assert after.mul < before.mul
    assert after.rank_distance > before.rank_distance
    assert np.isnan(after.matrix["en"]["fi"])


def test_perfect_vectors_give_one_and_the_least_distance(made: Callable[..., Any]) -> None:
    one, _, _ = made(0, groups=10)
    groups = np.eye(10, dtype=np.float32)
    found = evaluate(
        one,
        groups[[int(group) for group in one.query_groups]],
        groups[[int(name[1:].split("/")[0]) for name in one.passage_ids]],
    )
    assert (found.mo, found.cr, found.mul, found.micro) == (1, 1, 1, 1)
    several = [len(answers) - 1 for answers in one.relevant if len(answers) > 1]
    assert np.nansum(found.values_Q["rank_distance"]) == sum(several)


def test_questions_without_an_answer_are_skipped() -> None:
    one, queries, passages = by_hand_set()
    half = replace(one, relevant=[np.array([0]), np.empty(0, np.int64), np.array([0]), np.empty(0, np.int64)])
    found = evaluate(half, queries, passages)
    assert found.skipped == 2
    assert found.micro == pytest.approx((1 + 1 / 4) / 2)
    assert np.isnan(found.matrix["en"]["de"])
    assert found.mo == 1.0  # en alone: no German passage answers anything
    assert np.isnan(found.rank_distance)  # all answers in one language


def test_peer_is_left_out_where_it_is_the_same_for_all_rankings() -> None:
    retrieval_set, queries, passages = by_hand_set()
    assert np.isnan(evaluate(retrieval_set, queries, passages).peer)  # a passage of each language: exp(-1/2) whatever the ranks
    several = replace(retrieval_set, relevant=[np.array([0, 1, 2]), *retrieval_set.relevant[1:]])
    found = evaluate(several, queries, passages)
    assert 0 < found.peer == found.values_Q["peer"][0] < 1
    assert np.isnan(found.values_Q["peer"][1:]).all()


def test_held_out_languages_by_themselves(made: Callable[..., Any]) -> None:
    found = evaluate(*made(8))
    held_out = found.means_over(["th"])
    assert held_out["mo"] == found.matrix["th"]["th"]
    pairs = [found.matrix["th"]["en"], found.matrix["th"]["de"], found.matrix["en"]["th"], found.matrix["de"]["th"]]
    assert held_out["cr"] == pytest.approx(np.mean(pairs))
    assert held_out["mul"] == found.by_language["th"]["mul"]
    everything = found.means_over(found.languages)
    assert [everything[name] for name in ("mo", "cr", "mul")] == pytest.approx([found.mo, found.cr, found.mul])
