"""Translations beside the texts of a batch: of the right group and language, the same however the batch is shared out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_corpus import groups_of, small

from xlret.batches.assemble import Assembled, Assembler, Inputs
from xlret.batches.parallel import ParallelInputs, parallel_languages
from xlret.batches.settings import PlanSettings
from xlret.data.corpus import ParallelCorpus
from xlret.data.teacher import Teacher, write_teacher
from xlret.errors import CorruptError, UserError
from xlret.switch.settings import SwitchSettings
from xlret.text.sides import SIDES, Side
from xlret.tokens.texts import Tokeniser


def lengths(texts: list[str], side: Side) -> np.ndarray:
    """A teacher whose vectors say how long a text is and which side it has."""
    return np.array([[len(text), 1 + (side == "query")] for text in texts], dtype=np.float32)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, corpora: Path, encoder: Path) -> Inputs:
    path = tmp_path_factory.mktemp("teacher") / "vectors"
    write_teacher(path, ParallelCorpus.open(corpora / "train"), "en", {}, lengths)
    parallel = ParallelInputs("en", SIDES, (path,))
    plan = PlanSettings(batch_size=24, exclude=("tr",))
    return Inputs((corpora / "train",), plan, SwitchSettings(), encoder, parallel=parallel)


def test_a_translation_is_the_same_fact_in_the_pivot_language_or_a_drawn_one(inputs: Inputs) -> None:
    assemble, tokeniser = Assembler(inputs), Tokeniser.load(inputs.tokeniser)
    corpus = ParallelCorpus.open(inputs.corpora[0])
    drawn: set[str] = set()
    for step in range(6):
        plan, batch = assemble.plan.step(step), assemble(step, 0, 1)
        texts = np.split(batch.parallel_passages.ids, np.cumsum(batch.parallel_passages.lengths)[:-1])
        for row, lang in enumerate(plan.passage_lang):
            languages = [other for other in ("en", "de", "fr") if other != lang] if lang == "en" else ["en"]
            group = plan.group[[row]]
            ids = {other: tokeniser.ragged(corpus.passages(other, group), "passage")[0].tolist() for other in languages}
            chosen = [other for other in languages if ids[other] == texts[row].tolist()]
            assert len(chosen) == 1, "never its own language, never an excluded one"
            drawn |= set(chosen) if lang == "en" else set()
        assert batch.parallel_query_known.tolist() == [1] * 24
    assert drawn == {"de", "fr"}


@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_of_all_workers_are_the_batch_of_one(inputs: Inputs, world: int) -> None:
    assemble = Assembler(inputs)
    for step in range(3):
        whole, shares = assemble(step, 0, 1), [assemble(step, rank, world) for rank in range(world)]
        for name in ("parallel_queries", "parallel_passages"):
            joined = np.concatenate([getattr(share, name).ids for share in shares])
            assert joined.tolist() == getattr(whole, name).ids.tolist()
        for name in ("parallel_query_known", "teacher_queries", "teacher_passages"):
            assert np.concatenate([getattr(share, name) for share in shares]).tolist() == getattr(whole, name).tolist()
        assert whole.tokens == sum(share.tokens for share in shares)


def test_the_pairs_of_a_batch_are_those_without_translations(inputs: Inputs) -> None:
    bare = Assembler(replace(inputs, parallel=None))(2, 0, 1)
    beside = Assembler(inputs)(2, 0, 1)
    assert isinstance(bare, Assembled)
    assert beside.queries.ids.tolist() == bare.queries.ids.tolist()
    assert len(bare.parallel_queries.lengths) == len(bare.teacher_queries) == 0


def test_the_teacher_says_what_it_was_told_of_the_text_in_its_language(inputs: Inputs) -> None:
    assemble = Assembler(inputs)
    plan, batch = assemble.plan.step(1), assemble(1, 0, 1)
    corpus = ParallelCorpus.open(inputs.corpora[0])
    expected = lengths(corpus.queries("en", plan.group), "query")
    assert batch.teacher_queries.reshape(-1, 2).tolist() == expected.tolist()


def test_groups_without_a_translation_have_an_empty_text_and_no_teacher(tmp_path: Path) -> None:
    corpus = small(tmp_path / "corpus")
    groups = groups_of(corpus, "a", "b", "c", "d")
    chosen = [
        parallel_languages(corpus, side, ["en"] * 4, groups, ["de", "en"], "en", (0, 0), 0)  # b and c have no German query
        for side in SIDES
    ]
    assert chosen == [("de", "", "", "de"), ("de", "de", "", "de")]
    write_teacher(tmp_path / "teacher", corpus, "en", {}, lengths)
    vectors = Teacher(tmp_path / "teacher", corpus).vectors("query", groups)
    assert vectors[2].tolist() == [0, 0]
    assert vectors[[0, 1, 3], 1].tolist() == [2, 2, 2]
    write_teacher(tmp_path / "two", corpus, "en", {}, lengths, groups[[3, 2, 0]])
    assert Teacher(tmp_path / "two", corpus).vectors("query", groups[[0, 2, 3]]).tolist() == vectors[[0, 2, 3]].tolist()
    write_teacher(tmp_path / "none", corpus, "en", {}, lambda texts, side: lengths(texts, side).reshape(-1, 2), groups[:0])
    assert Teacher(tmp_path / "none", corpus).dimension == 2, "a corpus that no batch is of"


def test_a_teacher_of_another_corpus_or_damaged_or_of_no_text_is_refused(tmp_path: Path, corpora: Path) -> None:
    corpus = small(tmp_path / "corpus")
    write_teacher(tmp_path / "teacher", corpus, "de", {}, lengths)
    with pytest.raises(UserError, match="vectors of another corpus"):
        Teacher(tmp_path / "teacher", ParallelCorpus.open(corpora / "train"))
    with pytest.raises(UserError, match="no teacher's vectors at"):
        Teacher(tmp_path / "nowhere", corpus)
    with pytest.raises(UserError, match="no text in fr"):
        write_teacher(tmp_path / "french", corpus, "fr", {}, lengths)
    with open(tmp_path / "teacher" / "query.vectors.arrow", "ab") as file:
        file.write(b"more")
    with pytest.raises(CorruptError, match=r"query\.vectors\.arrow is damaged"):
        Teacher(tmp_path / "teacher", corpus)


def test_a_pivot_that_is_not_trained_on_is_refused(inputs: Inputs) -> None:
    with pytest.raises(UserError, match=r"loss\.pivot is tr, which is not trained on; choose one of de, en, fr"):
        Assembler(replace(inputs, parallel=ParallelInputs("tr", SIDES)))
