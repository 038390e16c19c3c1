"""Holding a part of a corpus out: whole clusters, so that what is held out answers nothing of the rest."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.calls import in_turn
from xlret.data.corpus import ParallelCorpus
from xlret.data.corpus_write import Provenance, fill_corpora
from xlret.data.manifest import CorpusManifest
from xlret.data.rows import ReadingReport, Row
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.keys import generator
from xlret.shapes import IntArray

PARTS = ("train", "dev")


def split_corpus(
    corpus: ParallelCorpus, path_train: Path, path_dev: Path, dev: int, seed: int, replace: bool = False
) -> tuple[CorpusManifest, CorpusManifest]:
    """Writes a corpus as two: about `dev` held-out groups, and the rest. Never part of a cluster on either side.

    Clusters are drawn in an order that depends on `seed` alone, and taken while they fit into `dev` groups.

    Raises:
        UserError: `dev` leaves nothing to train on or no cluster is that small, hard negatives (mine them after
            splitting), or one of the paths exists and `replace` is false.
    """
    if corpus.has_hard_negatives:
        raise UserError(f"{corpus.path} holds hard negatives, which a split would break; split first, then mine")
    groups_of_each = train_and_dev(corpus.clusters(np.arange(corpus.n_groups)), dev, seed, str(corpus.path))
    origin, manifests = corpus.manifest, []
    with ExitStack() as directories:
        for path, part, chosen in zip((path_train, path_dev), PARTS, groups_of_each, strict=True):
            fresh = directories.enter_context(directory_beside(path, replace=replace))
            about = Provenance(origin.source, origin.licence, origin.revision, made_by(origin.made_by, part, dev, seed))
            rows = partial(_rows, corpus, chosen)
            manifests += fill_corpora(fresh, [rows], ReadingReport(), None, in_turn, [(fresh, about)], None)
    return manifests[0], manifests[1]


def _rows(corpus: ParallelCorpus, groups: IntArray, report: ReadingReport) -> Iterator[Row]:
    return corpus.rows(groups)


def made_by(origin: str, part: str, dev: int, seed: int) -> str:
    """What a part of a split says made it."""
    return f"{origin}; {part} part of a split with dev {dev}, seed {seed}"


def train_and_dev(clusters: IntArray, dev: int, seed: int, name: str) -> list[IntArray]:
    """The groups of train and those held out, ascending.

    Args:
        clusters: of each group.
        dev: about how many are held out.
        seed: of the draw.
        name: of the corpus, for messages.

    Raises:
        UserError: `dev` leaves nothing to train on, or no cluster is that small.
    """
    held_out = held_out_groups(clusters, dev, seed)
    if not held_out.any() or held_out.all():
        raise UserError(
            f"cannot hold out {dev} of {len(clusters)} groups in {len(np.unique(clusters))} clusters of {name}; "
            "allowed is at least the smallest cluster and less than all groups"
        )
    return [np.flatnonzero(~held_out), np.flatnonzero(held_out)]


def held_out_groups(clusters: IntArray, dev: int, seed: int) -> NDArray[np.bool_]:
    """Which groups are held out: whole clusters, drawn in an order of `seed`, taken while they fit into `dev` groups.

    >>> held_out_groups(np.array([0, 0, 0, 3, 4]), 2, seed=1).tolist()
    [False, False, False, True, True]
    """
    _, cluster, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    taken = np.zeros(len(sizes), dtype=np.bool_)
    for number in generator(seed, "dev split").permutation(len(sizes)):
        if sizes[number] <= dev:
            taken[number] = True
            dev -= int(sizes[number])
    held_out: NDArray[np.bool_] = taken[cluster]
    return held_out
