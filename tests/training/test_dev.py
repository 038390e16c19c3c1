"""Evaluation inside a run over several held-out sets, of which one lacks what a metric needs."""

from pathlib import Path

import pytest

from xlret.data.corpus import ParallelCorpus
from xlret.evaluation.sets import from_corpus
from xlret.model.encoder import Encoder
from xlret.training.dev import DevSets
from xlret.training.shares import Shares


def test_a_set_of_one_language_leaves_the_metrics_across_languages_to_the_others(corpora: Path, encoder: Path) -> None:
    corpus, model = ParallelCorpus.open(corpora / "dev"), Encoder.load(encoder)
    many, one = from_corpus(corpus), from_corpus(corpus, languages=["en"])
    alone, english, both = (DevSets(sets).evaluate(model, Shares(), "float32") for sets in ((many,), (one,), (many, one)))
    assert alone is not None
    assert english is not None
    assert both is not None
    assert both["cr"] == alone["cr"]
    assert both["mo"] == pytest.approx((alone["mo"] + english["mo"]) / 2)
