"""Bulk encoding: speed against SentenceTransformer.encode, and memory that does not grow with the passages."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from jobs.bench.setup import Bench
from xlret.data.corpus import ParallelCorpus
from xlret.keys import generator
from xlret.model.encoder import start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.training.setup import tokeniser_texts

PASSAGES = 3072
PART = 384
THREADS = 2
ROUNDS = 3
ALLOWED_GB = 4
MEDIUM = FreshEncoder(layers=6, hidden=384, heads=12, feed_forward=1536)
_TINY = FreshEncoder(layers=1, hidden=64, heads=2, feed_forward=128)


def run(bench: Bench, console: Console) -> None:
    """Passages/s of bulk encoding and of SentenceTransformer.encode in turns; peak memory on few and on many passages."""
    corpus = ParallelCorpus.open(bench.job.corpora[0], verify=False)
    medium, tiny = (encoder_directory(bench, corpus, name, fresh) for name, fresh in (("medium", MEDIUM), ("tiny", _TINY)))
    texts = bench.directory / "passages.jsonl"
    write_passages(corpus, texts, PASSAGES)
    ours, theirs = list[_Speed](), list[_Speed]()
    for _ in range(ROUNDS):
        ours.append(_ours(medium, texts, bench.directory / "encoded"))
        theirs.append(_theirs(medium, texts))
    wall, cpu = (
        statistics.median(speed[at] for speed in ours) / statistics.median(speed[at] for speed in theirs) for at in (0, 1)
    )
    console.print(
        f"{PASSAGES:,} passages in {len(corpus.languages)} languages, {THREADS} threads: bulk encoding {_shown(ours)}, "
        f"SentenceTransformer.encode {_shown(theirs)} passages/s; ratio of medians {wall:.2f} (wanted: 1.30), "
        f"by CPU time {cpu:.2f}"
    )
    peaks = []
    for count in (bench.passages // 10, bench.passages):
        watch = _run("many", tiny, str(count), bench.directory / "encoded")
        peaks.append(watch.peak_gb)
        console.print(f"{count:,} short passages: {watch.peak_gb:.2f} GB at most in all processes, {watch.seconds:,.0f} s")
    console.print(f"ten times the passages: {peaks[1] - peaks[0]:+.2f} GB, {peaks[1]:.2f} GB in all (allowed: {ALLOWED_GB})")


_Speed = tuple[float, float]
"""Passages a second of the clock, and of the processor."""


def _shown(speeds: list[_Speed]) -> str:
    return " ".join(f"{wall:.0f}" for wall, _ in speeds)


def encoder_directory(bench: Bench, corpus: ParallelCorpus, name: str, fresh: FreshEncoder) -> Path:
    directory = bench.directory / f"encoder-{name}"
    if not directory.exists():
        start_encoder(EncoderSettings(fresh=fresh), lambda: tokeniser_texts([corpus], corpus.languages), 0).save(directory)
    return directory


def write_passages(corpus: ParallelCorpus, path: Path, count: int) -> None:
    """Passages in all languages, each of some sentences in its own; the number of sentences is log-normal."""
    rng = generator(0, "benchmark", "encoding")
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            lang = corpus.languages[number % len(corpus.languages)]
            pool = corpus.side("passage", lang)
            sentences = max(1, round(float(rng.lognormal(1.6, 0.6))))
            text = " ".join(corpus.passages(lang, pool.take(rng.integers(len(pool), size=sentences))))
            file.write(json.dumps({"id": f"{number}", "lang": lang, "text": text}, ensure_ascii=False) + "\n")


def _ours(encoder: Path, texts: Path, out: Path) -> _Speed:
    """Between the first parts, which wait for the encoders to be loaded, and the last."""
    watch = _run("ours", encoder, str(texts), out)
    files = sorted(out.glob("part-*.arrow"))
    ends = [file.stat().st_mtime for file in files]
    first, last = next(part for part in watch.parts if part[0] >= THREADS), watch.parts[-1]
    return (len(files) - THREADS) * PART / (ends[-1] - ends[THREADS - 1]), (last[0] - first[0]) * PART / (last[1] - first[1])


def _theirs(encoder: Path, texts: Path) -> _Speed:
    command = [sys.executable, "-m", "jobs.bench.encoding_run", "theirs", str(encoder), str(texts)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    if finished.returncode:
        raise RuntimeError(f"the sentence-transformers run failed:\n{finished.stderr[-2000:]}")
    speed: list[float] = json.loads(finished.stdout.splitlines()[-1])
    return speed[0], speed[1]


@dataclass
class _Watch:
    """What was seen of a run and of all its processes."""

    peak_gb: float = 0.0
    """Most memory at a time, shared pages counted once."""
    seconds: float = 0.0
    parts: list[tuple[int, float]] = field(default_factory=list)
    """(parts done, CPU seconds of all processes) whenever there was a part more."""


def _run(mode: str, encoder: Path, what: str, out: Path) -> _Watch:
    """Runs a bulk encoding in processes of its own and watches them."""
    partial = out.with_name(out.name + ".partial")
    for old in (out, partial):
        shutil.rmtree(old, ignore_errors=True)
    log, watch, began = out.with_name("encoding.log"), _Watch(), time.monotonic()
    cpu_of: dict[str, float] = {}
    with open(log, "w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "jobs.bench.encoding_run", mode, str(encoder), what, str(out)]
        env = os.environ | {"RAY_worker_niceness": "0"}  # by default Ray's workers stand back behind all other processes
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=env, start_new_session=True)
    try:
        while process.poll() is None:
            done = len(list((partial / "store").glob("part-*.arrow")))
            if mode == "ours":
                cpu_of.update(_each(process.pid, _cpu_seconds))  # also of processes that have ended since
                if done > (watch.parts[-1][0] if watch.parts else 0):
                    watch.parts.append((done, sum(cpu_of.values())))
            else:
                watch.peak_gb = max(watch.peak_gb, sum(_each(process.pid, _memory_gb).values()))
            time.sleep(0.3)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise RuntimeError(f"bulk encoding failed:\n{log.read_text(encoding='utf-8')[-2000:]}")
    watch.seconds = time.monotonic() - began
    return watch


def _each(session: int, measure: Callable[[Path], float]) -> dict[str, float]:
    """A measure of every process of a session, by its number."""
    measured = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it may end meanwhile
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                measured[process.name] = measure(process)
    return measured


def _cpu_seconds(process: Path) -> float:
    user, system = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _memory_gb(process: Path) -> float:
    """Proportional: a page that n processes share counts 1/n in each."""
    return int((process / "smaps_rollup").read_text().split("Pss:")[1].split()[0]) / 2**20
