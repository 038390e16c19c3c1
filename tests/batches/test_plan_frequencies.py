"""How often a plan draws kinds, pairs and corpora."""

from collections import Counter
from pathlib import Path

import pytest
from plan_facts import CORPORA, Facts, parallel, plan, ragged

from xlret.batches.settings import AlphaSchedule


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.77, 1.0])
def test_realised_alpha(alpha: float) -> None:
    made = plan(CORPORA["parallel"], alpha=alpha, seed=11)
    for start in (0, 64 * 10**10):
        kinds = [made.step(t).kind for t in range(start, start + 640)]
        assert abs(kinds.count("mono") - alpha * 640) <= 1
    odd = sum(made.step(t).kind == "mono" for t in range(1000, 1333))
    assert abs(odd - alpha * 333) <= 5 * (333 * alpha * (1 - alpha)) ** 0.5


def test_realised_alpha_follows_its_schedule() -> None:
    schedule = AlphaSchedule(shape="cosine", start=0.9, end=0.2, steps=2000)
    found = plan(CORPORA["ragged"], alpha=schedule).explain(2560)
    assert found.expected_alpha == pytest.approx((0.55 * 2000 + 0.2 * 560) / 2560, abs=1e-6)
    assert abs(found.alpha - found.expected_alpha) <= 1 / 2560
    late = plan(CORPORA["ragged"], alpha=schedule).explain(640, start=10**12)
    assert late.expected_alpha == pytest.approx(0.2)
    assert abs(late.alpha - 0.2) <= 2 / 640


@pytest.mark.parametrize("tau", [0, 0.5, 1])
@pytest.mark.parametrize("regime", ["mono", "cross", "mixed"])
@pytest.mark.parametrize("pair_per", ["example", "batch"])
def test_pair_frequencies_are_their_weights(tau: float, regime: str, pair_per: str) -> None:
    """Counted from steps, against weights counted from the corpus, within 5 standard deviations of a binomial."""
    corpus = CORPORA["ragged"]
    made = plan(corpus, regime=regime, pair_per=pair_per, language_tau=tau, batch_size=20)
    pairs = [(one, two) for one in corpus.languages for two in corpus.languages if (one != two) == (regime == "cross")]
    weights = {pair: len(corpus.members(*pair)) ** tau for pair in pairs}
    start, steps = 12_345, 800
    counts: Counter[tuple[str, str]] = Counter()
    for t in range(start, start + steps):
        step = made.step(t)
        counts.update(zip(step.query_lang, step.passage_lang, strict=True))
    unit = 20 if regime == "mono" or (regime == "cross" and pair_per == "batch") else 1
    draws = steps * 20 / unit
    assert counts.keys() == weights.keys()
    for pair, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(counts[pair] / unit - draws * share) < 5 * (draws * share * (1 - share)) ** 0.5
    explained = made.explain(steps, start)
    assert {(one.query_lang, one.passage_lang): one.rows for one in explained.pairs} == counts
    for one in explained.pairs:
        share = weights[one.query_lang, one.passage_lang] / sum(weights.values())
        assert one.expected == pytest.approx(steps * 20 * share)
        assert one.groups == len(corpus.members(one.query_lang, one.passage_lang))


@pytest.mark.parametrize("tau", [0, 0.5, 1])
def test_corpora_are_drawn_by_size(tau: float) -> None:
    corpora = [parallel(3000, ("en", "de"), "big"), parallel(300, ("en", "tr"), "small"), ragged({"hi": 900, "ru": 900}, 0.9)]
    made = plan(corpora, alpha=0.4, corpus_tau=tau)
    found = made.explain(1500)
    groups = [3000, 300, len(corpora[2].members("hi", "ru") | corpora[2].members("ru", "hi"))]
    for kind, alpha in (("mono", 0.4), ("cross", 0.6)):
        mine = [one for one in found.kinds if one.kind == kind]
        sizes = groups if kind == "cross" else [3000, 300, len(corpora[2].members("hi", "hi") | corpora[2].members("ru", "ru"))]
        for one, size in zip(mine, sizes, strict=True):
            share = size**tau / sum(other**tau for other in sizes)
            assert one.expected == pytest.approx(1500 * alpha * share)
            assert abs(one.steps - one.expected) < 5 * (1500 * alpha * share * (1 - share)) ** 0.5 + 1
    seen = {t: made.step(t) for t in range(200)}
    assert {step.corpus for step in seen.values()} == {0, 1, 2}
    assert {lang for step in seen.values() if step.corpus == 1 for lang in step.query_lang} == {"en", "tr"}


def test_a_corpus_may_lack_one_kind_of_a_hybrid() -> None:
    """Such as SWIM-IR (query in any language, passage English) beside MIRACL (both in one)."""
    half = frozenset(range(200))
    cross_only = Facts({"de": half, "fr": half}, {"en": half}, "x", Path("x"))
    mono_only = Facts(
        {"de": half, "fr": frozenset(range(200, 400))}, {"de": half, "fr": frozenset(range(200, 400))}, "m", Path("m")
    )
    made = plan([cross_only, mono_only], alpha=0.25)
    for t in range(128):
        step = made.step(t)
        assert step.corpus == (1 if step.kind == "mono" else 0)
    assert made.explain(128).alpha == 0.25
