"""The texts that a run's report shows: switched ones of every kind of batch, just as training sees them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xlret.batches.assemble import Assembler, Inputs
from xlret.batches.samples import sample_texts
from xlret.batches.settings import PlanSettings
from xlret.switch.settings import SwitchSettings


@pytest.fixture
def inputs(corpora: Path, lexicon: Path, encoder: Path) -> Inputs:
    """Mono batches in four languages, of which one is switched and comes in a quarter of them."""
    switch = SwitchSettings(policy="ml", lexicons=(lexicon,), p=0.5)
    return Inputs((corpora / "train",), PlanSettings(batch_size=24, alpha=0.5), switch, encoder)


def test_every_kind_of_batch_shows_switched_words(inputs: Inputs) -> None:
    assemble = Assembler(inputs)
    samples = sample_texts(assemble, 200)
    assert len(samples) == 2 * 2 * 3 * 2
    for kind in ("mono", "cross"):
        rows = [sample for sample in samples if f", {kind}, " in sample.row]
        assert len({sample.row.split(",")[0] for sample in rows}) == 2
        assert all(query.switched.spans or passage.switched.spans for query, passage in zip(rows[::2], rows[1::2], strict=True))
    steps = [int(sample.row.split()[1].rstrip(",")) for sample in samples]
    assert steps == sorted(steps)
    for sample in samples:
        step, row, side = (
            int(sample.row.split()[1].rstrip(",")),
            int(sample.row.split()[-2].rstrip(",")),
            sample.row.split()[-1],
        )
        plan, queries, passages = assemble.switched_texts(step)
        assert sample.switched == (queries if side == "query" else passages)[row]
        assert sample.lang == (plan.query_lang if side == "query" else plan.passage_lang)[row]


def test_texts_are_those_that_training_sees(inputs: Inputs) -> None:
    assemble = Assembler(inputs)
    batch, (_, queries, _) = assemble(7, 0, 1), assemble.switched_texts(7)
    ids, lengths = assemble._tokeniser.ragged([query.text for query in queries], "query")
    assert np.array_equal(batch.queries.ids, ids)
    assert np.array_equal(batch.queries.lengths, lengths)


def test_where_nothing_is_switched_the_first_batches_are_shown(inputs: Inputs) -> None:
    samples = sample_texts(Assembler(replace(inputs, switch=SwitchSettings())), 200)
    assert len(samples) == 24
    assert not any(sample.switched.spans for sample in samples)
    assert {sample.row.split(", ")[2] for sample in samples} == {"row 0", "row 1", "row 2"}
    only_passages = replace(inputs, switch=inputs.switch.model_copy(update={"side": "passage"}))
    passages = [sample for sample in sample_texts(Assembler(only_passages), 200) if sample.switched.spans]
    assert passages
    assert all(sample.row.endswith("passage") for sample in passages)
