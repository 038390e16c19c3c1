"""Making a corpus of many rows: two workers against one process, and memory by the number of rows."""

import json
import shutil
from pathlib import Path

from rich.console import Console

from jobs.bench.apart import apart
from jobs.bench.indexing import LANGUAGES, WORDS
from jobs.bench.setup import Bench
from xlret.config import settings_from
from xlret.data.prepare import PrepareSettings, prepare
from xlret.keys import generator

WANTED = 1.7
_AT_ONCE = 6000


def run(bench: Bench, console: Console) -> None:
    """Rows/s of preparing `passages` in one process and by two tasks of Ray; peak memory of a tenth as many."""
    directory = bench.directory / "preparing"
    directory.mkdir(parents=True, exist_ok=True)
    speeds = {}
    for count, workers in ((bench.passages // 10, 0), (bench.passages, 0), (bench.passages, 2)):
        file = directory / f"rows-{count}.jsonl"
        if not file.exists():
            _write_rows(file, count)
        fingerprint, cost = apart(_prepare, file, directory / "corpora", workers, module="xlret.data.prepare", workers=workers)
        speeds[count, workers] = count / cost.seconds
        console.print(
            f"{count:,} rows in {len(LANGUAGES)} languages, {workers} workers: {speeds[count, workers]:,.0f} rows/s, "
            f"{count / cost.cpu_seconds:,.0f} a second of the driving process's CPU, "
            f"{cost.peak_gb:.2f} GB at most in the driving process, corpus {fingerprint[:12]}"
        )
    ratio = speeds[bench.passages, 2] / speeds[bench.passages, 0]
    console.print(f"2 workers against one process: {ratio:.2f} times as fast (wanted: {WANTED})")


def _prepare(file: Path, output: Path, workers: int) -> str:
    from xlret.data.corpus import ParallelCorpus

    shutil.rmtree(output, ignore_errors=True)
    corpora = {"made": {"read": {"format": "rows", "files": [str(file)]}, "dev": 600}}
    [prepared] = prepare(settings_from(PrepareSettings, {"output": str(output), "corpora": corpora, "workers": workers}))
    fingerprint = ParallelCorpus.open(prepared.train, verify=False).manifest.fingerprint
    shutil.rmtree(output)
    return fingerprint


def _write_rows(path: Path, count: int) -> None:
    """Groups in all languages, of a question of 6 words and a passage of 25; every hundredth question comes in ten groups."""
    with open(path.with_suffix(".tmp"), "w", encoding="utf-8") as file:
        for start in range(0, count, _AT_ONCE):
            rows = min(_AT_ONCE, count - start)
            ranks = generator(0, "preparing", start).integers(len(WORDS), size=(rows, 31)).tolist()
            for number, text in enumerate(ranks, start):
                group, words = number // len(LANGUAGES), [WORDS[rank] for rank in text]
                query = f"question {group % 1000}" if group % 100 == 0 else " ".join(words[:6])
                lang = LANGUAGES[number % len(LANGUAGES)]
                record = {"group_id": group, "lang": lang, "query": query, "text": " ".join(words[6:])}
                file.write(json.dumps(record) + "\n")
    path.with_suffix(".tmp").rename(path)
