"""Evaluation: metrics against pytrec_eval, exact search in blocks against the bare product, memory on two million passages."""

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.data.texts_on_disk import hold_texts
from xlret.evaluation.blocked import retrieve_blocks
from xlret.evaluation.evaluate import evaluation_of
from xlret.evaluation.kept_vectors import StoredPassages
from xlret.evaluation.named_measures import Hits, named_measures
from xlret.evaluation.sets import RetrievalSet
from xlret.search.passages import Passage
from xlret.search.vectors.store import VectorStore, part_file, write_manifest, write_part
from xlret.shapes import FloatMatrix, IntArray

MEASURES = ("AP", "nDCG@10", "RR", "R@100", "P@10", "Success@1")
TREC_EVAL = ("map", "ndcg_cut.10", "recip_rank", "recall.100", "P.10", "success.1")
PASSAGES, DIMENSION, ALLOWED_GB = 2_000_000, 384, 6.0


def run(bench: Bench, console: Console) -> None:
    """Prints the time of metrics against pytrec_eval, of exact search against its product, and the memory of large pools."""
    ours, theirs = _metrics(5000, 1000)
    ratio = ours / theirs
    console.print(f"5,000 queries x 1,000 documents: {ours:.2f} s, pytrec_eval {theirs:.2f} s: {ratio:.2f} (allowed: 1.5)")
    product, searches = _search(400_000, 512, (100, 0, 1000))
    for depth, search in searches.items():
        console.print(
            f"exact search of 512 queries in 400,000 passages, best {depth:,} and ranks: {search:.2f} s, the product in equal "
            f"blocks {product:.2f} s of the processor, one thread: {search / product:.2f}"
            + (" (allowed: 1.2)" if depth == 100 else "")
        )
    seconds, peak_gb, own_gb = large_pool(bench.directory / "large-pool", PASSAGES)
    console.print(
        f"{PASSAGES:,} passages (synthetic vectors of {DIMENSION}, made and not encoded), 200 queries: {seconds:.0f} s, "
        f"{peak_gb:.2f} GiB at most, {own_gb:.2f} GiB of them no mapped file (allowed: {ALLOWED_GB:g})"
    )


def large_pool(directory: Path, passages: int, queries: int = 200) -> tuple[float, float, float]:
    """Seconds, and peaks in GiB, of evaluating a pool of made-up passages from a store, in a process of its own.

    Returns:
        Seconds of search and metrics, the peak of resident memory, and the memory at its end without mapped files.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(_write, (directory, passages))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured = pool.apply(_evaluate, (directory, passages, queries))
    shutil.rmtree(directory)
    return measured


def _texts(passages: int) -> Iterator[Passage]:
    """Two languages, some 300 characters a passage, each its own."""
    for number in range(passages):
        yield Passage(
            f"p{number}", "de" if number % 5 == 0 else "en", None, f"passage {number} of many, {number * 7919:x} " * 8
        )


def _write(directory: Path, passages: int) -> None:
    rows, start = _texts(passages), 0
    counts = {"de": -(-passages // 5), "en": passages - -(-passages // 5)}
    while block := list(islice(rows, 8192)):
        vectors_BD = _unit(np.random.default_rng(start).normal(size=(len(block), DIMENSION)).astype(np.float32))
        write_part(directory / part_file(start // 8192), block, vectors_BD, {})
        start += len(block)
    write_manifest(directory, "float32", DIMENSION, counts, {}, {"dimension": DIMENSION}, {}, "")


def _evaluate(directory: Path, passages: int, queries: int) -> tuple[float, float, float]:
    ids, langs = (list(column) for column in zip(*((row.id, row.lang) for row in _texts(passages)), strict=True))
    texts = hold_texts(row.text for row in _texts(passages))
    store = StoredPassages(VectorStore.open(directory, verify=False), langs)
    relevant = [np.array([row]) for row in np.linspace(0, passages - 1, queries).astype(np.int64)]
    noise = np.random.default_rng(1).normal(scale=0.06, size=(queries, DIMENSION)).astype(np.float32)
    queries_QD = _unit(store.rows(np.concatenate(relevant)) + noise)
    query_ids = [f"q{number}" for number in range(queries)]
    retrieval_set = RetrievalSet(
        "made up", ("de", "en"), query_ids, ["de", "en"] * (queries // 2), query_ids, ids, langs, texts, relevant
    )
    began = time.monotonic()
    retrieved = retrieve_blocks(queries_QD, store, relevant, langs, 1000)
    evaluation = evaluation_of(retrieval_set, retrieved)
    seconds = time.monotonic() - began
    assert evaluation.pooled["recall@100"] > 0.9, "each query is near its passage"
    return seconds, _status_gb("VmHWM"), _status_gb("RssAnon")


def _metrics(queries: int, documents: int) -> tuple[float, float]:
    """Seconds of six measures from the ranks, and of pytrec_eval's from its dictionaries; the best of three."""
    import pytrec_eval

    rng = np.random.default_rng(0)
    rank_QR = np.stack([rng.permutation(documents)[:20] + 1 for _ in range(queries)])
    grade_N = rng.integers(1, 4, queries * 20).astype(np.float64)
    hits = Hits(np.repeat(np.arange(queries), 20), rank_QR.ravel(), grade_N, queries)
    measures = named_measures(MEASURES)
    qrels = {
        f"q{row}": {f"d{rank}": int(grade) for rank, grade in zip(rank_QR[row], grade_N[20 * row :], strict=False)}
        for row in range(queries)
    }
    run_of_query = {f"d{rank}": float(documents - rank) for rank in range(1, documents + 1)}
    runs = {query: dict(run_of_query) for query in qrels}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(TREC_EVAL))
    values = [measure.of_hits(hits) for measure in measures if measure.of_hits is not None]
    assert np.isclose(values[0].mean(), np.mean([row["map"] for row in evaluator.evaluate(runs).values()])), "the same numbers"
    ours = _best(lambda: [measure.of_hits(hits) for measure in measures if measure.of_hits is not None])
    return ours, _best(lambda: evaluator.evaluate(runs))


class _InMemory:
    """A matrix in blocks."""

    def __init__(self, vectors_PD: FloatMatrix) -> None:
        self._vectors_PD, self.count = vectors_PD, len(vectors_PD)

    def blocks(self) -> Iterator[FloatMatrix]:
        for start in range(0, self.count, 8192):
            yield self._vectors_PD[start : start + 8192]

    def rows(self, rows: IntArray) -> FloatMatrix:
        return self._vectors_PD[rows]


def _search(passages: int, queries: int, depths: tuple[int, ...]) -> tuple[float, dict[int, float]]:
    """Processor seconds of the products alone and of the search to each depth; the best of three each, in turns.

    In one thread, as several of BLAS take processor time while they wait for each other.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    passages_PD = _unit(rng.normal(size=(passages, DIMENSION)).astype(np.float32))
    sources = rng.integers(0, passages, queries)
    noise = rng.normal(scale=0.05, size=(queries, DIMENSION)).astype(np.float32)
    queries_QD, relevant = _unit(passages_PD[sources] + noise), [sources[row : row + 1] for row in range(queries)]
    pool, langs = _InMemory(passages_PD), ["en"] * passages

    def product() -> None:
        for block_BD in pool.blocks():
            for start in range(0, queries, 512):
                queries_QD[start : start + 512] @ block_BD.T

    def search(depth: int) -> None:
        retrieve_blocks(queries_QD, pool, relevant, langs, depth)

    with threadpool_limits(1, "blas"):
        turns = [[_best(product, 1), *(_best(partial(search, depth), 1) for depth in depths)] for _ in range(3)]
    bare, *searches = map(min, zip(*turns, strict=True))
    return bare, dict(zip(depths, searches, strict=True))


def _best(work: Callable[[], object], times: int = 3) -> float:
    """The least processor time of some repetitions, in seconds."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def _unit(vectors_ND: FloatMatrix) -> FloatMatrix:
    unit_ND: FloatMatrix = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return unit_ND


def _status_gb(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 2**20
