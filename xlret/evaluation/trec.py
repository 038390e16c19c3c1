"""TREC run and qrels files, so that trec_eval and its kin can check every number."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.evaluation.retrieve import Retrieved
from xlret.evaluation.sets import RetrievalSet

_IN_AN_ID = re.compile(r"[\s%]")
Scores = NDArray[np.float32]


def write_run(path: Path, retrieval_set: RetrievalSet, retrieved: Retrieved, *, depth: int = 1000, tag: str = "xlret") -> None:
    """Writes the best `depth` passages of each query as `query Q0 passage rank score tag`.

    trec_eval ignores the rank and breaks ties by passage id, last first. So that it sees our order, a score that is not
    below the one before it is written as the next smaller float32. Rankings end at `depth` (or where `retrieved` was cut):
    metrics of deeper ranks, such as un-truncated mAP, come out lower from the file than from `evaluate`. Some 60 bytes a line.
    """
    with open(path, "w", encoding="utf-8") as file:
        passage_ids = [written_id(passage_id) for passage_id in retrieval_set.passage_ids]
        for row, query_id in enumerate(map(written_id, retrieval_set.query_ids)):
            length = min(depth, int(np.count_nonzero(retrieved.top_QK[row] >= 0)))
            scores = strictly_falling(retrieved.top_scores_QK[row, :length])
            ranked = zip(retrieved.top_QK[row, :length].tolist(), scores.tolist(), strict=True)
            file.writelines(
                f"{query_id} Q0 {passage_ids[passage]} {rank} {score:.9g} {tag}\n"
                for rank, (passage, score) in enumerate(ranked, start=1)
            )


def write_qrels(path: Path, retrieval_set: RetrievalSet) -> None:
    """Writes what was judged of each query as `query 0 passage grade`, whole grades without a point."""
    with open(path, "w", encoding="utf-8") as file:
        for query_id, judged in zip(retrieval_set.query_ids, retrieval_set.judged, strict=True):
            file.writelines(
                f"{written_id(query_id)} 0 {written_id(retrieval_set.passage_ids[passage])} {grade:g}\n"
                for passage, grade in zip(judged.passages, judged.grades, strict=True)
            )


def strictly_falling(scores_K: Scores) -> Scores:
    """Falling float32 scores with ties broken by the smallest possible steps down.

    >>> strictly_falling(np.array([1, 1, 0.5], np.float32)).tolist()
    [1.0, 0.9999999403953552, 0.5]
    """
    falling = np.array(scores_K, dtype=np.float32)
    for position in np.flatnonzero(np.diff(falling) >= 0) + 1:
        while position < len(falling) and falling[position] >= falling[position - 1]:
            falling[position] = np.nextafter(falling[position - 1], np.float32(-np.inf))
            position += 1
    return falling


def written_id(identifier: str) -> str:
    """An id without white space: white space and % as %XX of its UTF-8 bytes."""
    return _IN_AN_ID.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), identifier)
