"""Batch plans: what every step must keep, in every regime, over parallel, ragged, unequal and tiny corpora."""

import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_facts import CORPORA, REGIMES, WORDS, Facts, everything, parallel, plan, ragged, rows

from xlret.batches.settings import AlphaSchedule
from xlret.data.pool import GroupPool
from xlret.errors import UserError


@pytest.mark.parametrize("regime", REGIMES, ids=str)
@pytest.mark.parametrize("name", CORPORA)
def test_every_batch_keeps_the_rules(name: str, regime: dict[str, Any]) -> None:
    corpus = CORPORA[name]
    made = plan(corpus, **regime)
    for t in [*range(150), 10**9, 10**12]:
        step = made.step(t)
        assert (step.step, step.corpus, len(step.group)) == (t, 0, 32)
        assert step.group.dtype == np.int64
        assert len(set(step.group.tolist())) == 32
        for query_lang, passage_lang, group in rows(step):
            assert group in corpus.members(query_lang, passage_lang)
            assert (query_lang != passage_lang) == (step.kind == "cross")
        if step.kind == "mono" or (step.kind == "cross" and made.settings.pair_per == "batch"):
            assert len(set(zip(step.query_lang, step.passage_lang, strict=True))) == 1
        else:
            assert len(set(step.query_lang)) > 1
        allowed = {"hybrid": ("mono", "cross")}.get(made.settings.regime, (made.settings.regime,))
        assert step.kind in allowed
    assert made.explain(150).replaced == 0


@pytest.mark.parametrize("regime", REGIMES, ids=str)
def test_steps_do_not_depend_on_the_order_of_asking(regime: dict[str, Any]) -> None:
    corpora = [CORPORA["parallel"], CORPORA["ragged"]]
    walked, asked, other = (plan(corpora, **regime, seed=seed) for seed in (3, 3, 4))
    in_order = {t: everything(walked.step(t)) for t in range(300)}
    for t in np.random.default_rng(0).permutation(300).tolist():
        assert everything(asked.step(t)) == in_order[t]
    assert sum(everything(other.step(t)) == in_order[t] for t in range(300)) == 0
    assert (walked.fingerprint == asked.fingerprint, walked.fingerprint == other.fingerprint) == (True, False)


@settings(max_examples=60, deadline=None)
@given(
    regime=st.sampled_from(REGIMES),
    batch_size=st.integers(8, 50),
    seed=st.integers(0, 2**63),
    t=st.integers(0, 10**12),
    world=st.sampled_from([1, 2, 3, 4, 8]),
)
def test_workers_tile_the_batch(regime: dict[str, Any], batch_size: int, seed: int, t: int, world: int) -> None:
    step = plan(CORPORA["ragged"], **regime, batch_size=batch_size, seed=seed).step(t)
    parts = [step.worker(rank, world) for rank in range(world)]
    assert [row for part in parts for row in rows(part)] == rows(step)
    assert {(part.step, part.corpus, part.kind) for part in parts} == {(t, 0, step.kind)}
    assert max(len(part.group) for part in parts) - min(len(part.group) for part in parts) <= 1


@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("regime", ["mono", "cross"])
def test_whole_batches_walk_a_pool_without_replacement(name: str, regime: str) -> None:
    corpus = CORPORA[name]
    made = plan(corpus, regime=regime, pair_per="batch", batch_size=32)
    walked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for t in range(2000):
        step = made.step(t)
        walked[step.query_lang[0], step.passage_lang[0]] += step.group.tolist()
    assert len(walked) == len(corpus.languages) * (1 if regime == "mono" else len(corpus.languages) - 1)
    epochs = 0
    for pair, groups in walked.items():
        per_epoch = len(corpus.members(*pair)) // 32 * 32
        orders = [groups[i : i + per_epoch] for i in range(0, len(groups), per_epoch)]
        for order in orders:
            assert len(set(order)) == len(order)
        assert len({tuple(order) for order in orders}) == len(orders)
        epochs += len(orders) - 1
    assert epochs > 0


@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("regime", ["mixed", "cross"])
@pytest.mark.parametrize("tau", [0, 0.7])
def test_single_rows_walk_a_pool_without_replacement(name: str, regime: str, tau: float) -> None:
    """At the end of each window of 64 batches a pool was walked through some number of times, and a part of one more time."""
    corpus = CORPORA[name]
    made = plan(corpus, regime=regime, language_tau=tau, batch_size=24)
    used: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    most = 0
    for t in range(64 * 20):
        for query_lang, passage_lang, group in rows(made.step(t)):
            used[query_lang, passage_lang][group] += 1
        if t % 64 == 63:
            for pair, counts in used.items():
                epochs = counts.total() // len(corpus.members(*pair))
                assert set(counts.values()) <= {epochs, epochs + 1}
                assert epochs == 0 or len(counts) == len(corpus.members(*pair))
                most = max(most, epochs)
    assert most > 0
    assert made.explain(64 * 20).replaced == 0


def test_single_rows_meet_a_pool_in_a_new_order_each_epoch() -> None:
    """A window takes half of each pool here: another half in each epoch."""
    made = plan(parallel(1024, ("en", "th")), regime="cross", batch_size=16)
    halves = [{row for t in range(64 * w, 64 * w + 64) for row in rows(made.step(t))} for w in range(0, 12, 2)]
    assert all(len(half) == 1024 for half in halves)
    assert all(abs(len(one & two) - 512) < 5 * 16 for one, two in pairwise(halves))


def test_languages_can_be_chosen_and_left_out() -> None:
    made = plan(CORPORA["parallel"], languages=("en", "deu", "tr"), exclude=("tr",))
    langs = {lang for t in range(100) for lang in (*made.step(t).query_lang, *made.step(t).passage_lang)}
    assert langs == {"en", "de"}


@pytest.mark.parametrize("groups", [32, 33, 64])
@pytest.mark.parametrize("regime", ["mixed", "cross"])
def test_as_few_groups_as_rows(groups: int, regime: str) -> None:
    """Where a batch needs (nearly) every group, some draws must be replaced; the rules hold and the plan says how many."""
    corpus = parallel(groups, WORDS)
    made = plan(corpus, regime=regime)
    counts: Counter[int] = Counter()
    for t in range(128):
        step = made.step(t)
        assert len(set(step.group.tolist())) == 32
        assert all((one == two) == (regime == "mixed") for one, two, _ in rows(step))
        counts.update(step.group.tolist())
    found = made.explain(128)
    assert (found.replaced > 0) == (groups < 64)
    assert found.replaced < 0.1 * 128 * 32
    assert len(counts) == groups


def test_no_group_keeps_to_the_same_row() -> None:
    """Rows decide which worker gets them. By chance, half a row in 32 holds the group that it held in the batch before."""
    made = plan(parallel(64, WORDS), regime="cross")
    batches = [made.step(t).group for t in range(64)]
    same = sum(int((one == two).sum()) for one, two in pairwise(batches))
    assert abs(same - 63 / 2) < 5 * (63 / 2) ** 0.5


def test_a_full_pool_hands_its_rows_to_other_pairs() -> None:
    """de-en has 8 groups and 8 rows a batch on average; where it cannot give a distinct group, another pair does."""
    many, few = frozenset(range(500)), frozenset(range(8))
    corpus = Facts({"de": few, "fr": many, "es": many, "it": many}, {"en": many}, "full")
    made = plan(corpus, regime="cross")
    for t in range(256):
        step = made.step(t)
        assert len(set(step.group.tolist())) == 32
        assert all(group in corpus.members(one, two) for one, two, group in rows(step))
    de = next(one for one in made.explain(256).pairs if one.query_lang == "de")
    assert 0.9 * de.expected < de.rows <= 8 * 256


def test_a_pool_of_one_group_is_used_as_often_as_its_weight_says() -> None:
    corpus = Facts({"de": frozenset([3]), "fr": frozenset(range(300))}, {"en": frozenset(range(300))}, "one")
    found = plan(corpus, regime="cross", language_tau=1, batch_size=16).explain(3200)
    de = next(one for one in found.pairs if one.query_lang == "de")
    assert abs(de.rows - 3200 * 16 / 301) < 5 * (3200 * 16 / 301) ** 0.5
    assert found.replaced == 0


def test_small_pools_are_an_error_or_are_left_out() -> None:
    corpus = Facts(
        *[{"de": frozenset(range(100)), "fr": frozenset(range(70)), "tr": frozenset(range(9))}] * 2, path=Path("my/corpus")
    )
    with pytest.raises(
        UserError, match=r"my/corpus.*the tr pool for mono batches has 9 groups, fewer than the batch of 32.*small_pools"
    ):
        plan(corpus, regime="mono")
    with pytest.raises(UserError, match=r"the de-tr pool.* 9 groups.*and 3 more"):
        plan(corpus, regime="cross", pair_per="batch")
    made = plan(corpus, alpha=0.5, pair_per="batch", small_pools="drop")
    found = made.explain(200)
    assert {(one.query_lang, one.passage_lang) for one in found.pairs if one.rows} == {
        (one, two) for one in ("de", "fr") for two in ("de", "fr")
    }
    assert len(found.dropped) == 5
    by_example = plan(corpus, regime="cross").explain(200)
    assert all(one.rows for one in by_example.pairs)
    assert len(by_example.pairs) == 6


def test_a_pool_that_cannot_fill_its_part_is_an_error_or_is_left_out() -> None:
    corpus = Facts({"de": frozenset(range(5)), "fr": frozenset(range(300))}, {"en": frozenset(range(300))})
    with pytest.raises(UserError, match=r"de-en pool for cross batches has 5 groups, fewer than its mean of 16.0 rows"):
        plan(corpus, regime="cross")
    assert [one.query_lang for one in plan(corpus, regime="cross", small_pools="drop").explain(10).pairs] == ["fr"]


def test_a_corpus_that_is_too_small_is_an_error_or_is_left_out() -> None:
    corpora = [parallel(200, ("en", "de"), "enough"), parallel(20, WORDS, "tiny")]
    with pytest.raises(UserError, match="corpus tiny has 20 groups for cross batches, fewer than the batch of 32"):
        plan(corpora, regime="cross")
    made = plan(corpora, regime="cross", small_pools="drop")
    assert all(made.step(t).corpus == 0 for t in range(50))
    assert [sentence for sentence in made.explain(1).dropped if "tiny" in sentence]


def test_what_cannot_be_planned_is_said_in_one_line() -> None:
    one_language, one_way = parallel(100, ("en",)), Facts({"de": frozenset(range(100))}, {"en": frozenset(range(100))})
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ([], {}, "at least one corpus"),
        (
            one_language,
            {"regime": "cross"},
            "regime cross needs cross batches, but no group of parallel.*plan.regime mono or mixed",
        ),
        (one_language, {"alpha": 0.9}, "regime hybrid needs cross batches"),
        (one_way, {"regime": "mono"}, "regime mono needs mono batches.*same language"),
        (one_way, {"alpha": 0.1}, "regime hybrid needs mono batches"),
        (one_way, {"regime": "mixed"}, "regime mixed needs mixed batches"),
        (one_way, {"languages": ("de", "sw")}, r"plan.languages: no corpus has sw; the corpora have de, en"),
        (one_way, {"exclude": ("tr",)}, r"plan.exclude: no corpus has tr"),
        (one_way, {"exclude": ("de", "en")}, "leaves no language"),
        (parallel(20, ("en", "de")), {"regime": "mixed"}, "20 groups for mixed batches, fewer than the batch of 32"),
        (
            [parallel(90, ("en", "de"), "p"), one_way],
            {"regime": "mono"},
            "corpus facts has no pair for regime mono among de, en",
        ),
        (parallel(20, ("en", "de")), {"regime": "mono", "small_pools": "drop"}, "Left out: .*20 groups.* 20 groups"),
    ]
    for corpora, values, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            plan(corpora, **values)
        assert "\n" not in str(caught.value)


def test_alpha_at_its_ends_needs_one_kind_only() -> None:
    one_way = Facts({"de": frozenset(range(100))}, {"en": frozenset(range(100))})
    assert {plan(one_way, alpha=0.0).step(t).kind for t in range(100)} == {"cross"}
    assert {plan(parallel(100, ("en",)), alpha=1.0).step(t).kind for t in range(100)} == {"mono"}


def test_steps_and_workers_out_of_range() -> None:
    made = plan(CORPORA["parallel"])
    for t in (-1, 2**62):
        with pytest.raises(UserError, match="step is"):
            made.step(t)
    for rank, world in ((-1, 2), (2, 2), (0, 0), (0, 33)):
        with pytest.raises(UserError, match="worker"):
            made.step(0).worker(rank, world)
    for steps, start in ((0, 0), (1, -1)):
        with pytest.raises(UserError, match="explain needs"):
            made.explain(steps, start)


def test_a_batch_belongs_to_its_asker() -> None:
    made = plan(CORPORA["parallel"], regime="cross")
    before = made.step(5).group.copy()
    made.step(5).group[:] = 0
    assert np.array_equal(made.step(5).group, before)


def test_far_steps_cost_what_the_first_ones_do() -> None:
    """Generous: far steps would take years if they walked there."""
    near, far = (float("inf"),) * 2
    for _ in range(3):
        made = plan(CORPORA["parallel"], alpha=AlphaSchedule(start=1, end=0.5, steps=10**10))
        for start in (0, 10**9):
            begin = time.perf_counter()
            for t in range(start, start + 256):
                made.step(t)
            taken = time.perf_counter() - begin
            near, far = (min(near, taken), far) if start == 0 else (near, min(far, taken))
    assert far < 10 * near


def test_pools_are_asked_for_once_and_text_never(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[tuple[str, str]] = Counter()
    whole = Facts.pool

    def counted(self: Facts, query_lang: str, passage_lang: str) -> GroupPool:
        asked[query_lang, passage_lang] += 1
        return whole(self, query_lang, passage_lang)

    monkeypatch.setattr(Facts, "pool", counted)
    made = plan(CORPORA["parallel"])
    for t in range(300):
        made.step(t)
    assert len(asked) == 121
    assert set(asked.values()) == {1}


def test_explanation_reads_well() -> None:
    text = str(
        plan(ragged({"en": 300, "de": 200, "tr": 60}, 0.6), alpha=0.25, language_tau=1, small_pools="drop").explain(
            640, start=64
        )
    )
    assert "Steps 64 to 704, batches of 32" in text
    assert "Alpha 0.2500, expected 0.2500; 0 rows replaced." in text
    assert "left out: corpus ragged: the tr pool for mono batches has" in text
    assert max(map(len, text.splitlines())) <= 120


def test_batches_are_what_they_always_were() -> None:
    """A change here changes runs that are resumed: raise `_VERSION` in xlret/batches/plan.py with it."""
    made = plan(CORPORA["parallel"], batch_size=3, seed=1)
    assert [everything(made.step(t)) for t in (0, 1, 10**9)] == [
        (0, 0, "cross", [("el", "hi", 183), ("zh", "hi", 58), ("en", "vi", 194)]),
        (1, 0, "cross", [("zh", "el", 28), ("ru", "th", 155), ("es", "el", 147)]),
        (10**9, 0, "mono", [("es", "es", 238), ("es", "es", 135), ("es", "es", 74)]),
    ]


def test_a_choice_of_alpha_draws_left_older_plans_their_fingerprints() -> None:
    made = plan(CORPORA["parallel"], batch_size=3, seed=1)
    assert made.fingerprint == "1021f97459d411bc23d7a463dade46b9"  # before there was `alpha_draw`
    stratified = [plan(CORPORA["parallel"], batch_size=3, seed=1, alpha_draw="stratified", alpha_block=k) for k in (8, 10)]
    assert len({made.fingerprint, *(other.fingerprint for other in stratified)}) == 3


def test_a_stratified_plan_draws_within_each_kind_what_the_other_does() -> None:
    """Which steps are monolingual differs; the k-th batch of a kind is the same."""
    walked: dict[str, dict[str, list[Any]]] = {}
    for draw in ("bernoulli", "stratified"):
        made = plan(CORPORA["ragged"], alpha=0.3, alpha_draw=draw, seed=5)
        walked[draw] = {"mono": [], "cross": []}
        for step in map(made.step, range(200)):
            walked[draw][step.kind].append(rows(step))
    assert len(walked["stratified"]["mono"]) == 60
    for kind in ("mono", "cross"):
        assert all(left == right for left, right in zip(walked["bernoulli"][kind], walked["stratified"][kind], strict=False))
