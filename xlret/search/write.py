"""The files of an index version: shards, the samples it is measured with, and how it is published."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xlret import monitoring
from xlret.artifacts import locked, write_table
from xlret.errors import DataError, UserError
from xlret.files import directory_beside, edited_directory, remove_abandoned, write_error, write_text
from xlret.search.calibration import sampled
from xlret.search.factory import encoded, lists_of
from xlret.search.faiss_files import codes_of, faiss, inner_ivf, unwrapped, write_index
from xlret.search.manifest import (
    CURRENT_FILE,
    LISTS,
    VERSIONS,
    File,
    IndexManifest,
    ShardEntry,
    file_entry,
    verify,
    write_manifest,
)
from xlret.search.trial_reading import made_here
from xlret.search.vectors.store import Vectors
from xlret.storage.url import as_url, is_url

_ROWS_AT_ONCE = 65_536
_SCRATCH = ".building."


def hashes(ids: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of each id, the same on every machine; shard = hash modulo the number of shards."""
    digests = (hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def write_shard(
    directory: Path,
    number: int,
    table: pa.Table,
    vectors_ND: Vectors,
    trained: Any,
    lossless_flat: bool,
    threads: int,
) -> tuple[ShardEntry, list[tuple[str, NDArray[np.int64]]]]:
    """Writes one shard's files.

    Args:
        directory: where to.
        number: the shard's.
        table: its passages, in any order.
        vectors_ND: their vectors, as they are stored.
        trained: the trained index that is cloned and filled.
        lossless_flat: the vectors are searched as they are stored, there is no further index.
        threads: for encoding.

    Returns:
        What the manifest says of it; and for each language the inverted list of each row (IVF only).

    Raises:
        DataError: a vector is not finite.
    """
    order = pc.sort_indices(table, sort_keys=[("lang", "ascending"), ("id", "ascending")]).to_numpy()
    table, vectors_ND = table.take(pa.array(order)), vectors_ND[order]
    if (bad := np.flatnonzero(~np.isfinite(vectors_ND).all(axis=1))).size:
        raise DataError(f"the vector of passage {table.column('id')[int(bad[0])].as_py()!r} is not finite (NaN or infinity)")
    stem = f"shard-{number:04d}"
    write_table(directory / f"{stem}.arrow", table)
    _write_vectors(directory / f"{stem}.vectors.faiss", vectors_ND)
    lists = np.empty(0, np.int64)
    if not lossless_flat:
        index, lists = _filled(trained, vectors_ND, threads)
        write_index(index, directory / f"{stem}.faiss")
    languages = _ranges(table)
    entry = ShardEntry(
        number=number,
        count=table.num_rows,
        languages=languages,
        rows=file_entry(directory / f"{stem}.arrow"),
        vectors=file_entry(directory / f"{stem}.vectors.faiss"),
        index=None if lossless_flat else file_entry(directory / f"{stem}.faiss"),
    )
    return entry, [(code, lists[start:end]) for code, (start, end) in languages.items()]


def write_lists(directory: Path, counts_LN: NDArray[np.integer[Any]]) -> File:
    """How many passages of each language each list holds, over all shards."""
    with open(directory / LISTS, "wb") as file:
        np.save(file, np.ascontiguousarray(counts_LN, dtype=np.int32), allow_pickle=False)
    return file_entry(directory / LISTS)


def write_tombstones(directory: Path, number: int, deleted_N: NDArray[np.bool_]) -> File:
    """One bit for each row of a shard."""
    path = directory / f"shard-{number:04d}.tombstones"
    path.write_bytes(np.packbits(deleted_N, bitorder="little").tobytes())
    return file_entry(path)


def sample_of(table: pa.Table, vectors_ND: Vectors, languages: int) -> pa.Table:
    """Some rows of each language, those with the lowest hashes: the same however rows are spread over shards.

    Args:
        table: passages, or samples of such with the column `vector` in place.
        vectors_ND: their vectors.
        languages: number of languages of the index; few languages have more rows each.
    """
    names = [name for name in table.column_names if name in ("id", "lang") or name.startswith("meta.")]
    keys = hashes(table.column("id").to_pylist())
    langs = np.array(table.column("lang").to_pylist(), dtype=np.str_)
    order = np.lexsort((keys, langs))
    starts = np.searchsorted(langs[order], langs[order])
    chosen = order[np.arange(len(order)) - starts < sampled(languages)]
    flat = pa.array(np.ascontiguousarray(vectors_ND[chosen]).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, vectors_ND.shape[1])
    return table.select(names).take(pa.array(chosen)).append_column("vector", vectors)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables under each other. A field of whole numbers in some and of others elsewhere becomes floats, the nearest ones
    (Arrow by itself refuses whole numbers beyond 2**53); a column that one lacks is empty there."""
    floats = {field.name for table in tables for field in table.schema if pa.types.is_floating(field.type)}

    def alike(table: pa.Table) -> pa.Table:
        for position, field in enumerate(table.schema):
            if field.name in floats and pa.types.is_integer(field.type):
                table = table.set_column(position, field.name, table.column(position).cast(pa.float64(), safe=False))
        return table

    return pa.concat_tables([alike(table) for table in tables], promote_options="permissive")


def live_manifest(values: dict[str, Any]) -> IndexManifest:
    """A manifest of files that were just written."""
    return IndexManifest.model_validate(values | {"faiss": faiss.__version__})


@contextmanager
def scratch(index_dir: Path, plan: str | None = None) -> Iterator[Path]:
    """A directory to write a version into; only one process at a time, and what killed ones left is removed.

    Args:
        index_dir: the index; of a URL the directory is on this machine, where a call that was interrupted is continued.
        plan: a name for what is to be written, which equal calls have in common: what one of them left that was killed or
            interrupted is handed to the next. Nothing is left after a full disk and other errors of the user's.

    Raises:
        UserError: another process is changing this index, or it is no index.
    """
    if is_url(index_dir):
        from xlret.storage.cache import work_path

        index_dir = work_path(as_url(index_dir))
    index_dir = Path(index_dir).absolute()
    if index_dir.exists() and not index_dir.is_dir():
        raise UserError(f"{index_dir} is a file; an index is a directory")
    if index_dir.is_dir() and any(index_dir.iterdir()) and not (index_dir / VERSIONS).is_dir():
        raise UserError(f"{index_dir} holds something that is no index; choose another place")
    try:
        (index_dir / VERSIONS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {index_dir}: {error.strerror}; choose a place that you may write to") from error
    with locked(index_dir / ".lock", f"another process is changing {index_dir}; wait for it"):
        half_published = list((index_dir / VERSIONS).glob(f".{'?' * 12}.*"))
        for version in {path.name.split(".")[1] for path in half_published}:
            remove_abandoned(index_dir / VERSIONS / version)
        for left in (*index_dir.glob(f"{_SCRATCH}*"), *half_published):
            if plan is None or left.name != _SCRATCH + plan:
                shutil.rmtree(left, ignore_errors=True)
        for left in index_dir.glob(f".{CURRENT_FILE}.*"):
            left.unlink(missing_ok=True)
        if plan is None:
            directory = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=index_dir))
        else:
            directory = index_dir / (_SCRATCH + plan)
            directory.mkdir(exist_ok=True)
        try:
            yield directory
        except BaseException as error:
            if plan is None or isinstance(error, OSError | UserError):
                shutil.rmtree(directory, ignore_errors=True)
            said = write_error(index_dir, error)
            if said is error:
                raise
            raise said from error
        shutil.rmtree(directory, ignore_errors=True)


def publish(index_dir: Path, directory: Path, manifest: IndexManifest, threads: int = 1) -> Path:
    """Moves what was written into `versions/`, checked once more, and lets CURRENT name it.

    A version that is there already is left as it is, unless it is damaged: then the new one takes its place.
    """
    if is_url(index_dir):
        with edited_directory(index_dir, may_be_missing=True) as copy:
            version = publish(copy, directory, manifest, threads)
        return index_dir / VERSIONS / version.name
    index_dir = Path(index_dir).absolute()
    manifest = write_manifest(directory, manifest)
    version = index_dir / VERSIONS / manifest.version
    if not _is_whole(version):
        with directory_beside(version, replace=True) as fresh:
            for path in sorted(directory.iterdir()):
                os.rename(path, fresh / path.name)
            for path in fresh.iterdir():
                path.chmod(0o444)
            verify(fresh, threads)
    made_here(version, manifest)
    monitoring.tell("xlret_index_passages", manifest.count, index=index_dir.name)
    if manifest.certificate is not None and (recall := manifest.certificate.default_recall) is not None:
        monitoring.tell("xlret_index_recall", recall, index=index_dir.name)
    write_text(index_dir / CURRENT_FILE, manifest.version + "\n")
    return version


def _is_whole(version: Path) -> bool:
    try:
        verify(version)
    except UserError:
        return False
    return True


def _write_vectors(path: Path, vectors_ND: Vectors) -> None:
    """Vectors as stored in a flat FAISS index, which can map them."""
    dimension = vectors_ND.shape[1]
    if vectors_ND.dtype == np.float16:
        index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.is_trained = True
    else:
        index = faiss.IndexFlatIP(dimension)
    index.codes.resize(vectors_ND.nbytes)
    index.ntotal = len(vectors_ND)
    codes_of(index)[:] = np.ascontiguousarray(vectors_ND).view(np.uint8)
    write_index(index, path)


def _filled(trained: Any, vectors_ND: Vectors, threads: int) -> tuple[Any, NDArray[np.int64]]:
    """A clone of a trained index with vectors added, and the list of each."""
    index = faiss.clone_index(trained)
    inner, lists = unwrapped(index), []
    graph = not hasattr(inner, "add_sa_codes") or "HNSW" in type(inner).__name__
    faiss.omp_set_num_threads(1)  # a graph made by several threads would be another each time
    for start in range(0, len(vectors_ND), _ROWS_AT_ONCE):
        chunk = vectors_ND[start : start + _ROWS_AT_ONCE].astype(np.float32)
        if graph:
            index.add(chunk)
            continue
        codes = encoded(trained, chunk, threads)
        inner.add_sa_codes(codes, np.arange(start, start + len(chunk), dtype=np.int64))
        if inner_ivf(trained) is not None:
            lists.append(lists_of(trained, codes))
    if inner is not faiss.downcast_index(index):
        index.ntotal = inner.ntotal
    return index, np.concatenate(lists) if lists else np.empty(0, np.int64)


def _ranges(table: pa.Table) -> dict[str, tuple[int, int]]:
    """Where each language's rows are in a sorted table."""
    langs = np.array(table.column("lang").to_pylist(), dtype=np.str_)
    names, starts, counts = np.unique(langs, return_index=True, return_counts=True)
    return {str(code): (int(start), int(start + size)) for code, start, size in zip(names, starts, counts, strict=True)}
