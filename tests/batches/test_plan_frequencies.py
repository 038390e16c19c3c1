"""How often a plan draws kinds, pairs and corpora."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_facts import CORPORA, WORDS, Facts, parallel, plan, ragged, rows
from scipy.stats import chi2

from xlret.batches.explain import Explanation, PairCount
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


def shares_by_hand(
    corpora: list[Facts], kind: str, language_tau: float, corpus_tau: float
) -> dict[tuple[int, str, str], float]:
    """Share of each (corpus, pair) in the rows of a kind: the pair first, over the union, then the corpus."""
    langs = sorted({lang for corpus in corpora for lang in corpus.languages})
    pairs = [(one, two) for one in langs for two in langs if (one != two) == (kind == "cross")]
    sizes = {pair: [len(corpus.members(*pair)) for corpus in corpora] for pair in pairs}
    weights = {pair: sum(counts) ** language_tau for pair, counts in sizes.items() if sum(counts)}
    return {
        (number, *pair): weights[pair] / sum(weights.values()) * size**corpus_tau / sum(n**corpus_tau for n in sizes[pair] if n)
        for pair in weights
        for number, size in enumerate(sizes[pair])
        if size
    }


SEVERAL = [
    parallel(4000, ("en", "de"), "big"),
    parallel(400, ("en", "tr"), "small"),
    ragged({"hi": 900, "ru": 900, "en": 1200}, 0.9),
    parallel(200, ("de", "tr", "sw"), "least"),
]
"""en is in three corpora, sw in one, of very unequal sizes."""


@pytest.mark.parametrize("language_tau", [0, 0.5, 1])
@pytest.mark.parametrize("corpus_tau", [0, 1])
@pytest.mark.parametrize("pair_per", ["example", "batch"])
def test_the_pair_is_drawn_first_and_then_the_corpus(language_tau: float, corpus_tau: float, pair_per: str) -> None:
    """Chi-square of the counts of (corpus, pair) against shares reckoned from the corpora alone."""
    steps, start = 3000, 7_654
    made = plan(
        SEVERAL,
        alpha=0.5,
        language_tau=language_tau,
        corpus_tau=corpus_tau,
        pair_per=pair_per,
        batch_size=20,
        small_pools="drop",
    )
    counts: dict[str, Counter[tuple[int, str, str]]] = {"mono": Counter(), "cross": Counter()}
    for t in range(start, start + steps):
        step = made.step(t)
        counts[step.kind].update((step.corpus, *pair) for pair in zip(step.query_lang, step.passage_lang, strict=True))
    explained = made.explain(steps, start)
    assert not explained.dropped
    for kind, counted in counts.items():
        shares = shares_by_hand(SEVERAL, kind, language_tau, corpus_tau)
        assert counted.keys() <= shares.keys()
        # Rows of a batch come together: the batch is the unit where it has one pair, and where its corpus decides its pairs.
        draws = counted.total() / 20
        statistic = sum((counted[key] / 20 - draws * share) ** 2 / (draws * share) for key, share in shares.items())
        assert statistic < chi2.ppf(1 - 1e-6, len(shares) - 1)
        expected = [
            (pair.expected, shares[number, pair.query_lang, pair.passage_lang]) for number, pair in numbered(explained, kind)
        ]
        total = sum(number for number, _ in expected)
        assert all(number / total == pytest.approx(share) for number, share in expected)


def numbered(explained: Explanation, kind: str) -> list[tuple[int, PairCount]]:
    names = [str(corpus.path) for corpus in SEVERAL]
    return [(names.index(pair.corpus), pair) for pair in explained.pairs if pair.kind == kind]


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_languages_are_uniform_however_the_corpora_hold_them(data: st.DataObject, seed: int) -> None:
    """Each language has its share of monolingual batches to within a batch or two: shares are met cycle by cycle."""
    languages = st.sets(st.sampled_from(WORDS), min_size=1, max_size=6)
    corpora = [
        parallel(data.draw(st.integers(8, 3000)), sorted(data.draw(languages)), f"corpus {number}")
        for number in range(data.draw(st.integers(1, 4)))
    ]
    union = sorted({lang for corpus in corpora for lang in corpus.languages})
    made = plan(corpora, regime="mono", batch_size=8, seed=seed, corpus_tau=data.draw(st.sampled_from([0.0, 0.5, 1.0])))
    counted = Counter(made.step(t).query_lang[0] for t in range(len(union) * 7))
    assert set(counted.values()) == {7}
    assert counted.keys() == set(union)


def test_whole_batches_of_several_corpora_walk_each_pool_without_replacement() -> None:
    made = plan(SEVERAL, alpha=0.5, pair_per="batch", batch_size=20)
    walked: dict[tuple[str, int, str, str], list[int]] = {}
    for t in range(4000):
        step = made.step(t)
        walked.setdefault((step.kind, step.corpus, step.query_lang[0], step.passage_lang[0]), []).extend(step.group.tolist())
    epochs = 0
    for (_, number, *pair), groups in walked.items():
        per_epoch = len(SEVERAL[number].members(*pair)) // 20 * 20
        orders = [groups[i : i + per_epoch] for i in range(0, len(groups), per_epoch)]
        assert all(len(set(order)) == len(order) for order in orders)
        epochs = max(epochs, len(orders) - 1)
    assert epochs > 1


def test_single_rows_of_several_corpora_walk_each_pool_without_replacement() -> None:
    """After each 64 batches of a corpus, each of its pools was walked some number of times, and a part of one more time."""
    made = plan(SEVERAL, regime="cross", batch_size=20)
    used: dict[tuple[int, str, str], Counter[int]] = {}
    batches: Counter[int] = Counter()
    epochs = 0
    for t in range(64 * 40):
        step = made.step(t)
        batches[step.corpus] += 1
        for query_lang, passage_lang, group in rows(step):
            used.setdefault((step.corpus, query_lang, passage_lang), Counter())[group] += 1
        if batches[step.corpus] % 64 == 0:
            for (number, *pair), counts in used.items():
                if number == step.corpus:
                    whole = counts.total() // len(SEVERAL[number].members(*pair))
                    assert set(counts.values()) <= {whole, whole + 1}
                    epochs = max(epochs, whole)
    assert epochs > 1
    assert made.explain(64 * 40).replaced == 0


def test_workers_see_the_same_batches_of_several_corpora() -> None:
    made = plan(SEVERAL, alpha=0.5, batch_size=20)
    for t in range(60):
        step = made.step(t)
        for world in (2, 3, 5):
            shares = [step.worker(rank, world) for rank in range(world)]
            assert [row for share in shares for row in rows(share)] == rows(step)
            assert {(share.kind, share.corpus) for share in shares} == {(step.kind, step.corpus)}


def test_the_explanation_says_planned_and_realised_shares_of_languages() -> None:
    explained = plan(SEVERAL, regime="mono", batch_size=20).explain(600)
    queries = explained.shares[0].queries
    assert [share.name for share in queries] == ["de", "en", "hi", "ru", "sw", "tr"]
    assert all(share.count == 600 * 20 // 6 and share.planned == pytest.approx(1 / 6) for share in queries)
    text = str(explained)
    assert "planned and realised" in text
    assert text.count("16.7%  16.7%") == 12


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
