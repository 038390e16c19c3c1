"""Retrieval sets of prepared corpora."""

from pathlib import Path

import numpy as np
import pytest

from xlret.data.corpus import ParallelCorpus, Row, write_corpus
from xlret.errors import UserError
from xlret.evaluation.sets import RetrievalSet, from_corpus


def test_a_parallel_corpus_has_every_answer_in_every_language(corpora: Path) -> None:
    corpus = ParallelCorpus.open(corpora / "dev")
    one = from_corpus(corpus)
    assert one.languages == ("de", "en", "fr", "tr")
    assert len(one.query_ids) == len(one.passage_ids) == 160
    for row, answers in enumerate(one.relevant):
        group = one.query_groups[row]
        assert one.query_ids[row] == f"{group}/{one.query_langs[row]}"
        assert [one.passage_ids[place] for place in answers] == [f"{group}/{lang}" for lang in one.languages]
    place = one.query_ids.index("g165/tr")
    group = np.array([corpus.group_ids(np.arange(40)).index("g165")])
    assert one.query_texts[place] == corpus.queries("tr", group)[0]
    assert one.passage_texts[one.passage_ids.index("g165/tr")] == corpus.passages("tr", group)[0]


def test_languages_and_groups_are_chosen_by_the_seed_alone(corpora: Path) -> None:
    corpus = ParallelCorpus.open(corpora / "dev")
    some = from_corpus(corpus, languages=["tr", "eng"], groups=7, seed=3)
    assert some.languages == ("en", "tr")
    assert len(some.query_ids) == 14
    assert some.query_ids == from_corpus(corpus, languages=["en", "tr"], groups=7, seed=3).query_ids
    assert some.query_ids != from_corpus(corpus, languages=["en", "tr"], groups=7, seed=4).query_ids
    assert set(some.query_groups) == set(from_corpus(corpus, languages=["de", "tr"], groups=7, seed=3).query_groups)
    assert len(from_corpus(corpus, groups=1000).query_ids) == 160


@pytest.fixture
def uneven(tmp_path: Path) -> ParallelCorpus:
    """Groups with sides missing, and two that share a passage."""
    rows = [
        Row("only-query", "en", "a question", None, None),
        Row("only-passage", "en", None, None, "a passage that nobody asks for"),
        Row("across", "sw", "swali", None, None),
        Row("across", "en", None, "Title", "the answer in English"),
        Row("twin-1", "en", "first way to ask", None, "the same passage"),
        Row("twin-2", "en", "second way to ask", None, "the same passage"),
        Row("twin-2", "de", "zweite Frage", None, "dieselbe Stelle"),
    ]
    write_corpus(tmp_path / "uneven", rows, source="made up", licence="none", revision="1", made_by="tests")
    return ParallelCorpus.open(tmp_path / "uneven")


def test_one_group_of_a_cluster_and_none_without_both_sides(uneven: ParallelCorpus) -> None:
    one = from_corpus(uneven)
    assert one.passage_texts.count("the same passage") == 1
    assert len(set(one.query_groups)) == 2
    assert {"only-query", "only-passage"}.isdisjoint(one.query_groups)
    place = one.query_ids.index("across/sw")
    assert [one.passage_texts[answer] for answer in one.relevant[place]] == ["Title the answer in English"]
    assert one.passage_langs[one.relevant[place][0]] == "en"


def test_what_a_corpus_lacks_is_named(uneven: ParallelCorpus) -> None:
    with pytest.raises(UserError, match=r"has no fr; it has de, en, sw"):
        from_corpus(uneven, languages=["en", "fr"])
    with pytest.raises(UserError, match="no group has both a query and a passage in sw"):
        from_corpus(uneven, languages=["sw"])


def test_columns_that_do_not_fit_are_refused() -> None:
    fits = {
        "name": "x",
        "languages": ("en",),
        "query_ids": ["q"],
        "query_langs": ["en"],
        "query_texts": ["?"],
        "passage_ids": ["p", "r"],
        "passage_langs": ["en", "en"],
        "passage_texts": ["", ""],
        "relevant": [np.array([0])],
    }
    RetrievalSet(**fits)  # type: ignore[arg-type]
    for change, message in (
        ({"query_langs": []}, "query columns"),
        ({"query_groups": ["a", "b"]}, "query columns"),
        ({"passage_langs": ["en"]}, "passage columns"),
        ({"passage_ids": ["p", "p"]}, "twice"),
    ):
        with pytest.raises(ValueError, match=message):
            RetrievalSet(**{**fits, **change})  # type: ignore[arg-type]
