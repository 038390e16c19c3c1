"""Building an index: shards side by side against one after the other, passes over the vectors, and cost by the passages."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from jobs.bench.apart import apart
from jobs.bench.setup import Bench
from xlret.errors import UserError
from xlret.keys import generator
from xlret.search.passages import Passage
from xlret.search.settings import IndexSettings

LANGUAGES = ("ar", "de", "en", "es", "ja", "sw")
DIMENSION = 384
PER_PART = 8192
WANTED = 1.6
_CENTRES = 2000
_FACTORY = "IVF1024,SQ8"
_QUERIES = 50
WORDS = tuple(a + b for a in ("ba", "do", "ki", "mu", "re", "so", "tu", "la") for b in ("na", "bo", "ri", "me", "pe", "ku"))


class Built(NamedTuple):
    """What a build said and cost."""

    seconds: float
    cpu_seconds: float
    """Of the building process."""
    passes: int
    stages: str
    peak_gb: float
    """Most memory of the building process."""


def run(bench: Bench, console: Console) -> None:
    """4 shards on 2 workers against one, 1 to 16 shards, and a tenth of the vectors against all: seconds, passes, memory."""
    directory = bench.directory / "indexing"
    table = Table(
        "passages", "shards", "workers", "seconds", "CPU s", "passes", "peak GB", "stages", title=f"{_FACTORY}, {DIMENSION}"
    )
    built = {}
    for count, shards, workers in (
        *((bench.vectors, 4, workers) for workers in (0, 2)),
        *((bench.vectors // 10, shards, 0) for shards in (4, 1, 16)),
    ):
        store = _store(directory / f"vectors-{count}", count)
        built[count, shards, workers] = _built(store, directory / "index", shards, workers)
        _add(table, count, shards, workers, built[count, shards, workers])
    console.print(table)
    alone, small = built[bench.vectors, 4, 0], {shards: built[bench.vectors // 10, shards, 0] for shards in (1, 4, 16)}
    ratio = alone.seconds / built[bench.vectors, 4, 2].seconds
    console.print(f"4 shards, 2 workers of one thread against one: {ratio:.2f} times as fast (wanted: {WANTED})")
    console.print(f"10 times the passages take {alone.cpu_seconds / small[4].cpu_seconds:.1f} times the CPU time")
    console.print(f"16 shards against one: {small[16].cpu_seconds / small[1].cpu_seconds:.2f} times the CPU time")


def _add(table: Table, count: int, shards: int, workers: int, built: Built) -> None:
    row = (f"{count:,}", f"{shards}", f"{workers}", f"{built.seconds:.1f}")
    table.add_row(*row, f"{built.cpu_seconds:.1f}", f"{built.passes}", f"{built.peak_gb:.2f}", built.stages)


def _built(store: Path, out: Path, shards: int, workers: int) -> Built:
    shutil.rmtree(out, ignore_errors=True)
    settings: dict[str, int | str] = {
        "shards": shards,
        "workers": workers,
        "threads": max(1, workers),
        "factory": _FACTORY,
        "certificate_queries": _QUERIES,
    }
    said, cost = apart(_build, store, out, settings, module="xlret.search.build", workers=workers)
    shutil.rmtree(out)
    seconds, _, rest = said.partition(" s: ")
    stages, _, reading = rest.partition("; all vectors were read ")
    return Built(float(seconds), cost.cpu_seconds, int(reading.split()[0]), stages, cost.peak_gb)


def _build(store: Path, out: Path, values: dict[str, int | str]) -> str:
    """The last line that a build says."""
    from xlret.search.build import build_index
    from xlret.search.vectors.store import VectorStore

    said = list[str]()
    build_index(VectorStore.open(store, verify=False), out, IndexSettings.model_validate(values), say=said.append)
    return said[-1]


def _store(path: Path, count: int) -> Path:
    """Made-up passages of about 200 characters with clustered vectors, written part by part."""
    from xlret.search.vectors.store import VectorStore, part_file, stored, write_manifest, write_part

    try:
        VectorStore.open(path, verify=False)
        return path
    except UserError:
        shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    counts = dict.fromkeys(LANGUAGES, 0)
    centres = generator(0, "indexing", "centres").standard_normal((_CENTRES, DIMENSION)).astype(np.float32)
    for number, start in enumerate(range(0, count, PER_PART)):
        passages = _passages(start, min(PER_PART, count - start))
        for passage in passages:
            counts[passage.lang] += 1
        vectors = stored([passage.id for passage in passages], _vectors(centres, start, len(passages)), "float16")
        write_part(path / part_file(number), passages, vectors, {})
    write_manifest(path, "float16", DIMENSION, counts, {}, {"dimension": DIMENSION}, {}, "")
    return path


def _passages(start: int, count: int) -> list[Passage]:
    ranks = generator(0, "indexing", "texts", start).integers(len(WORDS), size=(count, 40)).tolist()
    return [
        Passage(f"{row}", LANGUAGES[row % len(LANGUAGES)], None, " ".join([WORDS[rank] for rank in text]), {})
        for row, text in enumerate(ranks, start)
    ]


def _vectors(centres_CD: NDArray[np.float32], start: int, count: int) -> NDArray[np.float32]:
    numbers = generator(0, "indexing", "vectors", start)
    vectors = centres_CD[numbers.integers(_CENTRES, size=count)]
    vectors += 0.7 * numbers.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
