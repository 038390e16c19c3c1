"""The endpoint under load, against the same encoder and index in this process and against a request that does nothing."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from jobs.bench.load import Outcome, closed_loop, open_loop, percentile_ms
from jobs.bench.setup import Bench
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.files import shared_directory
from xlret.keys import generator
from xlret.model.encoder import Encoder
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions

SECONDS = 8.0
CLIENTS = (1, 8, 32)
SHARES = (0.5, 0.8, 1.0, 1.5, 3.0)
_BATCH = 32


def run(bench: Bench, console: Console) -> None:
    """Latency, throughput and goodput of /v1/search, as ratios to the same work without HTTP and Ray."""
    release = _release(bench)
    questions = _questions(bench)
    single, in_process = _in_process(release, questions)
    console.print(f"in process, one thread: {single:.1f} ms a query (p50), {in_process:.0f} queries/s in batches of {_BATCH}")
    with _server(release) as url:
        asyncio.run(_over_http(url, questions, single, in_process, console))


async def _over_http(url: str, questions: Iterator[str], single: float, in_process: float, console: Console) -> None:
    search, nothing = f"{url}/v1/search", f"{url}/healthz"

    def bodies(**more: Any) -> Iterator[Any]:
        return ({"query": question, "highlight": False, **more} for question in questions)

    await closed_loop(search, bodies(), 8, 3.0)  # warm
    table = Table("clients", "what", "p50 ms", "p99 ms", "requests/s", "not 200", box=None)
    rates, p50 = {}, {}
    for clients in CLIENTS:
        for what, target, asked in (
            ("nothing (/healthz)", nothing, itertools.repeat(None)),
            ("search", search, bodies()),
        ):
            outcome = await closed_loop(target, asked, clients, SECONDS)
            rates[what, clients], p50[what, clients] = outcome.rate, outcome.ms(50)
            table.add_row(str(clients), what, *_cells(outcome))
    for what, asked in (
        ("search, a known question", itertools.repeat({"query": "Where?", "highlight": False})),
        ("search, with highlights", bodies(highlight=True)),
    ):
        table.add_row("1", what, *_cells(await closed_loop(search, asked, 1, SECONDS / 2)))
    console.print(table)
    capacity = rates["search", CLIENTS[-1]]
    console.print(
        f"HTTP and Ray add {p50['search', 1] - single:.1f} ms at p50 with one client (wanted: at most 8); "
        f"{CLIENTS[-1]} clients get {capacity / in_process:.2f} of the throughput in process (wanted: 0.6)"
    )
    await _open(search, bodies, capacity, console)


async def _open(url: str, bodies: Any, capacity: float, console: Console) -> None:
    """Requests arriving at random at fixed rates, answered or not."""
    table = Table(
        "arrivals/s",
        "of capacity",
        "goodput/s",
        "p50 ms",
        "p99 ms",
        "refused",
        "refusal p95 ms",
        "failed",
        "client late ms",
        box=None,
    )
    goodput = {}
    for share in SHARES:
        gaps = generator("arrivals", str(share)).exponential(1 / (share * capacity), int(share * capacity * SECONDS))
        outcome = await open_loop(url, bodies(), np.cumsum(gaps))
        goodput[share] = outcome.rate
        table.add_row(
            f"{share * capacity:.0f}",
            f"{share:.1f}",
            f"{outcome.rate:.0f}",
            f"{outcome.ms(50):.1f}",
            f"{outcome.ms(99):.1f}",
            f"{len(outcome.refused)} ({outcome.without_retry_after} without Retry-After)",
            f"{percentile_ms(outcome.refused, 95):.1f}",
            str(len(outcome.failed)),
            f"{1000 * outcome.late:.0f}",
        )
        if outcome.failed:
            console.print(f"  failed at {share:.1f}: {outcome.failed[0]}", markup=False)
        await asyncio.sleep(2.0)
    console.print(table)
    peak = max(goodput.values())
    console.print(f"goodput at {SHARES[-1]:.0f} times capacity: {goodput[SHARES[-1]] / peak:.2f} of the peak (wanted: 0.8)")


def _cells(outcome: Outcome) -> list[str]:
    return [
        f"{outcome.ms(50):.1f}",
        f"{outcome.ms(99):.1f}",
        f"{outcome.rate:.0f}",
        str(len(outcome.refused) + len(outcome.failed)),
    ]


def _in_process(release: Path, questions: Iterator[str]) -> tuple[float, float]:
    """Milliseconds of one question (p50), and questions a second in batches; one thread, as the served encoder has."""
    torch.set_num_threads(1)
    encoder, index = Encoder.load(release / "encoder"), SearchIndex.open(release / "index")

    def ask(texts: list[str]) -> float:
        began = time.perf_counter()
        index.search(encoder.encode(texts, "query"), SearchOptions(top_k=10))
        return time.perf_counter() - began

    ask(list(itertools.islice(questions, _BATCH)))
    single = median(ask([next(questions)]) for _ in range(200))
    batches = [ask(list(itertools.islice(questions, _BATCH))) for _ in range(40)]
    return single * 1000, _BATCH / median(batches)


def _questions(bench: Bench) -> Iterator[str]:
    """Questions of the embedded corpus, none of them twice: no cache helps."""
    corpus = ParallelCorpus.open(bench.job.corpora[0], verify=False)
    texts: dict[str, None] = {}
    for lang in corpus.languages:
        pool = corpus.side("query", lang)
        texts |= dict.fromkeys(corpus.queries(lang, pool.take(np.arange(len(pool)))))
    order = generator("questions").permutation(len(texts))
    known = list(texts)
    yield from (known[position] for position in order)
    raise UserError(f"the benchmark asked all of its {len(known)} questions; lower jobs.bench.serving.SECONDS")


def _release(bench: Bench) -> Path:
    """A release of the small real base encoder where there is one, else of an untrained one, over the embedded corpus."""
    real = shared_directory() / "models" / "mini-xl"
    name = "real" if real.is_dir() else "fresh"
    root = bench.directory / "releases"
    if not (root / name / "release.json").exists():
        encoder = bench.directory / f"encoder-{name}"
        if not encoder.exists():
            start = str(real if real.is_dir() else bench.start)
            Encoder.load(start, max_query_tokens=48, max_passage_tokens=64).save(encoder)
        index = bench.directory / f"index-{name}"
        test = bench.job.corpora[0].parent / "test"
        _job("index", "build", index, "--encoder", encoder, "--corpus", test)
        _job("release", "make", name, "--root", root, "--encoder", encoder, "--index", index)
    return root / name


def _job(name: str, *arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", f"jobs.{name}", *map(str, arguments)], check=True)


@contextmanager
def _server(release: Path) -> Iterator[str]:
    """`jobs.serve` in a process of its own, stopped as a user would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jobs.serve", "--release", str(release), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=90)


def _wait(url: str, process: "subprocess.Popen[bytes]", seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"jobs.serve ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.3)
    raise RuntimeError(f"{url}/readyz was not ready within {seconds:.0f} s")
