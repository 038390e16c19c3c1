"""A teacher's vectors of a corpus' texts in one language, worked out once and read a few rows at a time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xlret.artifacts import FileEntry, check_entry, first_fault
from xlret.data.corpus import ParallelCorpus
from xlret.data.manifest import file_entries
from xlret.data.mapped import MappedTable
from xlret.data.pool import GroupPool
from xlret.errors import CorruptError, UserError
from xlret.files import directory_beside, write_text
from xlret.shapes import IntArray
from xlret.text.sides import SIDES, Side

MANIFEST = "teacher.json"
_ROWS = 1 << 13
_GROUP = "group"
"""The column of ordinals where not all groups were read."""
_REMEDY = "remove the directory, and the next run encodes again"

Encode = Callable[[list[str], Side], NDArray[np.float32]]
"""Texts and their side to vectors [N, T]."""


class TeacherManifest(BaseModel):
    """`teacher.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    corpus: str
    """Fingerprint of the corpus whose texts were encoded."""
    lang: str
    dimension: int = Field(ge=1)
    encoder: dict[str, str]
    """Checksums of the files that decide the teacher's vectors."""
    files: dict[str, FileEntry]


def write_teacher(
    path: Path,
    corpus: ParallelCorpus,
    lang: str,
    encoder: dict[str, str],
    encode: Encode,
    groups: IntArray | None = None,
) -> TeacherManifest:
    """Encodes queries and passages of a corpus in one language into the directory `path`, which appears when it is whole.

    Args:
        path: the directory to make.
        corpus: whose texts.
        lang: in which language.
        encoder: checksums of the teacher's files, kept beside the vectors.
        encode: the teacher; called with up to 8,192 texts at a time; none gives [0, T].
        groups: the ordinals of those whose texts are read; by default all.

    Cost: 2 bytes a number (float16); memory for one block of texts.

    Raises:
        UserError: the corpus has nothing in that language, or `path` exists.
    """
    sides: list[Side] = [side for side in SIDES if len(corpus.side(side, lang))]
    if not sides:
        raise UserError(
            f"{corpus.path} has no text in {lang} for a teacher to read; its languages: {', '.join(corpus.languages)}"
        )
    chosen = None if groups is None else GroupPool.from_members(groups)
    dimension = 0
    with directory_beside(path, replace=False) as fresh:
        for side in sides:
            pool = corpus.side(side, lang)
            if chosen is not None:
                pool = pool & chosen
            fetch = corpus.queries if side == "query" else corpus.passages
            writer = None
            with open(fresh / _file(side), "wb") as file:
                for start in range(0, max(1, len(pool)), _ROWS):
                    rows = pool.take(np.arange(start, min(start + _ROWS, len(pool))))
                    vectors_ND = encode(fetch(lang, rows), side)
                    dimension = vectors_ND.shape[1]
                    flat = pa.array(vectors_ND.astype(np.float16).ravel(), pa.float16())
                    columns = {"vector": pa.FixedSizeListArray.from_arrays(flat, dimension)}
                    if chosen is not None:
                        columns[_GROUP] = pa.array(rows, pa.int64())
                    batch = pa.record_batch(columns)
                    writer = writer or pa.ipc.new_file(file, batch.schema)
                    writer.write_batch(batch)
                assert writer is not None, "one block at least"
                writer.close()
        manifest = TeacherManifest(
            corpus=corpus.fingerprint,
            lang=lang,
            dimension=dimension,
            encoder=encoder,
            files=file_entries(fresh, [_file(side) for side in sides]),
        )
        write_text(fresh / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return manifest


class Teacher:
    """The vectors that `write_teacher` left, mapped."""

    def __init__(self, path: Path, corpus: ParallelCorpus) -> None:
        """Opens them; sizes are compared, checksums not.

        Raises:
            UserError: none are there, or they are of another corpus.
            CorruptError: a file is missing or damaged.
        """
        try:
            self.manifest = TeacherManifest.model_validate_json((path / MANIFEST).read_bytes())
        except FileNotFoundError:
            raise UserError(f"no teacher's vectors at {path}; start the run again, which encodes them") from None
        except ValidationError as error:
            raise CorruptError(f"{path / MANIFEST} is damaged: {first_fault(error)}; {_REMEDY}") from error
        if self.manifest.corpus != corpus.fingerprint:
            raise UserError(f"{path} holds vectors of another corpus than {corpus.path}; {_REMEDY}")
        self._pools = {side: corpus.side(side, self.manifest.lang) for side in SIDES}
        self._tables: dict[Side, MappedTable] = {}
        self._read: dict[Side, GroupPool] = {}
        for side in (side for side in SIDES if _file(side) in self.manifest.files):
            file = path / _file(side)
            check_entry(file, self.manifest.files[file.name], listed_in=MANIFEST, remedy=_REMEDY, checksum=False)
            table = self._tables[side] = MappedTable(file)
            self._read[side] = GroupPool.from_members(table.whole(_GROUP)) if _GROUP in table.columns else self._pools[side]

    @property
    def dimension(self) -> int:
        """T, numbers of a vector."""
        return self.manifest.dimension

    def vectors(self, side: Side, groups: IntArray) -> NDArray[np.float32]:
        """The vectors [N, T] of these groups' texts on one side; zeros where a group has none in the teacher's language."""
        vectors_NT = np.zeros((len(groups), self.dimension), np.float32)
        has = self._pools[side].rank_of(groups) >= 0
        if has.any():
            ranks = self._read[side].rank_of(groups[has])
            assert (ranks >= 0).all(), "the teacher read every text that is asked for"
            vectors_NT[has] = self._tables[side].vectors("vector", ranks)
        return vectors_NT


def _file(side: Side) -> str:
    return f"{side}.vectors.arrow"
