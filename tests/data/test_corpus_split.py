"""Splitting a corpus, and corpora with hard negatives."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_corpus import groups_of, write

from xlret.data.corpus import ParallelCorpus, Row
from xlret.data.hard_negatives import Mined, write_hard_negatives
from xlret.data.split import split_corpus
from xlret.errors import UserError


def paged(path: Path) -> ParallelCorpus:
    """60 groups in two languages; every three of them are one page."""
    rows = [
        Row(f"g{g}", lang, f"{lang} q{g}", None, f"{lang} t{g}", f"page {g // 3}") for g in range(60) for lang in ("en", "de")
    ]
    write(path, rows)
    return ParallelCorpus.open(path)


def test_a_split_never_cuts_a_cluster(tmp_path):
    corpus = paged(tmp_path / "all")
    split_corpus(corpus, tmp_path / "train", tmp_path / "dev", 16, seed=5)
    train, dev = ParallelCorpus.open(tmp_path / "train"), ParallelCorpus.open(tmp_path / "dev")
    pages = [{int(one[1:]) // 3 for one in part.group_ids(np.arange(part.n_groups))} for part in (train, dev)]
    assert not pages[0] & pages[1]
    assert (dev.n_groups, train.n_groups) == (15, 45)
    assert (dev.manifest.n_clusters, train.manifest.n_clusters) == (5, 15)
    assert dev.queries("de", groups_of(dev, dev.group_ids(np.array([0]))[0])) == [f"de q{dev.group_ids(np.array([0]))[0][1:]}"]
    assert "dev 16, seed 5" in dev.manifest.made_by


def test_a_split_depends_on_its_seed_alone(tmp_path):
    corpus = paged(tmp_path / "all")
    prints = []
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        prints.append(split_corpus(corpus, tmp_path / f"{name}-t", tmp_path / f"{name}-d", 15, seed=seed)[1].fingerprint)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("dev", [0, 2, 60, 1000])
def test_impossible_splits_write_nothing(tmp_path, dev):
    corpus = paged(tmp_path / "all")
    with pytest.raises(UserError, match=f"cannot hold out {dev} of 60 groups in 20 clusters"):
        split_corpus(corpus, tmp_path / "train", tmp_path / "dev", dev, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["all"]


def test_a_split_into_an_existing_directory_changes_neither(tmp_path):
    corpus = paged(tmp_path / "all")
    (tmp_path / "dev").mkdir()
    with pytest.raises(UserError, match="exists already"):
        split_corpus(corpus, tmp_path / "train", tmp_path / "dev", 15, seed=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "dev"]


def test_hard_negatives_make_a_new_corpus(tmp_path):
    corpus = paged(tmp_path / "all")
    with pytest.raises(UserError, match="holds no hard negatives"):
        corpus.hard_negatives(np.array([0]), 2)
    before = corpus.fingerprint
    write_hard_negatives(
        tmp_path / "all",
        tmp_path / "mined",
        [Mined(5, [9, 30, 2], [0.9, 0.8, 0.8], 1.5), Mined(0, [7], [0.5])],
        made_by="miner 1",
    )
    mined = ParallelCorpus.open(tmp_path / "mined")
    assert mined.has_hard_negatives
    assert mined.hard_negatives(np.array([5, 1, 0, 5]), 2).tolist() == [[9, 30], [-1, -1], [7, -1], [9, 30]]
    assert mined.hard_negatives(np.array([5]), 5).tolist() == [[9, 30, 2, -1, -1]]
    scores = mined.hard_negative_scores(np.array([5, 1, 0]), 2)
    np.testing.assert_allclose(scores, [[1.5, 0.9, 0.8], [np.nan] * 3, [np.nan, 0.5, np.nan]], rtol=1e-6)
    assert mined.passages("de", np.array([3])) == corpus.passages("de", np.array([3]))
    assert mined.fingerprint != before == ParallelCorpus.open(tmp_path / "all").fingerprint
    assert not ParallelCorpus.open(tmp_path / "all").has_hard_negatives
    assert mined.manifest.made_by.endswith("miner 1")
    with pytest.raises(UserError, match="split first"):
        split_corpus(mined, tmp_path / "t", tmp_path / "d", 15, 0)


def test_hard_negatives_may_replace_those_of_the_corpus_itself(tmp_path):
    paged(tmp_path / "all")
    write_hard_negatives(tmp_path / "all", tmp_path / "all", [Mined(5, [9], [0.9])], made_by="one", replace=True)
    write_hard_negatives(tmp_path / "all", tmp_path / "all", [Mined(5, [11], [0.7])], made_by="two", replace=True)
    assert ParallelCorpus.open(tmp_path / "all").hard_negatives(np.array([5, 9]), 1).tolist() == [[11], [-1]]


def test_hard_negatives_copy_where_links_are_not_allowed(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    paged(tmp_path / "all")
    write_hard_negatives(tmp_path / "all", tmp_path / "mined", [], made_by="one")
    shutil.rmtree(tmp_path / "all")
    assert ParallelCorpus.open(tmp_path / "mined").hard_negatives(np.array([5]), 1).tolist() == [[-1]]


@pytest.mark.parametrize(
    ("mined", "message"),
    [
        ([(60, [1], [0.1])], "does not exist"),
        ([(0, [60], [0.1])], "does not exist"),
        ([(0, [-1], [0.1])], "does not exist"),
        ([(0, [9], [0.1]), (0, [12], [0.1])], "group 0 comes twice"),
        ([(0, [9, 0], [0.2, 0.1])], "own cluster"),
        ([(0, [9, 1], [0.2, 0.1])], "own cluster"),
        ([(0, [9, 12], [0.1, 0.2])], "best first"),
        ([(0, [9], [])], "1 negatives and 0 scores"),
    ],
)
def test_impossible_hard_negatives_are_refused(tmp_path, mined, message):
    paged(tmp_path / "all")
    with pytest.raises(UserError, match=message):
        write_hard_negatives(tmp_path / "all", tmp_path / "mined", [Mined(*entry) for entry in mined], made_by="tests")
    assert [path.name for path in tmp_path.iterdir()] == ["all"]
