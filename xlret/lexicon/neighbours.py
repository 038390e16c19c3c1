"""Nearest neighbours between two sets of unit vectors, by cosine or CSLS, through exact FAISS search."""

from typing import Any, Literal

import numpy as np

from xlret.errors import UserError
from xlret.shapes import FloatMatrix, IntArray

Method = Literal["csls", "cosine"]
CSLS_NEIGHBOURS = 10
"""k of CSLS, as Conneau et al. have it."""


def nearest(
    source_ND: FloatMatrix, target_MD: FloatMatrix, count: int, method: Method = "csls"
) -> tuple[FloatMatrix, IntArray]:
    """Scores and rows of the `count` nearest targets of each source vector, nearest first; both [N, count].

    cosine: the inner product of unit vectors, as the code-switching paper has it. csls: 2 cos(x, y) - r(x) - r(y), with
    r the mean cosine to the 10 nearest of the other side, which takes away the lead of vectors that are near to
    everything (Conneau et al. 2018, arXiv 1710.04087, section 2.3). Both are exact; memory is one copy of the targets.

    Raises:
        UserError: FAISS is not installed.
    """
    count = min(count, len(target_MD))
    if method == "cosine":
        return _search(source_ND, target_MD, count)
    hub_N, hub_M = _hubness(source_ND, target_MD), _hubness(target_MD, source_ND)
    # 2 cos(x, y) - r(y) is the inner product of (x, 1) and (2 y, -r(y)).
    scores_NK, rows_NK = _search(
        np.column_stack([source_ND, np.ones(len(source_ND), np.float32)]), np.column_stack([2 * target_MD, -hub_M]), count
    )
    return scores_NK - hub_N[:, None], rows_NK


def mutual_pairs(source_ND: FloatMatrix, target_MD: FloatMatrix, method: Method = "csls") -> tuple[IntArray, IntArray]:
    """Rows (source, target) that are each other's nearest."""
    forth = nearest(source_ND, target_MD, 1, method)[1][:, 0]
    back = nearest(target_MD, source_ND, 1, method)[1][:, 0]
    rows = np.flatnonzero(back[forth] == np.arange(len(forth)))
    return rows, forth[rows]


def _hubness(vectors_ND: FloatMatrix, others_MD: FloatMatrix) -> FloatMatrix:
    """Mean cosine of each vector to its nearest among the others, [N]."""
    scores_NK, _ = _search(vectors_ND, others_MD, min(CSLS_NEIGHBOURS, len(others_MD)))
    mean_N: FloatMatrix = scores_NK.mean(axis=1, dtype=np.float32)
    return mean_N


def _search(queries_ND: FloatMatrix, base_MD: FloatMatrix, count: int) -> tuple[FloatMatrix, IntArray]:
    index = _faiss().IndexFlatIP(base_MD.shape[1])
    index.add(np.ascontiguousarray(base_MD, np.float32))
    scores_NK, rows_NK = index.search(np.ascontiguousarray(queries_ND, np.float32), count)
    return scores_NK, rows_NK


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise UserError("inducing a lexicon searches with FAISS: pip install 'xlret[search]'") from error
    return faiss
