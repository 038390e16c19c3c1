"""Kinds of index by their FAISS factory string: which are allowed, what they cost, and which suits a size."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlret.errors import UserError
from xlret.search.faiss_files import NO_BLAS, faiss, inner_ivf, unwrapped
from xlret.search.manifest import Kind

ALLOWED = (
    "auto, Flat, SQfp16, SQ8, SQ4, PQm, OPQm,PQm, each also after IVFn, IVFn_HNSWm (n lists; IVF alone: n by size) or HNSWm"
)
_FORM = re.compile(
    r"(?:(?P<opq>OPQ(?P<opq_m>\d+)(?:_(?P<opq_to>\d+))?),)?"
    r"(?:IVF(?P<nlist>\d*)(?P<coarse>_HNSW\d+)?,|(?P<hnsw>HNSW\d+)(?:,|$))?"
    r"(?P<codes>Flat|SQfp16|SQ8|SQ4|PQ(?P<pq_m>\d+)(?:x(?P<bits>[48]))?(?:np)?)?"
)
_ROWS_AT_ONCE = 4096
_GRAPH_FROM = 16_384
"""Coarse centroids from which on a graph finds the nearest ones."""


@dataclass(frozen=True)
class Factory:
    """A factory string, understood."""

    text: str
    """As FAISS takes it."""
    kind: Kind
    nlist: int | None
    lossless: bool
    """Whether what is searched holds the very numbers that are stored."""
    refine: int
    """Candidates per hit wanted that are compared by their stored vectors."""
    code_bytes: int
    """Bytes in memory for each vector."""


def factory_of(text: str, count: int, dimension: int, dtype: str) -> Factory:
    """Understands a factory string (not `auto`).

    Args:
        text: such as `IVF4096,SQ8`.
        count: vectors, for the number of lists where the string has none.
        dimension: numbers of a vector.
        dtype: how vectors are stored.

    Raises:
        UserError: not allowed, or it does not fit the vectors.

    >>> factory_of("IVF,SQ8", 1_000_000, 384, "float16").text, factory_of("Flat", 10, 384, "float16").code_bytes
    ('IVF4096,SQ8', 768)
    """
    form = _FORM.fullmatch(text.strip())
    if form is None or not text.strip() or (form["codes"] is None and form["hnsw"] is None):
        extra = "; fast-scan and RaBitQ scores depend on what is searched beside" if "fs" in text or "RaBitQ" in text else ""
        raise UserError(f"--factory {text!r:.80} is not allowed: {ALLOWED}{extra}")
    codes = form["codes"] or "Flat"
    if form["hnsw"] and form["pq_m"]:
        raise UserError(f"--factory {text!r:.80}: HNSW does not go with PQ here; {ALLOWED}")
    if form["opq"] and form["pq_m"] != form["opq_m"]:
        raise UserError(f"--factory {text!r:.80}: OPQm goes with PQm of the same m")
    if form["pq_m"]:
        m, coded = int(form["pq_m"]), int(form["opq_to"] or dimension)
        if not 1 <= coded <= dimension:
            raise UserError(f"--factory {text!r:.80}: OPQ to {coded} numbers; allowed are 1 to {dimension}, as vectors have")
        if not 1 <= m <= coded or coded % m:
            divisors = [divisor for divisor in range(2, coded + 1) if coded % divisor == 0]
            raise UserError(f"--factory {text!r:.80}: {m} does not divide the dimension {coded}; take one of {divisors}")
        codes = f"PQ{m}" + (f"x{form['bits']}" if form["bits"] else "") + "np"  # np: no polysemous training, minutes long
    nlist, front = None, form["hnsw"]
    if "IVF" in text:
        nlist = int(form["nlist"]) if form["nlist"] else _lists(count)
        if not 1 <= nlist <= max(1, count):
            raise UserError(f"--factory {text!r:.80}: {nlist} lists for {count} passages; take fewer lists, or Flat")
        graph = form["coarse"] or ("_HNSW32" if nlist >= _GRAPH_FROM else "")
        front = f"IVF{nlist}{graph}"
    stored = codes == "Flat" or (codes == "SQfp16" and dtype == "float16" and front is None)
    kind: Kind = "ivf" if nlist else "hnsw" if form["hnsw"] else "flat"
    return Factory(
        text=",".join(part for part in (form["opq"], front, codes) if part),
        kind=kind,
        nlist=nlist,
        lossless=stored,
        refine=1 if stored else 8 if codes.startswith("PQ") else 4 if codes == "SQ4" else 2,
        code_bytes=_bytes(codes, form["hnsw"], kind, dimension, dtype),
    )


def choose(count: int, dimension: int, dtype: str) -> tuple[Factory, str]:
    """What `auto` takes for so many vectors, and why, in words."""
    if count <= 100_000:
        name, why = "Flat", "up to 100,000 passages an exact scan takes milliseconds and nothing is lost"
    elif count <= 40_000_000:
        name = "IVF,SQ8"
        why = "up to 40 million passages one byte a number beside inverted lists is fastest at high recall"
    else:
        m = max(divisor for divisor in range(1, dimension // 4 + 1) if dimension % divisor == 0)
        name, why = f"IVF,PQ{m}", "beyond 40 million passages memory decides; candidates are compared by the vectors on disk"
    chosen = factory_of(name, count, dimension, dtype)
    return chosen, why


def describe(factory: Factory, count: int, dimension: int, dtype: str) -> str:
    """Memory per vector and in all, in words."""
    disk = dimension * (2 if dtype == "float16" else 4)
    memory = f"{factory.code_bytes} bytes a vector in memory ({factory.code_bytes * count / 2**30:.2f} GiB in all)"
    mapped = ", mapped from the disk" if factory.kind == "flat" and factory.lossless else f", {disk} mapped from the disk"
    return memory + mapped


def new_index(factory: Factory, dimension: int, seed: int) -> Any:
    """An index of this kind, untrained, whose training is decided by the seed."""
    index = faiss.index_factory(dimension, factory.text, faiss.METRIC_INNER_PRODUCT)
    inner = unwrapped(index)
    parts = [inner] if hasattr(inner, "cp") else []
    parts += [inner.pq] if hasattr(inner, "pq") else []
    for part in parts:
        part.cp.seed = seed % (2**31)
        part.cp.min_points_per_centroid = 1
    return index


def training_rows(factory: Factory, count: int) -> int:
    """How many vectors training looks at: 100 for each list, and enough for the codes."""
    codes = 0 if factory.lossless else 65_536 if "PQ" in factory.text else 25_600
    return min(count, max(100 * (factory.nlist or 0), codes))


def train(index: Any, vectors_ND: NDArray[np.float32], threads: int) -> None:
    """Trains an index; vectors are finite (one NaN would spoil SQ8 without a word).

    Raises:
        UserError: too few vectors for this kind.
    """
    faiss.omp_set_num_threads(threads)
    faiss.cvar.distance_compute_blas_threshold = 20
    rotation = _rotation(index)
    if rotation is not None:  # its own quantizer would complain of every small clustering
        helper = faiss.ProductQuantizer(rotation.d_out, rotation.M, 8)
        helper.cp.min_points_per_centroid = 1
        rotation.pq = helper
    try:
        index.train(np.ascontiguousarray(vectors_ND, dtype=np.float32))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"{len(vectors_ND)} passages are too few to train this kind of index ({reason:.160}); take Flat"
        ) from error
    finally:
        faiss.cvar.distance_compute_blas_threshold = NO_BLAS
        faiss.omp_set_num_threads(1)


def encoded(index: Any, vectors_ND: NDArray[np.float32], threads: int) -> NDArray[np.uint8]:
    """The codes of vectors (with their list, for IVF), [N, bytes].

    The same vector has the same code whatever is encoded beside it: BLAS always gets blocks of one shape.
    """
    faiss.omp_set_num_threads(threads)
    faiss.cvar.distance_compute_blas_threshold = 20
    codes = np.empty((len(vectors_ND), index.sa_code_size()), dtype=np.uint8)
    try:
        block = np.zeros((_ROWS_AT_ONCE, vectors_ND.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors_ND), _ROWS_AT_ONCE):
            chunk = vectors_ND[start : start + _ROWS_AT_ONCE]
            block[: len(chunk)] = chunk
            codes[start : start + len(chunk)] = index.sa_encode(block)[: len(chunk)]
    finally:
        faiss.cvar.distance_compute_blas_threshold = NO_BLAS
        faiss.omp_set_num_threads(1)
    return codes


def lists_of(index: Any, codes_NB: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The inverted list of each code."""
    ivf = inner_ivf(index)
    assert ivf is not None
    lists = np.zeros(len(codes_NB), dtype=np.int64)
    for byte in range(ivf.coarse_code_size()):
        lists |= codes_NB[:, byte].astype(np.int64) << (8 * byte)
    return lists


def _rotation(index: Any) -> Any | None:
    """The trainable rotation before an index; None where there is none."""
    index = faiss.downcast_index(index)
    return faiss.downcast_VectorTransform(index.chain.at(0)) if isinstance(index, faiss.IndexPreTransform) else None


def _lists(count: int) -> int:
    """About 4 * sqrt(count), a power of two, with 39 vectors or more in each."""
    wanted = 1 << round(math.log2(max(1.0, 4 * math.sqrt(count))))
    return max(1, min(wanted, 1 << int(math.log2(max(1, count // 39)))))


def _bytes(codes: str, hnsw: str | None, kind: Kind, dimension: int, dtype: str) -> int:
    if codes.startswith("PQ"):
        m, _, bits = codes[2:].removesuffix("np").partition("x")
        size = -(-int(m) * int(bits or 8) // 8)
    elif codes == "Flat" and kind == "flat" and dtype == "float16":
        size = 2 * dimension
    else:
        numbers = {"Flat": 4.0, "SQfp16": 2.0, "SQ8": 1.0, "SQ4": 0.5}
        size = math.ceil(dimension * numbers[codes])
    graph = 4 * 2 * int(hnsw[4:]) + 16 if hnsw else 0
    return int(size) + graph + (8 if kind == "ivf" else 0)
