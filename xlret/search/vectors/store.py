"""Encoded passages on disk: parts of some thousand rows (texts, metadata, vectors), each an Arrow file, and `store.json`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xlret.artifacts import FileEntry, check_entry, entry_of, first_fault, open_table, write_table
from xlret.errors import CorruptError, DataError, UserError
from xlret.files import directory_beside, local, write_text
from xlret.search.metadata import Fields, FieldType
from xlret.search.passages import Passage, checked_passages
from xlret.search.settings import DType

STORE = "store.json"
META = "meta."
_REMEDY = "encode again"
Vectors = NDArray[np.float16] | NDArray[np.float32]

_ARROW: dict[str, pa.DataType] = {
    "string": pa.large_string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "float16": pa.float16(),
    "float32": pa.float32(),
}
_UNIT = 4e-3
"""How far from 1 the length of a vector may be: rounding to float16 moves it by less than 1e-3."""


class PartEntry(FileEntry):
    """One part: its file, and how many passages it holds."""

    file: str = Field(pattern=r"^part-\d{5,}\.arrow$")
    rows: int = Field(ge=1)


class StoreManifest(BaseModel):
    """`store.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    dimension: int = Field(ge=1)
    dtype: DType
    count: int = Field(ge=1)
    languages: dict[str, int]
    fields: dict[str, FieldType]
    encoder: dict[str, Any]
    """path as given, sha256 of each file that decides vectors, dimension, prompts and length limits."""
    made_with: dict[str, Any]
    """Settings that decide what the files hold."""
    input: str
    """Hex SHA-256 of the passages that were encoded."""
    parts: tuple[PartEntry, ...]


class VectorStore:
    """Encoded passages in the order they came. Parts are mapped, never loaded: memory does not grow with the store."""

    def __init__(self, path: Path, manifest: StoreManifest) -> None:
        self.path = path
        self.manifest = manifest
        self.dimension: int = manifest.dimension
        self.dtype: DType = manifest.dtype
        self.count: int = manifest.count
        self.languages: dict[str, int] = manifest.languages
        """Passages in each language, languages in alphabetical order."""
        self.fields: dict[str, FieldType] = manifest.fields
        """Type of each metadata field that has a value somewhere."""
        self.encoder: dict[str, Any] = manifest.encoder
        """path, sha256 {file: hex}, dimension, query_prompt, passage_prompt, max_query_tokens, max_passage_tokens."""

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> "VectorStore":
        """Opens a directory that `encode_passages` or `write_store` wrote.

        Args:
            path: the directory.
            verify: read every file and compare its checksum (about 1 s per GB); sizes are always compared.

        Raises:
            UserError: there is no store at `path`.
            CorruptError: a file is missing or damaged; the message names it.
        """
        path = local(Path(path)).absolute()
        manifest = _read_manifest(path)
        for part in manifest.parts:
            check_entry(path / part.file, part, listed_in=STORE, remedy=_REMEDY, checksum=verify)
        return cls(path, manifest)

    def __repr__(self) -> str:
        return (
            f"VectorStore({self.path}, {self.count} passages in {len(self.languages)} languages, {self.dimension} {self.dtype})"
        )

    def parts(self) -> Iterator[pa.Table]:
        """The parts in order, as tables over mapped files.

        Columns: id, lang, title (may be null), text, `meta.FIELD` for each field (may be null), and vector, a list of
        `dimension` numbers of length 1 (`vectors_of` gives them as one array).
        """
        for path in self.files():
            yield open_part(path)

    def files(self) -> list[Path]:
        """The files of the parts in order, each with one record batch."""
        return [self.path / part.file for part in self.manifest.parts]


def write_store(
    out: Path,
    passages: Iterable[Passage],
    vectors_ND: NDArray[np.floating[Any]],
    *,
    dtype: DType = "float16",
    encoder: Mapping[str, Any] | None = None,
    passages_per_part: int = 8192,
    replace: bool = False,
) -> VectorStore:
    """Writes passages whose vectors are there already; `out` appears when it is whole.

    Args:
        out: directory to make.
        passages: N passages, checked as `encode_passages` does it.
        vectors_ND: their vectors, of length 1.
        dtype: how to store them.
        encoder: what made the vectors; the dimension alone where that is not known.
        passages_per_part: rows of a part.
        replace: whether an existing directory gives way.

    Raises:
        DataError: a bad passage, or a vector that is not finite or not of length 1; names the passage.
        UserError: no passages, another number of vectors, or `out` exists and `replace` is false.
    """
    fields = Fields()
    rows = list(checked_passages(passages, fields))
    if not rows or vectors_ND.ndim != 2 or len(vectors_ND) != len(rows):
        raise UserError(f"{len(rows)} passages and vectors of shape {list(vectors_ND.shape)}; needed is a vector for each")
    made_with = {"store": dtype, "passages_per_part": passages_per_part}
    with directory_beside(out, replace=replace) as fresh:
        unread, start = iter(rows), 0
        while block := list(islice(unread, passages_per_part)):
            vectors = stored([passage.id for passage in block], vectors_ND[start : start + len(block)], dtype)
            write_part(fresh / part_file(start // passages_per_part), block, vectors, fields.types)
            start += len(block)
        languages = Counter(passage.lang for passage in rows)
        about = dict(encoder or {"dimension": vectors_ND.shape[1]})
        write_manifest(fresh, dtype, vectors_ND.shape[1], languages, fields.types, about, made_with, "")
    return VectorStore.open(out, verify=False)


def part_file(number: int) -> str:
    """The name of a part: `part-00000.arrow`."""
    return f"part-{number:05d}.arrow"


def stored(ids: Sequence[str], vectors_ND: NDArray[np.floating[Any]], dtype: DType) -> Vectors:
    """Vectors as they are stored.

    Raises:
        DataError: one is not finite or not of length 1; the message names its passage.
    """
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(vectors_ND.astype(np.float32), axis=1)
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= _UNIT))  # also what is not a number
    if bad.size:
        length = float(lengths[bad[0]])
        fault = f"has length {length:g}, not 1" if np.isfinite(length) else "is not finite (NaN or infinity)"
        more = f", and {bad.size - 1} more of these {len(ids)} passages are as bad" if bad.size > 1 else ""
        raise DataError(f"the vector of passage {ids[bad[0]]!r} {fault}{more}; is the encoder whole?")
    return vectors_ND.astype(dtype)


def write_part(path: Path, passages: Sequence[Passage], vectors_ND: Vectors, fields: Mapping[str, FieldType]) -> None:
    """Writes one part in one step: whoever sees the file sees all of it."""
    table = passage_table(passages, fields)
    kind = pa.list_(_ARROW[vectors_ND.dtype.name], vectors_ND.shape[1])
    flat = pa.array(np.ascontiguousarray(vectors_ND).ravel(), kind.value_type)
    column = pa.FixedSizeListArray.from_arrays(flat, type=kind)
    write_table(path, table.append_column(pa.field("vector", kind, nullable=False), column))


def passage_table(passages: Sequence[Passage], fields: Mapping[str, FieldType]) -> pa.Table:
    """The columns of a part but for the vectors; metadata fields in alphabetical order."""
    columns: list[tuple[pa.Field, list[Any]]] = [
        (pa.field("id", pa.large_string(), nullable=False), [passage.id for passage in passages]),
        (pa.field("lang", pa.string(), nullable=False), [passage.lang for passage in passages]),
        (pa.field("title", pa.large_string()), [passage.title for passage in passages]),
        (pa.field("text", pa.large_string(), nullable=False), [passage.text for passage in passages]),
    ]
    for name in sorted(fields):
        values: list[Any] = [passage.metadata.get(name) for passage in passages]
        if fields[name] == "float":
            values = [None if value is None else float(value) for value in values]
        columns.append((pa.field(META + name, _ARROW[fields[name]]), values))
    return pa.table(
        [pa.array(values, field.type) for field, values in columns], schema=pa.schema([field for field, _ in columns])
    )


def open_part(path: Path) -> pa.Table:
    """A part as a table over the mapped file.

    Raises:
        CorruptError: it cannot be read as an Arrow file.
    """
    return open_table(path, _REMEDY)


def vectors_of(table: pa.Table) -> Vectors:
    """The vectors of a part, [N, D], as they are stored, without a copy."""
    column = table.column("vector").combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    flat: Vectors = column.flatten().to_numpy(zero_copy_only=True)
    return flat.reshape(len(column), column.type.list_size)


def passages_of(table: pa.Table) -> list[Passage]:
    """The passages of a part, or of some rows of one (`table.take(rows)`); each has every field of the store."""
    names = [name for name in table.column_names if name.startswith(META)]
    metadata = [table.column(name).to_pylist() for name in names]
    fields = [name.removeprefix(META) for name in names]
    ids, langs, titles, texts = (table.column(name).to_pylist() for name in ("id", "lang", "title", "text"))
    rows = zip(*metadata, strict=True) if names else iter([()] * table.num_rows)
    return [
        Passage(name, lang, title, text, dict(zip(fields, values, strict=True)))
        for name, lang, title, text, values in zip(ids, langs, titles, texts, rows, strict=True)
    ]


def write_manifest(
    directory: Path,
    dtype: DType,
    dimension: int,
    languages: Mapping[str, int],
    fields: Mapping[str, FieldType],
    encoder: Mapping[str, Any],
    made_with: Mapping[str, Any],
    digest: str,
) -> StoreManifest:
    """Writes `store.json` over the parts in `directory`, which are read whole for their checksums."""
    parts = []
    for path in sorted(directory.glob("part-*.arrow"), key=lambda path: int(path.stem.removeprefix("part-"))):
        rows = open_part(path).num_rows
        parts.append(PartEntry(file=path.name, rows=rows, **entry_of(path).model_dump()))
    manifest = StoreManifest(
        dimension=dimension,
        dtype=dtype,
        count=sum(part.rows for part in parts),
        languages=dict(sorted(languages.items())),
        fields=dict(sorted(fields.items())),
        encoder=dict(encoder),
        made_with=dict(made_with),
        input=digest,
        parts=tuple(parts),
    )
    write_text(directory / STORE, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def _read_manifest(directory: Path) -> StoreManifest:
    path = directory / STORE
    if not path.is_file():
        partial = directory.with_name(directory.name + ".partial")
        hint = f"; {partial} is unfinished: start the same encoding again" if partial.is_dir() else ""
        raise UserError(f"no encoded passages at {directory} (no {STORE}){hint}")
    try:
        manifest = StoreManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CorruptError(f"{path} is damaged or of another version: {first_fault(error)}; {_REMEDY}") from error
    if {sum(part.rows for part in manifest.parts), sum(manifest.languages.values())} != {manifest.count}:
        raise CorruptError(f"{path} is damaged: its counts do not agree; {_REMEDY}")
    return manifest
