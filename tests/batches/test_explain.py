"""What a plan says of itself: shares planned and realised, for people and as JSON."""

import json
from collections import Counter

import pytest
from plan_facts import CORPORA, Facts, plan

from xlret.batches.shares import Share


def test_what_to_expect_needs_no_walk_through_the_steps() -> None:
    made = plan(CORPORA["ragged"], alpha=0.3, language_tau=0.5)
    walked, planned = made.explain(10_000_000, walk=False), made.explain(200)
    assert [pair.expected / 50_000 for pair in walked.pairs] == pytest.approx([pair.expected for pair in planned.pairs])
    assert not walked.walked
    assert {pair.rows for pair in walked.pairs} == {0}
    values = json.loads(json.dumps(walked.as_json(), allow_nan=False))
    assert values["alpha"] == {"planned": 0.3, "realised": None}
    assert values["pairs"]["mono"]["en>en"]["realised"] is None


def test_shares_are_those_counted_from_the_steps() -> None:
    made = plan([CORPORA["parallel"], CORPORA["ragged"]], alpha=0.3, seed=2)
    counts: dict[str, Counter[str]] = {}
    for step in map(made.step, range(150)):
        counts.setdefault("kinds", Counter())[step.kind] += 1
        for name, values in (
            (f"{step.kind} query", step.query_lang),
            (f"{step.kind} passage", step.passage_lang),
            (step.kind, [">".join(pair) for pair in zip(step.query_lang, step.passage_lang, strict=True)]),
        ):
            counts.setdefault(name, Counter()).update(values)

    def shares(name: str) -> dict[str, float]:
        return {key: pytest.approx(count / counts[name].total()) for key, count in counts[name].items()}

    def realised(part: tuple[Share, ...]) -> dict[str, float]:
        return {share.name: share.realised for share in part if share.count}

    explained = made.explain(150)
    assert realised(explained.kind_shares) == shares("kinds")
    for part in explained.shares:
        assert realised(part.queries) == shares(f"{part.kind} query")
        assert realised(part.passages) == shares(f"{part.kind} passage")
        assert realised(part.pairs) == shares(part.kind)
        for side in (part.queries, part.passages, part.pairs):
            assert sum(share.planned for share in side) == pytest.approx(1)
    values = explained.as_json()
    assert values["pairs"]["cross"]["en>de"]["count"] == counts["cross"]["en>de"]
    assert values["query_languages"]["mono"]["en"]["realised"] == shares("mono query")["en"]


def test_planned_lines_are_short_however_many_languages() -> None:
    assert plan(CORPORA["parallel"], alpha=0.25).explain(1000, walk=False).planned_lines() == [
        "planned: 1,000 batches of 32 pairs: 75.0% cross, 25.0% mono",
        "  mono: 11 languages, each 9.1%",
        "  cross: 110 pairs, each 0.9%; queries and passages: 11 languages, each 9.1%",
    ]
    half = frozenset(range(200))
    one_way = Facts({"de": half, "fr": half}, {"en": half}, "x")
    assert plan(one_way, regime="cross").explain(10, walk=False).planned_lines()[1:] == [
        "  cross: 2 pairs, each 50.0%",
        "    queries: 2 languages, each 50.0%",
        "    passages: 1 languages, each 100.0%",
    ]
    uneven = plan(CORPORA["ragged"], regime="mono", language_tau=1).explain(10, walk=False).planned_lines()
    assert uneven[1].startswith("  mono: 4 languages: en 43.")
