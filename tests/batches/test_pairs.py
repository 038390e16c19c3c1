from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.batches.assemble import Assembler, Inputs
from xlret.batches.pairs import AssembledPairs, draw_negatives
from xlret.batches.plan import StepPlan
from xlret.batches.settings import PlanSettings
from xlret.data.corpus import ParallelCorpus
from xlret.data.hard_negatives import Mined, write_hard_negatives
from xlret.model.reranker import Reranker, start_reranker
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.switch.settings import SwitchSettings

B = 16


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 5)), min_size=2, max_size=12),
    st.integers(0, 6),
    st.integers(0, 3),
)
def test_negatives_are_rows_of_other_clusters_and_none_twice(rows: list[tuple[str, str, int]], count: int, step: int) -> None:
    query_langs, passage_langs, clusters = (tuple(column) for column in zip(*rows, strict=True))
    plan = StepPlan(step, 0, "cross", query_langs, passage_langs, np.arange(len(rows)))
    everyone = draw_negatives(plan, np.array(clusters), range(len(rows)), count, seed=4)
    for row, drawn in enumerate(everyone):
        others = [other for other in range(len(rows)) if clusters[other] != clusters[row]]
        assert len(set(drawn)) == len(drawn) == min(count, len(others))
        assert set(drawn) <= set(others)
        like = [(passage_langs[other] == query_langs[row]) == (passage_langs[row] == query_langs[row]) for other in others]
        taken = [(passage_langs[other] == query_langs[row]) == (passage_langs[row] == query_langs[row]) for other in drawn]
        assert sum(taken) == min(count, sum(like)), "languages tell nothing as long as there are such passages"
    half = draw_negatives(plan, np.array(clusters), range(len(rows) // 2, len(rows)), count, seed=4)
    for mine, theirs in zip(half, everyone[len(rows) // 2 :], strict=True):
        assert np.array_equal(mine, theirs)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> tuple[Reranker, Path]:
    fresh = FreshEncoder(vocabulary=2000, layers=1, hidden=32, heads=2, feed_forward=64)
    corpus = ParallelCorpus.open(corpora / "train")
    everyone = np.arange(corpus.n_groups)
    texts = [text for lang in corpus.languages for fetch in (corpus.queries, corpus.passages) for text in fetch(lang, everyone)]
    made = start_reranker(EncoderSettings(fresh=fresh), lambda: texts, 0)
    path = tmp_path_factory.mktemp("start") / "reranker"
    made.save(path)
    return made, path


def texts_of(batch: AssembledPairs, reranker: Reranker) -> list[tuple[str, str]]:
    """The texts of the pairs, from their ids."""
    decode = reranker.tokeniser._backend.decode
    found = []
    for ids in np.split(batch.pairs.ids, np.cumsum(batch.pairs.lengths)[:-1]):
        sep = int(np.flatnonzero(ids == 3)[0])
        found.append((decode(ids[:sep].tolist()), decode(ids[sep:].tolist())))
    return found


def test_each_row_has_its_positive_and_the_batch_s_negatives(corpora: Path, reranker: tuple[Reranker, Path]) -> None:
    inputs = Inputs((corpora / "train",), PlanSettings(batch_size=B), SwitchSettings(), reranker[1], 0, 3)
    assemble, corpus = Assembler(inputs), ParallelCorpus.open(corpora / "train")
    for step in range(6):
        plan, batch = assemble.plan.step(step), assemble(step, 0, 1)
        assert isinstance(batch, AssembledPairs)
        assert batch.labels.tolist() == [1, 0, 0, 0] * B
        assert batch.kind == plan.kind
        pairs = texts_of(batch, reranker[0])
        passages = [next(iter(corpus.passages(lang, plan.group[[row]]))) for row, lang in enumerate(plan.passage_lang)]
        for row in range(B):
            query = next(iter(corpus.queries(plan.query_lang[row], plan.group[[row]])))
            mine = pairs[4 * row : 4 * row + 4]
            assert {plainly(one) for one, _ in mine} == {plainly(query)}
            assert plainly(mine[0][1]) == plainly(passages[row])
            wrong = {plainly(one) for _, one in mine[1:]}
            assert len(wrong) == 3
            assert wrong <= {plainly(passages[other]) for other in range(B) if other != row}


def plainly(text: str) -> str:
    return "".join(text.split())


def test_pairs_do_not_depend_on_the_number_of_workers(corpora: Path, lexicon: Path, reranker: tuple[Reranker, Path]) -> None:
    switch = SwitchSettings(policy="ml", lexicons=(lexicon,), p=0.5)
    assemble = Assembler(Inputs((corpora / "train",), PlanSettings(batch_size=B), switch, reranker[1], 0, 4))
    switched = words = 0
    for step in range(5):
        whole, parts = assemble(step, 0, 1), [assemble(step, rank, 4) for rank in range(4)]
        for name in ("ids", "lengths"):
            assert np.array_equal(np.concatenate([getattr(one.pairs, name) for one in parts]), getattr(whole.pairs, name))
        assert np.array_equal(np.concatenate([one.types for one in parts]), whole.types)
        assert (sum(one.words for one in parts), sum(one.switched for one in parts)) == (whole.words, whole.switched)
        switched, words = switched + whole.switched, words + whole.words
    assert 0 < switched < words


def test_hard_negatives_come_on_top_and_absent_ones_are_no_pairs(
    corpora: Path, reranker: tuple[Reranker, Path], tmp_path: Path
) -> None:
    corpus = ParallelCorpus.open(corpora / "train")
    mined = [Mined(group, [(group + 1) % corpus.n_groups], [group / 64], 2.0) for group in range(0, corpus.n_groups, 2)]
    write_hard_negatives(corpus.path, tmp_path / "mined", mined, made_by="tests")
    inputs = Inputs((tmp_path / "mined",), PlanSettings(batch_size=B), SwitchSettings(), reranker[1], 2, 1, reranked=True)
    assemble = Assembler(inputs)
    plan, batch = assemble.plan.step(1), assemble(1, 0, 1)
    assert isinstance(batch, AssembledPairs)
    pairs, labels, scores = iter(texts_of(batch, reranker[0])), iter(batch.labels), iter(batch.teacher_scores.tolist())
    for row, group in enumerate(plan.group):
        mine = [next(pairs) for _ in range(2 + (group % 2 == 0))]
        assert [next(labels) for _ in mine] == [1, *[0] * (len(mine) - 1)]
        of_teacher = [2.0, np.nan, group / 64] if group % 2 == 0 else [np.nan, np.nan]  # sampled ones have no score
        np.testing.assert_array_equal([next(scores) for _ in mine], of_teacher)
        if group % 2 == 0:
            hard = next(iter(corpus.passages(plan.passage_lang[row], np.array([(group + 1) % corpus.n_groups]))))
            assert plainly(mine[-1][1]) == plainly(hard)
    assert next(pairs, None) is next(labels, None) is None
