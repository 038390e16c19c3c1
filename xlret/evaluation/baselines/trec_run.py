"""The ranking of a TREC run, whoever made it, as scores of a retrieval set."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from xlret.data.read import read_lines
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError
from xlret.evaluation.retrieve import NOT_RETRIEVED, Reorder, passage_of_columns
from xlret.evaluation.sets import RetrievalSet
from xlret.evaluation.trec import written_id
from xlret.files import local
from xlret.shapes import FloatMatrix, IntArray


@dataclass(frozen=True)
class TrecRun:
    """A run's scores for the queries of a set, and what in it did not fit."""

    reorder: Reorder
    left_out: Mapping[str, int]
    """What of the run is not used, and what it lacks -> how many."""


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Query id -> passage id -> score, for files with the six columns of a TREC run. Ids are taken as they are written.

    Raises:
        DataError: a line has another form, repeats a passage or has a score that is no finite number.
        UserError: no such file.
    """
    run: dict[str, dict[str, float]] = {}
    for where, line in read_lines(path, ReadingReport()):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 6:
            raise DataError(f"{where}: {len(columns)} columns; a run has six: query, Q0, passage, rank, score, tag")
        query_id, _, passage_id, _, written, _ = columns
        try:
            score = float(written)
        except ValueError as error:
            raise DataError(f"{where}: score {written!r} is not a number") from error
        if not isfinite(score):
            raise DataError(f"{where}: score {written!r}; scores must be finite numbers")
        by_passage = run.setdefault(query_id, {})
        if passage_id in by_passage:
            raise DataError(f"{where}: passage {passage_id!r} is there twice for query {query_id!r}")
        by_passage[passage_id] = score
    return run


def trec_run(path: Path, retrieval_set: RetrievalSet) -> TrecRun:
    """The scores of a run file; passages that it does not name are not retrieved, and ties go by their index in the set.

    Ids are matched as `write_run` writes them. A directory holds a file `SET.run.trec` for each set, or one
    `run.trec`, as `xlret evaluate` leaves.

    Raises:
        UserError: no such file, or it names no query of the set.
        DataError: a line of another form, a passage twice for a query, or a score that is not finite.
    """
    path = local(path)
    if path.is_dir():
        own = path / f"{retrieval_set.name.replace('/', '-')}.run.trec"
        path = own if own.is_file() else path / "run.trec"
    run = read_run(path)
    row_of = {written_id(query_id): row for row, query_id in enumerate(retrieval_set.query_ids)}
    index_of = {written_id(passage_id): index for index, passage_id in enumerate(retrieval_set.passage_ids)}
    left_out = {
        "queries of the run that the set lacks": len(run.keys() - row_of.keys()),
        "passages of the run that the set lacks": 0,
    }
    scores_of_row: dict[int, tuple[IntArray, FloatMatrix]] = {}
    for query_id, by_passage in run.items():
        if query_id not in row_of:
            continue
        present = {index_of[passage]: score for passage, score in by_passage.items() if passage in index_of}
        left_out["passages of the run that the set lacks"] += len(by_passage) - len(present)
        scores_of_row[row_of[query_id]] = (np.array([*present], np.int64), np.array([*present.values()], np.float32))
    if not scores_of_row:
        raise UserError(
            f"{path} names no query of {retrieval_set.name}; its ids are such as {next(iter(run), 'none at all')!r}"
        )
    left_out["queries that the run lacks, which count 0"] = len(row_of) - len(scores_of_row)

    def scores(rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        by_passage_BP = np.full(scores_BP.shape, NOT_RETRIEVED, np.float32)
        for block_row, row in enumerate(rows.tolist()):
            if row in scores_of_row:
                indices, values = scores_of_row[row]
                by_passage_BP[block_row, indices] = values
        return by_passage_BP[:, passage_of_columns(retrieval_set.passage_langs, columns)]

    return TrecRun(scores, {reason: count for reason, count in left_out.items() if count})
