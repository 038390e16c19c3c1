"""Holding a part of a corpus out: whole clusters, so that what is held out answers nothing of the rest."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.data.corpus import ParallelCorpus
from xlret.data.corpus_write import fill_corpus
from xlret.data.manifest import CorpusManifest
from xlret.data.rows import ReadingReport
from xlret.errors import UserError
from xlret.files import directory_beside
from xlret.keys import generator
from xlret.shapes import IntArray


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
    held_out = held_out_groups(corpus.clusters(np.arange(corpus.n_groups)), dev, seed)
    if not held_out.any() or held_out.all():
        raise UserError(
            f"cannot hold out {dev} of {corpus.n_groups} groups in {corpus.manifest.n_clusters} clusters of {corpus.path}; "
            "allowed is at least the smallest cluster and less than all groups"
        )
    origin, manifests = corpus.manifest, []
    with ExitStack() as directories:
        for path, chosen in ((path_train, ~held_out), (path_dev, held_out)):
            fresh = directories.enter_context(directory_beside(path, replace=replace))
            part = "dev" if path is path_dev else "train"
            made_by = f"{origin.made_by}; {part} part of a split with dev {dev}, seed {seed}"
            rows = corpus.rows(np.flatnonzero(chosen))
            manifests.append(fill_corpus(fresh, rows, ReadingReport(), origin.source, origin.licence, origin.revision, made_by))
    return manifests[0], manifests[1]


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
