"""The endpoint under load, its encoder in the ingress and apart, against the same work in this process."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from jobs.bench.load import Outcome, closed_loop, joined, open_loop, percentile_ms
from jobs.bench.setup import Bench
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.files import shared_directory
from xlret.keys import generator
from xlret.model.encoder import Encoder
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.serve.ray.processes import children, command_of

PLACEMENTS = {"apart": "replicas", "in the ingress": "ingress"}
"""Where the encoder is: by name, what `encoder_in` says."""
SECONDS = 4.0
"""Of a spell. Each placement has its turn, again and again, so that other work on the machine hinders both alike."""
ROUNDS = 3
CLIENTS = (1, 8, 32)
SHARES = (0.5, 0.8, 1.0, 1.5, 3.0)
ALIKE = 40
"""Questions whose answers are compared."""
_BATCH = 32


class _Service(NamedTuple):
    """A running endpoint."""

    url: str
    process: int
    log: Path

    @property
    def search(self) -> str:
        return f"{self.url}/v1/search"


def run(bench: Bench, console: Console) -> None:
    """Latency, throughput and goodput of /v1/search, as ratios to the same work without HTTP and Ray."""
    release = _release(bench)
    questions = _questions(bench)
    ask = _in_process(release)
    with ExitStack() as stack:
        services = {
            name: stack.enter_context(_server(release, bench.directory / f"{encoder_in}.jsonl", f"encoder_in={encoder_in}"))
            for name, encoder_in in PLACEMENTS.items()
        }
        asyncio.run(_over_http(services, questions, ask, console))


async def _over_http(
    services: Mapping[str, _Service], questions: Iterator[str], ask: Callable[[list[str]], float], console: Console
) -> None:
    def bodies(**more: Any) -> Iterator[Any]:
        return ({"query": question, "highlight": False, **more} for question in questions)

    for service in services.values():
        await closed_loop(service.search, bodies(), 8, 3.0)  # warm
    batches = [ask(list(itertools.islice(questions, _BATCH))) for _ in range(40)]
    in_process, alone_ms = _BATCH / median(batches), list[float]()
    table = Table("clients", "what", "encoder", "p50 ms", "p99 ms", "p99 of p50", "requests/s", "not 200", box=None)
    searches: dict[tuple[int, str], Outcome] = {}
    cpu_ms: dict[str, Mapping[str, float]] = {}
    for clients in CLIENTS:
        spells: dict[str, list[Outcome]] = {name: [] for name in services}
        used = {name: dict.fromkeys(_PARTS, 0.0) for name in services}
        for _ in range(ROUNDS):
            if clients == 1:  # beside the same idle processes as the endpoints
                alone_ms += [1000 * ask([next(questions)]) for _ in range(100)]
            for name, service in services.items():
                before = _cpu_s(service.process)
                spells[name].append(await closed_loop(service.search, bodies(), clients, SECONDS))
                after = _cpu_s(service.process)
                used[name] = {part: used[name][part] + after[part] - before[part] for part in _PARTS}
        for name, outcomes in spells.items():
            searches[clients, name] = outcome = joined(outcomes)
            table.add_row(str(clients), "search", name, *_cells(outcome))
            if clients == 1:
                cpu_ms[name] = {part: 1000 * seconds / len(outcome.answered) for part, seconds in used[name].items()}
    last = list(services.values())[-1]
    for clients in CLIENTS:
        nothing = await closed_loop(f"{last.url}/healthz", itertools.repeat(None), clients, SECONDS)
        table.add_row(str(clients), "nothing (/healthz)", "", *_cells(nothing))
    for what, asked in (
        ("search, a known question", itertools.repeat({"query": "Where?", "highlight": False})),
        ("search, with highlights", bodies(highlight=True)),
    ):
        table.add_row("1", what, list(services)[-1], *_cells(await closed_loop(last.search, asked, 1, SECONDS)))
    console.print(table)
    single = median(alone_ms)
    console.print(f"in process, one thread: {single:.1f} ms a query (p50), {in_process:.0f} queries/s in batches of {_BATCH}")
    for name, service in services.items():
        alone, many = searches[1, name], searches[CLIENTS[-1], name]
        stages = await _stages(service, bodies())
        console.print(
            f"encoder {name}: HTTP and Ray add {alone.ms(50) - single:.1f} ms at p50 with one client (wanted: at most 3); with "
            f"{CLIENTS[-1]} p99 is {many.ms(99) / many.ms(50):.2f} times p50 (wanted: at most 2), and they get "
            f"{many.rate / in_process:.2f} of the throughput in process (wanted: 0.6)\n"
            f"  ms of CPU time a search, one client: {_listed(cpu_ms[name])}\n"
            f"  ms (p50) a search, one client: {_listed(stages)}"
        )
    alike = await _alike(services, bodies())
    console.print(f"{alike} of {ALIKE} questions have the same hits with the same scores, to the last bit, from both")
    for name, service in services.items():
        await _open(name, service, bodies, searches[CLIENTS[-1], name].rate, console)


async def _open(name: str, service: _Service, bodies: Any, capacity: float, console: Console) -> None:
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
        title=f"encoder {name}",
    )
    goodput = {}
    for share in SHARES:
        gaps = generator("arrivals", str(share)).exponential(1 / (share * capacity), int(2 * share * capacity * SECONDS))
        outcome = await open_loop(service.search, bodies(), np.cumsum(gaps))
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
    kept = goodput[SHARES[-1]] / peak
    console.print(f"encoder {name}: goodput at {SHARES[-1]:.0f} times capacity: {kept:.2f} of the peak (wanted: 0.9)")


async def _stages(service: _Service, bodies: Iterator[Any]) -> dict[str, float]:
    """Where a search's time goes, by the service's own log; what is left of the client's time is the front's."""
    lines = len(service.log.read_text().splitlines())
    outcome = await closed_loop(service.search, bodies, 1, SECONDS)
    logged = [json.loads(line) for line in service.log.read_text().splitlines()[lines:]]
    searches = [line for line in logged if line["path"] == "/v1/search" and line["status"] == 200]
    stages = [stage for stage in searches[0]["took_ms"] if stage not in ("total", "rerank", "highlight")]
    by_stage = {stage: median(line["took_ms"][stage] for line in searches) for stage in stages}
    return {"before and after the endpoint": outcome.ms(50) - median(line["ms"] for line in searches), **by_stage}


async def _alike(services: Mapping[str, _Service], bodies: Iterator[Any]) -> int:
    """How many of some questions, each asked by itself, all services answer alike."""
    equal = 0
    for body in itertools.islice(bodies, ALIKE):
        answers = [await asyncio.to_thread(_hits, service.search, body) for service in services.values()]
        equal += all(answer == answers[0] for answer in answers)
    return equal


def _hits(url: str, body: Any) -> list[tuple[str, float]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [(hit["id"], hit["score"]) for hit in json.load(answer)["results"][0]["hits"]]


_PARTS = ("HAProxy", "ingress", "encoder")


def _cpu_s(service: int) -> dict[str, float]:
    """CPU seconds that a service's processes for requests have used so far."""
    seconds = dict.fromkeys(_PARTS, 0.0)
    queue = [service]
    while queue:
        process = queue.pop()
        queue += children(process)
        command = " ".join(command_of(process))
        part = next((part for part in _PARTS if f"xlret:{part.title()}" in command or f"/{part.lower()} -" in command), None)
        if part is not None:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            seconds[part] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def _cells(outcome: Outcome) -> list[str]:
    return [
        f"{outcome.ms(50):.1f}",
        f"{outcome.ms(99):.1f}",
        f"{outcome.ms(99) / outcome.ms(50):.2f}",
        f"{outcome.rate:.0f}",
        str(len(outcome.refused) + len(outcome.failed)),
    ]


def _in_process(release: Path) -> Callable[[list[str]], float]:
    """Answers questions with one thread, as the served encoder has, and gives the seconds."""
    torch.set_num_threads(1)
    encoder, index = Encoder.load(release / "encoder"), SearchIndex.open(release / "index")

    def ask(texts: list[str]) -> float:
        began = time.perf_counter()
        index.search(encoder.encode(texts, "query"), SearchOptions(top_k=10))
        return time.perf_counter() - began

    return ask


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
def _server(release: Path, log: Path, setting: str) -> Iterator[_Service]:
    """`jobs.serve` in a process of its own, stopped as a user would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jobs.serve", "--release", str(release), "--port", str(port)]
    command += [word for value in (setting, "log.stderr=false", f"log.file={log}") for word in ("--set", value)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield _Service(url, process.pid, log)
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
