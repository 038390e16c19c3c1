"""Bringing two monolingual word-vector spaces together with a seed dictionary: orthogonal Procrustes, refined."""

from collections.abc import Sequence

import numpy as np

from xlret.errors import UserError
from xlret.lexicon.neighbours import mutual_pairs
from xlret.lexicon.word_vectors import WordVectors
from xlret.shapes import FloatMatrix

Pairs = Sequence[tuple[str, str]]


def aligned(source: WordVectors, target: WordVectors, seed: Pairs, *, rounds: int = 5, common: int = 20_000) -> WordVectors:
    """The source's vectors turned into the target's space.

    The rotation W that minimises |X W - Y| over the seed pairs is U V' of the singular value decomposition of X' Y
    (Schoenemann 1966; Xing et al. 2015). Each further round takes as pairs the mutual nearest neighbours by CSLS among
    the commonest words (Conneau et al. 2018, arXiv 1710.04087).

    Args:
        source, target: vectors of length 1 and one dimension.
        seed: folded (source word, target word); pairs with an unknown word are left out.
        rounds: refinements after the first fit.
        common: how many of the commonest words a refinement looks at.

    Raises:
        UserError: dimensions differ, or fewer than 5 seed pairs are known.
    """
    if source.vectors_WD.shape[1] != target.vectors_WD.shape[1]:
        raise UserError(
            f"vectors of {source.lang} have {source.vectors_WD.shape[1]} dimensions, those of {target.lang} "
            f"{target.vectors_WD.shape[1]}; both must have as many"
        )
    rows, columns = ({word: n for n, word in enumerate(vectors.words)} for vectors in (source, target))
    known = np.array(
        [(rows[word], columns[translation]) for word, translation in seed if word in rows and translation in columns],
        dtype=np.int64,
    )
    if len(known) < 5:
        raise UserError(f"only {len(known)} of {len(seed)} seed pairs are among the word vectors; at least 5 are needed")
    rotation_DD = procrustes(source.vectors_WD[known[:, 0]], target.vectors_WD[known[:, 1]])
    for _ in range(rounds):
        turned = source.vectors_WD[:common] @ rotation_DD
        source_rows, target_rows = mutual_pairs(turned, target.vectors_WD[:common])
        if not len(source_rows):
            break
        rotation_DD = procrustes(source.vectors_WD[source_rows], target.vectors_WD[target_rows])
    return WordVectors(source.lang, source.words, source.vectors_WD @ rotation_DD)


def procrustes(source_ND: FloatMatrix, target_ND: FloatMatrix) -> FloatMatrix:
    """The orthogonal matrix [D, D] that brings `source_ND` nearest to `target_ND`."""
    left, _, right = np.linalg.svd(source_ND.T.astype(np.float64) @ target_ND.astype(np.float64))
    rotation_DD: FloatMatrix = (left @ right).astype(np.float32)
    return rotation_DD
