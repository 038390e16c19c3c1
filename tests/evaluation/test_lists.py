import numpy as np
import pytest

from xlret.evaluation.lists import CandidateList, candidate_lists, list_scores
from xlret.evaluation.sets import RetrievalSet

LANGUAGES = ("de", "en", "fr")


@pytest.fixture(scope="module")
def made_up() -> RetrievalSet:
    """Ten groups with a query and a passage in each of three languages; group 9 has no French passage."""
    rows = [(group, lang) for group in range(10) for lang in LANGUAGES]
    passages = [row for row in rows if row != (9, "fr")]
    relevant = {group: np.array([i for i, (other, _) in enumerate(passages) if other == group]) for group in range(10)}
    return RetrievalSet(
        "made up",
        LANGUAGES,
        [f"q{group}/{lang}" for group, lang in rows],
        [lang for _, lang in rows],
        ["?" for _ in rows],
        [f"p{group}/{lang}" for group, lang in passages],
        [lang for _, lang in passages],
        ["." for _ in passages],
        [relevant[group] for group, _ in rows],
        [f"g{group}" for group, _ in rows],
    )


def test_lists_hold_the_answers_first_and_passages_of_the_languages_they_say(made_up: RetrievalSet) -> None:
    lists = candidate_lists(made_up, negatives=5, seed=1)
    assert len({one.query for one in lists}) == 10, "one query of each group"
    kinds = {kind: [one for one in lists if one.kind == kind] for kind in ("mo", "cr", "mul")}
    assert (len(kinds["cr"]), len(kinds["mul"])) == (10, 10)
    for one in lists:
        answers = set(made_up.relevant[one.query].tolist())
        assert [passage in answers for passage in one.passages] == [True] * one.relevant + [False] * 5
        assert len(set(one.passages.tolist())) == len(one.passages)
        own, langs = made_up.query_langs[one.query], {made_up.passage_langs[passage] for passage in one.passages}
        if one.kind == "mul":
            assert one.relevant == len(answers)
        else:
            assert one.relevant == len(langs) == 1
            assert (own in langs) == (one.kind == "mo")


def test_lists_are_drawn_by_the_seed_alone(made_up: RetrievalSet) -> None:
    def drawn(seed: int) -> list[tuple[int, list[int]]]:
        return [(one.query, one.passages.tolist()) for one in candidate_lists(made_up, negatives=5, seed=seed)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_scores_of_the_right_order_are_one_and_equal_scores_earn_nothing(made_up: RetrievalSet) -> None:
    lists = candidate_lists(made_up, negatives=3)
    best = np.concatenate([np.arange(len(one.passages))[::-1] for one in lists]).astype(np.float32)
    assert list_scores(lists, best) == {"mo": 1.0, "cr": 1.0, "mul": 1.0}
    same = list_scores(lists, np.zeros(len(best), np.float32))
    assert (same["mo"], same["cr"]) == (0.25, 0.25)


def test_average_precision_is_that_of_the_ranking() -> None:
    one = CandidateList("mul", 0, np.arange(5), 2)
    assert list_scores([one], np.array([5, 1, 4, 3, 0], np.float32))["mul"] == pytest.approx((1 + 2 / 4) / 2)
    assert np.isnan(list_scores([one], np.zeros(5, np.float32))["mo"])
