"""What 100 million and a billion passages take, by arithmetic, and what a slow shard does to the tail, by simulation:

    python -m jobs.bench.scale
    python -m jobs.bench.scale --passages 1000000000 --dimension 768 --latencies shard.ms

Every number that is no arithmetic is an argument, so that another machine's can be put in its place.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xlret.commands.frame import call, new_app, run
from xlret.errors import UserError
from xlret.keys import generator
from xlret.search.factory import factory_of

FACTORIES = ("Flat", "SQ8", "IVF,SQ8", "HNSW32,SQ8", "IVF,PQ48", "OPQ48,IVF,PQ48")
SHARDS = (1, 4, 16, 64, 256)
HIT_BYTES = 8 + 4
"""A row and a score, of each hit of each shard."""
SEARCHES = 20_000
"""Searches that are simulated for each number of shards."""
app = new_app("python -m jobs.bench.scale", "Arithmetic and a simulation of large indexes.")


@app.default
def scale(
    *,
    passages: tuple[int, ...] = (100_000_000, 1_000_000_000),
    dimension: int = 384,
    tokens: int = 120,
    parameters_m: float = 21.3,
    teraflops: float = 121.0,
    utilisation: float = 0.35,
    shard_gb: float = 48.0,
    queries_per_second: float = 100.0,
    nprobe: int = 32,
    search_ms: float = 0.33,
    code_ns: float = 51.0,
    hits: int = 100,
    hedged_after: float = 0.95,
    hedges: float = 0.1,
    latencies: Path | None = None,
) -> int:
    """Prints the tables.

    Args:
        passages: sizes of the index
        dimension: numbers of a vector
        tokens: of a passage, on average
        parameters_m: millions of parameters of the encoder, without its embeddings (multilingual-e5-small: 21.3, base: 86)
        teraflops: of the GPU at bfloat16, without sparsity (L4: 121, A100: 312, H100: 989)
        utilisation: share of them that encoding gets
        shard_gb: memory that a machine has for shards
        queries_per_second: to be served
        nprobe: inverted lists that a query looks at
        search_ms: processor time of a search besides its codes, and
        code_ns: of each code that it compares; both of one thread (docs/RESULTS.md, "Indexes": IVF4096,SQ8, nprobe 32 and 128)
        hits: that each shard gives back
        hedged_after: quantile of a shard's latency after which it is asked a second time
        hedges: at most this share of calls is asked twice
        latencies: a shard's latencies in ms, one a line; by default those of a small shard that is searched here
    """
    if not (0 < hedged_after < 1 and 0 <= hedges <= 1 and 0 < utilisation <= 1):
        raise UserError("hedged_after, hedges and utilisation are shares: 0 to 1")
    for count in passages:
        print(f"\n{count:,} passages of {tokens} tokens, {dimension} dimensions")
        hours = encode_hours(count, tokens, parameters_m * 1e6, teraflops * 1e12 * utilisation)
        print(f"encoding: {hours:,.0f} GPU-hours; vectors on disk (float16): {count * dimension * 2 / 1e9:,.0f} GB")
        rows = []
        for name in FACTORIES:
            memory = index_bytes(name, count, dimension)
            machines = -(-memory // (shard_gb * 1e9))
            row = [name, f"{memory / count:.0f}", f"{memory / 1e9:,.0f}", f"{machines:,.0f}"]
            if name == "IVF,SQ8":
                ms = search_cost_ms(count, dimension, nprobe, search_ms, code_ns)
                row += [f"{ms:.2f}", f"{queries_per_second * ms / 1000:.1f}"]
            rows.append(row)
        heads = ["factory", "bytes a passage", "GB", f"machines of {shard_gb:g} GB", "CPU ms a query", "CPUs for the load"]
        print_table(heads, rows)
    vector = 4 * dimension
    print(f"\nnetwork of a query, for each shard: {vector:,} bytes out, {hits * HIT_BYTES:,} back ({hits} hits)")
    sample = measured_latencies(dimension) if latencies is None else np.loadtxt(latencies, ndmin=1)
    print(f"\na shard's latency, {len(sample):,} searches: {shown(quantiles(sample))} ms (p50, p99, p99.9)")
    tail_rows = []
    for shards in SHARDS:
        plain, _ = fan_out(sample, shards, hedged_after, 0.0)
        hedged, asked_twice = fan_out(sample, shards, hedged_after, hedges)
        tail_rows.append([str(shards), shown(quantiles(plain)), shown(quantiles(hedged)), f"{asked_twice:.3f}"])
    print_table(["shards", "all of them: p50, p99, p99.9 ms", "hedged", "calls asked twice"], tail_rows)
    return 0


def encode_hours(passages: int, tokens: int, parameters: float, flops: float) -> float:
    """Hours of one GPU: two operations a parameter and token (Kaplan et al. 2020, arXiv:2001.08361); attention, which is small
    for short passages, is left out.

    >>> round(encode_hours(100_000_000, 120, 21.3e6, 121e12 * 0.35), 1)
    3.4
    """
    return 2 * parameters * tokens * passages / flops / 3600


def index_bytes(factory: str, passages: int, dimension: int) -> float:
    """Memory of the index of all shards together; a Flat one is mapped from the disk and wants as much of the page cache."""
    return float(factory_of(factory, passages, dimension, "float16").code_bytes) * passages


def search_cost_ms(passages: int, dimension: int, nprobe: int, search_ms: float, code_ns: float) -> float:
    """Processor time of a query over all shards of IVF,SQ8, whose lists are common to all: as many codes for any shards."""
    lists = factory_of("IVF,SQ8", passages, dimension, "float16").nlist
    assert lists is not None, "an inverted file has lists"
    return search_ms + nprobe * passages / lists * code_ns / 1e6


def fan_out(
    latencies_N: NDArray[np.float64], shards: int, hedged_after: float, hedges: float
) -> tuple[NDArray[np.float64], float]:
    """How long searches take that wait for all shards, each of which is as slow as a draw from what was measured, independent
    of the others (what slows a whole machine down is not in this).

    Args:
        hedged_after: a shard that has not answered by this quantile is asked again, elsewhere; the first answer counts.
        hedges: at most this share of calls is asked again, of those that are late the first ones.

    Returns:
        `SEARCHES` latencies, and the share of calls that were asked twice.
    """
    numbers = generator(0, "fan-out", shards)
    slowest_S, asked = np.zeros(SEARCHES), 0
    late_ms = float(np.quantile(latencies_N, hedged_after))
    allowed = int(hedges * SEARCHES * shards)
    for _ in range(shards):
        first_S = numbers.choice(latencies_N, SEARCHES)
        late_S = np.flatnonzero(first_S > late_ms)[: max(0, allowed - asked)]
        first_S[late_S] = np.minimum(first_S[late_S], late_ms + numbers.choice(latencies_N, len(late_S)))
        asked += len(late_S)
        np.maximum(slowest_S, first_S, out=slowest_S)
    return slowest_S, asked / (SEARCHES * shards)


def measured_latencies(dimension: int, rows: int = 50_000, searches: int = 3000) -> NDArray[np.float64]:
    """Latencies of a small shard (SQ8, one thread) on this machine, in ms."""
    import faiss

    numbers = generator(0, "scale")
    vectors_ND = numbers.standard_normal((rows, dimension)).astype(np.float32)
    index = faiss.index_factory(dimension, "IVF256,SQ8", faiss.METRIC_INNER_PRODUCT)
    faiss.omp_set_num_threads(1)
    index.train(vectors_ND[:20_000])
    index.add(vectors_ND)
    faiss.ParameterSpace().set_index_parameter(index, "nprobe", 16)
    took = []
    for row in range(searches):
        began = time.perf_counter()
        index.search(vectors_ND[row : row + 1], 100)
        took.append(1000 * (time.perf_counter() - began))
    return np.array(took)


def quantiles(latencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median, p99 and p99.9."""
    return np.quantile(latencies, [0.5, 0.99, 0.999])


def shown(values: NDArray[np.float64]) -> str:
    """Numbers beside each other."""
    return ", ".join(f"{value:.2f}" for value in values)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in Markdown, as docs/scale.md has it."""
    for line in (heads, ["---"] * len(heads), *([*row, *[""] * (len(heads) - len(row))] for row in rows)):
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))
