"""The teacher's vectors that a run's batches bring: encoded once, and kept for all runs of a storage."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.artifacts import locked
from xlret.batches.plan import BatchPlan
from xlret.data.corpus import ParallelCorpus
from xlret.data.teacher import Teacher, write_teacher
from xlret.errors import UserError
from xlret.files import local, sha256_of
from xlret.keys import key_of
from xlret.model.card_files import dimension_of
from xlret.model.encoder import Encoder
from xlret.model.processor import resolved
from xlret.model.start import locate
from xlret.shapes import IntArray
from xlret.text.sides import Side
from xlret.training.settings import TrainJob

_DECIDING = (".json", ".safetensors", ".model", ".txt")
"""Files of a model's directory that may decide its vectors."""


def teacher_vectors(job: TrainJob, corpora: Sequence[ParallelCorpus], plan: BatchPlan, start: Path) -> tuple[Path, ...]:
    """Where the vectors of the pivot language's texts are, a directory for each corpus; those that are missing are made.

    They are called by the checksums of teacher and corpus, so that the trials of a sweep and a run that goes on find them.
    Where a run's batches are of less than half of a corpus, their texts alone are encoded, and called by their groups besides:
    a run with another seed has its own.

    Args:
        job: its `loss` names teacher and pivot.
        corpora: that the run trains on.
        plan: its batches.
        start: the encoder that the run begins with, for teacher `start`.

    Cost: one pass of the teacher, in this process, over the texts of one language that the batches are of.

    Raises:
        UserError: the teacher cannot be loaded or has vectors of another length, or a corpus has no text in the pivot language.
    """
    directory = start if job.loss.teacher == "start" else locate(job.loss.teacher)
    directory = local(directory)
    files = {
        path.relative_to(directory).as_posix(): sha256_of(path)
        for path in sorted(directory.rglob("*"))
        if path.suffix in _DECIDING and path.is_file()
    }
    storage = job.storage / "teachers"
    storage.mkdir(parents=True, exist_ok=True)

    @cache
    def teacher() -> Encoder:
        return Encoder.load(directory, device="cuda" if job.ray.gpu else "cpu")

    def encode(texts: list[str], side: Side) -> NDArray[np.float32]:
        precision = resolved(job.precision, gpu=job.ray.gpu)
        return teacher().encode(texts, side, tokens_per_batch=job.tokens_per_forward, precision=precision)

    paths, wanted = [], dimension_of(local(start))
    for corpus, groups in zip(corpora, _drawn(job, corpora, plan), strict=True):
        named = [f"{name} {checksum}" for name, checksum in files.items()]
        name = f"{key_of(corpus.fingerprint, job.loss.pivot, job.precision, *named):032x}"
        if groups is not None:
            name += f"-{hashlib.sha256(groups.astype('<i8').tobytes()).hexdigest()[:16]}"
        path = storage / name
        with locked(storage / f"{path.name}.lock"):  # trials of a sweep that begin together wait for the first
            length = Teacher(path, corpus).dimension if path.exists() else teacher().dimension
            if length != wanted:  # before all is encoded for a loss that refuses it
                raise UserError(
                    f"loss.teacher: its vectors have {length} numbers, the encoder's {wanted}; cosines need as many: choose "
                    "another loss.teacher or encoder.start"
                )
            if not path.exists():
                write_teacher(path, corpus, job.loss.pivot, files, encode, groups)
        paths.append(path)
    return tuple(paths)


def _drawn(job: TrainJob, corpora: Sequence[ParallelCorpus], plan: BatchPlan) -> list[IntArray | None]:
    """For each corpus the groups of all of the run's batches; None where they are half of it or more: all are encoded then."""
    steps = job.steps * job.accumulate
    if 2 * steps * plan.batch_size >= sum(corpus.n_groups for corpus in corpora):
        return [None] * len(corpora)  # and the plan of a long run takes long to walk
    drawn: list[list[IntArray]] = [[] for _ in corpora]
    for step in range(steps):
        batch = plan.step(step)
        drawn[batch.corpus].append(batch.group)
    groups = [np.unique(np.concatenate([np.empty(0, np.int64), *batches])) for batches in drawn]
    return [drawn_N if 2 * len(drawn_N) < corpus.n_groups else None for drawn_N, corpus in zip(groups, corpora, strict=True)]
