from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xlret.batches.assemble import Assembled, Assembler, Inputs
from xlret.batches.settings import PlanSettings
from xlret.data.corpus import ParallelCorpus
from xlret.data.hard_negatives import Mined, write_hard_negatives
from xlret.errors import DataError
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.switch.settings import SwitchSettings


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, corpora: Path, lexicon: Path) -> Inputs:
    directory = tmp_path_factory.mktemp("start") / "encoder"
    corpus = ParallelCorpus.open(corpora / "train")
    texts = [text for lang in corpus.languages for text in corpus.passages(lang, np.arange(corpus.n_groups))]
    fresh = FreshEncoder(vocabulary=400, layers=1, hidden=32, heads=2, feed_forward=64)
    start_encoder(EncoderSettings(fresh=fresh, query_prompt="ask: "), lambda: texts, 0).save(directory)
    switch = SwitchSettings(policy="ml", lexicons=(lexicon,), p=0.5)
    return Inputs((corpora / "train",), PlanSettings(batch_size=24), switch, directory)


def words(batch: Assembled, encoder: Encoder) -> list[str]:
    """The texts that the token ids stand for, queries first."""
    found = []
    for side in (batch.queries, batch.passages):
        for ids in np.split(side.ids, np.cumsum(side.lengths)[:-1]):
            found.append(encoder.tokeniser._backend.decode(ids.tolist()))
    return found


def test_a_batch_holds_the_texts_of_the_plan(inputs: Inputs) -> None:
    plain = replace(inputs, switch=SwitchSettings())
    assemble = Assembler(plain)
    encoder = Encoder.load(inputs.tokeniser)
    corpus = ParallelCorpus.open(inputs.corpora[0])
    for step in range(6):
        plan, batch = assemble.plan.step(step), assemble(step, 0, 1)
        queries = [corpus.queries(lang, plan.group[[row]])[0] for row, lang in enumerate(plan.query_lang)]
        passages = [corpus.passages(lang, plan.group[[row]])[0] for row, lang in enumerate(plan.passage_lang)]
        ids, lengths = encoder.tokeniser.ragged(queries, "query")
        assert (batch.queries.ids.tolist(), batch.queries.lengths.tolist()) == (ids.tolist(), lengths.tolist())
        ids, lengths = encoder.tokeniser.ragged(passages, "passage")
        assert (batch.passages.ids.tolist(), batch.passages.lengths.tolist()) == (ids.tolist(), lengths.tolist())
        assert batch.clusters.tolist() == corpus.clusters(plan.group).tolist()
        assert (batch.kind, batch.switched) == (plan.kind, 0)


@pytest.mark.parametrize("world", [2, 3, 4, 8])
def test_the_shares_of_all_workers_are_the_batch_of_one_switched_words_included(inputs: Inputs, world: int) -> None:
    assemble, encoder = Assembler(inputs), Encoder.load(inputs.tokeniser)
    switched = 0
    for step in range(4):
        whole = assemble(step, 0, 1)
        parts = [assemble(step, rank, world) for rank in range(world)]
        for name in ("queries", "passages"):
            together = np.concatenate([getattr(part, name).ids for part in parts])
            assert together.tolist() == getattr(whole, name).ids.tolist()
        assert sum(part.switched for part in parts) == whole.switched
        assert len(words(whole, encoder)) == 48
        switched += whole.switched
    assert switched > 0


def test_the_same_step_is_the_same_batch_in_another_process_state(inputs: Inputs) -> None:
    one, other = Assembler(inputs), Assembler(inputs)
    later = [one(step, 0, 2) for step in (9, 3, 5)]
    for batch in later:
        assert batch.queries.ids.tolist() == other(batch.step, 0, 2).queries.ids.tolist()


def test_switching_changes_english_rows_alone(inputs: Inputs) -> None:
    everything = inputs.switch.model_copy(update={"p": 1.0})
    switched, plain = Assembler(replace(inputs, switch=everything)), Assembler(replace(inputs, switch=SwitchSettings()))
    changed = {True: 0, False: 0}
    for step in range(12):
        plan = plain.plan.step(step)
        pair = [
            np.split(one.queries.ids, np.cumsum(one.queries.lengths)[:-1]) for one in (plain(step, 0, 1), switched(step, 0, 1))
        ]
        for lang, before, after in zip(plan.query_lang, *pair, strict=True):
            changed[lang == "en"] += before.tolist() != after.tolist()
    assert changed[True] > 0
    assert changed[False] == 0


def test_contrast_leaves_the_batch_and_adds_copies_of_its_queries(inputs: Inputs) -> None:
    settings = inputs.switch.model_copy(update={"p": 1.0, "objective": "contrast"})
    contrast = Assembler(replace(inputs, switch=settings))
    only_queries = Assembler(replace(inputs, switch=settings.model_copy(update={"objective": "replace", "side": "query"})))
    plain = Assembler(replace(inputs, switch=SwitchSettings()))
    changed = 0
    for step in range(8):
        batch, clean, copies = contrast(step, 1, 2), plain(step, 1, 2), only_queries(step, 1, 2)
        assert batch.queries.lengths.tolist() == [*clean.queries.lengths, *copies.queries.lengths]
        assert batch.queries.ids.tolist() == [*clean.queries.ids, *copies.queries.ids]
        assert batch.passages.ids.tolist() == clean.passages.ids.tolist()
        assert batch.switched == copies.switched
        changed += clean.queries.ids.tolist() != copies.queries.ids.tolist()
    assert changed > 0


def test_hard_negatives_come_in_the_language_of_their_row_and_absent_ones_are_marked(inputs: Inputs, tmp_path: Path) -> None:
    corpus = ParallelCorpus.open(inputs.corpora[0])
    mined = [Mined(group, [(group + 1) % corpus.n_groups], [0.5]) for group in range(0, corpus.n_groups, 2)]
    write_hard_negatives(corpus.path, tmp_path / "mined", mined, made_by="tests")
    assemble = Assembler(replace(inputs, corpora=(tmp_path / "mined",), switch=SwitchSettings(), hard_negatives=2))
    batch, plan = assemble(1, 0, 1), assemble.plan.step(1)
    encoder = Encoder.load(inputs.tokeniser)
    negatives = np.split(batch.passages.ids, np.cumsum(batch.passages.lengths)[:-1])[24:]
    clusters = batch.negative_clusters.reshape(24, 2)
    assert len(negatives) == 48
    for row, group in enumerate(plan.group):
        assert clusters[row, 1] == -1
        if group % 2:
            assert clusters[row, 0] == -1
            continue
        negative = np.array([(group + 1) % corpus.n_groups])
        assert clusters[row, 0] == corpus.clusters(negative)[0]
        ids, _ = encoder.tokeniser.ragged(corpus.passages(plan.passage_lang[row], negative), "passage")
        assert negatives[2 * row].tolist() == ids.tolist()


@pytest.mark.parametrize("side", ["both", "query"])
def test_hard_negatives_are_switched_where_the_passage_of_their_row_is(inputs: Inputs, tmp_path: Path, side: str) -> None:
    """Otherwise a mix of languages would tell which passage is the right one."""
    corpus = ParallelCorpus.open(inputs.corpora[0])
    mined = [Mined(group, [(group + 1) % corpus.n_groups, (group + 2) % corpus.n_groups], [0.5, 0.4]) for group in range(160)]
    write_hard_negatives(corpus.path, tmp_path / "mined", mined, made_by="tests")
    switch = inputs.switch.model_copy(update={"p": 1.0, "rows": 0.5, "side": side})
    plan = PlanSettings(batch_size=24, regime="mono", languages=("en",))
    some = replace(inputs, corpora=(tmp_path / "mined",), plan=plan, switch=switch, hard_negatives=2)
    assemble, plain = Assembler(some), Assembler(replace(some, switch=SwitchSettings()))
    seen = set()
    for step in range(3):
        before, after = (
            [ids.tolist() for ids in np.split(one.passages.ids, np.cumsum(one.passages.lengths)[:-1])]
            for one in (plain(step, 0, 1), assemble(step, 0, 1))
        )
        changed = [one != other for one, other in zip(before, after, strict=True)]
        for row in range(24):
            assert changed[24 + 2 * row : 26 + 2 * row] == [changed[row]] * 2
            seen.add(changed[row])
        parts = [assemble(step, rank, 3) for rank in range(3)]
        lengths = [np.split(part.passages.lengths, [8]) for part in parts]
        assert [*lengths[0][1], *lengths[1][1], *lengths[2][1]] == [len(ids) for ids in after[24:]]
    assert seen == ({True, False} if side == "both" else {False})


def test_what_cannot_be_assembled_names_step_languages_and_groups(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    assemble = Assembler(inputs)
    monkeypatch.setattr(ParallelCorpus, "queries", lambda *_: 1 / 0)
    with pytest.raises(DataError, match=r"step 3, worker 1: cannot make the batch .* languages .* groups g\d+, .*ZeroDivision"):
        assemble(3, 1, 2)
