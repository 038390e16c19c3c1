"""Resident memory of training on a large corpus against a small one: the corpus is mapped, never loaded."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from jobs.bench.setup import Bench
from xlret.data.corpus import Row, write_corpus
from xlret.training.log import read_lines
from xlret.training.run import train

LANGUAGES = ("en", "de", "fr", "es", "ru")
STEPS = 60


def run(bench: Bench, console: Console) -> None:
    """Prints the peak resident memory of a training worker and of an assembling process on 50 thousand and 5 million rows."""
    peaks = {}
    for count in (50_000, 5_000_000):
        path = bench.directory / f"synthetic-{count}"
        if not path.exists():
            write_corpus(path, _rows(count), source="synthetic", licence="none", revision="1", made_by="jobs.benchmark memory")
        peaks[count] = _worker_peak_mb(bench, path, count), _assembler_peak_mb(bench, path)
        console.print(f"{count:,} rows: training worker {peaks[count][0]:.0f} MB, assembling process {peaks[count][1]:.0f} MB")
    more = [large - small for small, large in zip(peaks[50_000], peaks[5_000_000], strict=True)]
    console.print(
        f"5,000,000 rows take {more[0]:+.0f} MB in a worker and {more[1]:+.0f} MB in an assembling process (allowed: +200)"
    )


def _rows(count: int) -> Iterator[Row]:
    for group in range(count // len(LANGUAGES)):
        for lang in LANGUAGES:
            yield Row(
                f"{group}",
                lang,
                f"{lang} question {group} of many",
                None,
                f"{lang} passage that answers {group}, at some length",
            )


def _worker_peak_mb(bench: Bench, path: Path, count: int) -> float:
    update = {
        "name": f"memory-{count}",
        "corpora": (path,),
        "steps": STEPS,
        "checkpoint_every": STEPS,
        "dev": bench.job.dev.model_copy(update={"corpora": ()}),
        "encoder": bench.job.encoder.model_copy(update={"start": str(bench.start)}),
    }
    job = bench.job.model_copy(update=update)
    result = train(job, fresh=True, show=lambda line: None)
    return float(max(line["peak_memory_mb"] for line in read_lines(result.run_directory / "metrics.jsonl")))


def _assembler_peak_mb(bench: Bench, path: Path) -> float:
    """Peak resident memory of a fresh process that assembles batches, in MB."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_assemble, (bench, path))


def _assemble(bench: Bench, path: Path) -> float:
    from dataclasses import replace

    from xlret.batches.assemble import Assembler

    assemble = Assembler(replace(bench.inputs, corpora=(path,)))
    for step in range(STEPS):
        assemble(step, 0, 2)
    status = Path("/proc/self/status").read_text()  # `ru_maxrss` would be that of the process that started this one
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
