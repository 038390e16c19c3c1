"""Translate-Test: every text of a set in English words."""

import numpy as np
import pytest

from xlret.errors import UserError
from xlret.evaluation.sets import RetrievalSet
from xlret.evaluation.translate_test import translated
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.translate import WordTranslator


def test_all_texts_but_english_ones_are_translated() -> None:
    lexicon = Lexicon.from_entries({("en", "de"): [Entry("cat", "katze", 1.0), Entry("dog", "hund", 1.0)]})
    one = RetrievalSet(
        "made",
        ("de", "en"),
        ["q1", "q2"],
        ["de", "en"],
        ["Katze ?", "katze ?"],
        ["p1", "p2", "p3"],
        ["de", "de", "en"],
        ["Der Hund.", "Der Hund.", "A hund."],
        [np.array([0]), np.array([2])],
    )
    found = translated(one, WordTranslator(lexicon, "en"))
    assert found.query_texts == ["Cat ?", "katze ?"]
    assert found.passage_texts == ["Der Dog.", "Der Dog.", "A hund."]
    assert (found.query_langs, found.passage_ids, found.relevant) == (one.query_langs, one.passage_ids, one.relevant)
    with pytest.raises(UserError, match="no lexicon from fr into en"):
        WordTranslator(lexicon, "en", ("de", "en", "fr"))
