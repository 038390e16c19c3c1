"""Reading and writing FAISS files with care: known kinds only, bounded allocations, nothing outside the file."""

import os
import threading
from pathlib import Path
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from xlret.errors import CorruptError

faiss: Any = _faiss
"""FAISS, whose own stubs know only half of it."""

# The first four bytes of the kinds that are read, and of nothing else.
_FIRST_BYTES = {b"IxFI", b"IxSQ", b"IxPq", b"IxPT", b"IwFl", b"IwSq", b"IwPQ", b"IHNf", b"IHNs"}
_CLASSES = {
    "IndexFlat",
    "IndexFlatIP",
    "IndexScalarQuantizer",
    "IndexPQ",
    "IndexIVFFlat",
    "IndexIVFScalarQuantizer",
    "IndexIVFPQ",
    "IndexHNSWFlat",
    "IndexHNSWSQ",
}
_LOOPS = 1 << 24
_SLACK = 1 << 16
_reading = threading.Lock()

# BLAS sums in an order that depends on how many queries come together; the plain loops do not.
NO_BLAS = 2**31 - 1


def read_index(path: Path, *, mapped: bool = False) -> Any:
    """A FAISS index from a file whose checksum has been compared already.

    Args:
        path: the file.
        mapped: map the vectors instead of loading them (flat indexes only); the file must never be written to again.

    Raises:
        CorruptError: it is no index of a known kind, or its lists are elsewhere.
    """
    with open(path, "rb") as file:
        first = file.read(4)
    if first not in _FIRST_BYTES:
        raise CorruptError(f"{path} is no index of a kind that is read here: it starts with {first!r}; build the index again")
    # A list stored elsewhere may only be in the same directory; there is none, so nothing else is ever opened.
    # Inner products need no precomputed table, and its size would count against the limit.
    flags = faiss.IO_FLAG_ONDISK_SAME_DIR | faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE | (faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    with _reading:  # the limits are the process's
        faiss.set_deserialization_vector_byte_limit(path.stat().st_size + _SLACK)
        faiss.set_deserialization_loop_limit(_LOOPS)
        try:
            index = faiss.read_index(str(path), flags)
        except (RuntimeError, MemoryError) as error:
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise CorruptError(f"{path} is damaged: FAISS cannot read it ({reason[0]:.200}); build the index again") from error
    _check_classes(path, index)
    return index


def write_index(index: Any, path: Path) -> None:
    """Writes an index through Python's file, flushed to the disk: FAISS prints, but does not raise, errors of closing one.

    Raises:
        OSError: the disk is full or cannot be written to.
    """
    failures: list[OSError] = []
    with open(path, "wb") as file:

        def write(data: bytes) -> int:
            try:
                return file.write(data)
            except OSError as error:
                failures.append(error)
                return 0

        try:
            faiss.write_index(index, faiss.PyCallbackIOWriter(write))
        except RuntimeError:
            if not failures:
                raise
        if failures:
            raise failures[0]
        file.flush()
        os.fsync(file.fileno())


def inner_ivf(index: Any) -> Any | None:
    """The IVF index that an index is or holds; None where there is none."""
    inner = unwrapped(index)
    return inner if hasattr(inner, "invlists") else None


def unwrapped(index: Any) -> Any:
    """The index behind a rotation (OPQ), or the index itself."""
    index = faiss.downcast_index(index)
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def codes_of(index: Any) -> NDArray[np.uint8]:
    """The codes of a flat index, [N, bytes], without a copy; the index must outlive them."""
    size = index.ntotal * index.code_size
    flat: NDArray[np.uint8] = faiss.rev_swig_ptr(index.codes.data(), size) if size else np.empty(0, np.uint8)
    return flat.reshape(index.ntotal, index.code_size)


def _check_classes(path: Path, index: Any) -> None:
    inner = unwrapped(index)
    name = type(inner).__name__
    if name not in _CLASSES:
        raise CorruptError(f"{path} holds a {name}, which is not read here; build the index again")
    for rotation in rotations(index):
        if (kind := type(rotation).__name__) not in ("OPQMatrix", "LinearTransform"):
            raise CorruptError(f"{path} holds a {kind}, which is not read here; build the index again")
    if hasattr(inner, "invlists"):
        lists = type(faiss.downcast_InvertedLists(inner.invlists)).__name__
        quantizer = type(faiss.downcast_index(inner.quantizer)).__name__
        if lists != "ArrayInvertedLists" or quantizer not in ("IndexFlat", "IndexFlatIP", "IndexHNSWFlat"):
            raise CorruptError(f"{path} holds {lists} with a {quantizer}, which are not read here; build the index again")


def rotations(index: Any) -> list[Any]:
    """What vectors go through before they reach the index behind (OPQ); mostly nothing."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexPreTransform):
        return []
    chain: Any = index.chain
    return [faiss.downcast_VectorTransform(chain.at(number)) for number in range(chain.size())]
