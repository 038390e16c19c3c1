"""The teacher's vectors that a run's batches bring: encoded once for each corpus, and shared by all runs of a storage."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.artifacts import locked
from xlret.data.corpus import ParallelCorpus
from xlret.data.teacher import Teacher, write_teacher
from xlret.errors import UserError
from xlret.files import local, sha256_of
from xlret.keys import key_of
from xlret.model.card_files import dimension_of
from xlret.model.encoder import Encoder
from xlret.model.processor import resolved
from xlret.model.start import locate
from xlret.text.sides import Side
from xlret.training.settings import TrainJob

_DECIDING = (".json", ".safetensors", ".model", ".txt")
"""Files of a model's directory that may decide its vectors."""


def teacher_vectors(job: TrainJob, corpora: Sequence[ParallelCorpus], start: Path) -> tuple[Path, ...]:
    """Where the vectors of the pivot language's texts are, a directory for each corpus; those that are missing are made.

    They are called by the checksums of teacher and corpus, so that the trials of a sweep and a run that goes on find them.

    Args:
        job: its `loss` names teacher and pivot.
        corpora: that the run trains on.
        start: the encoder that the run begins with, for teacher `start`.

    Cost: one pass of the teacher over the texts of one language, in this process.

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
    for corpus in corpora:
        named = [f"{name} {checksum}" for name, checksum in files.items()]
        path = storage / f"{key_of(corpus.fingerprint, job.loss.pivot, job.precision, *named):032x}"
        with locked(storage / f"{path.name}.lock"):  # trials of a sweep that begin together wait for the first
            length = Teacher(path, corpus).dimension if path.exists() else teacher().dimension
            if length != wanted:  # before all is encoded for a loss that refuses it
                raise UserError(
                    f"loss.teacher: its vectors have {length} numbers, the encoder's {wanted}; cosines need as many: choose "
                    "another loss.teacher or encoder.start"
                )
            if not path.exists():
                write_teacher(path, corpus, job.loss.pivot, files, encode)
        paths.append(path)
    return tuple(paths)
