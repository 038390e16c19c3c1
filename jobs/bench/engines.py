"""Inference engines: torch, ONNX Runtime in float32 and in int8, and SentenceTransformer.encode, with one encoder."""

import json
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from sentence_transformers import SentenceTransformer

from jobs.bench.encoding import MEDIUM, encoder_directory, write_passages
from jobs.bench.setup import Bench
from xlret.data.atlas.rows import atlas_rows
from xlret.data.corpus import ParallelCorpus
from xlret.evaluation.export import export
from xlret.evaluation.export_settings import ExportSettings
from xlret.model.encoder import Encoder
from xlret.model.export.record import Backend

QUESTIONS = 48
PASSAGES = 48
ROUNDS = 2
THREADS = 1
_TOKENS = 1024  # what `xlret index` takes on CPUs
_BACKENDS: tuple[Backend, ...] = ("onnx", "onnx-int8")


def run(bench: Bench, console: Console) -> None:
    """Questions one by one and passages in bulk through each engine, in turns, in one process of one thread."""
    corpus = ParallelCorpus.open(bench.job.corpora[0], verify=False)
    source = bench.directory / "engines" / "torch"
    shutil.rmtree(source.parent, ignore_errors=True)
    Encoder.load(bench.encoder or encoder_directory(bench, corpus, "medium", MEDIUM)).save(source)
    torch.set_num_threads(THREADS)
    for backend in _BACKENDS:
        export(source, source.with_name(backend), ExportSettings(backend=backend), console=console)
    encoders = {name: Encoder.load(source.with_name(name)) for name in ("torch", *_BACKENDS)}
    queries = [row.query for row in atlas_rows("dev") if row.query is not None]
    questions = [queries[row * len(queries) // QUESTIONS] for row in range(QUESTIONS)]
    console.print(f"{QUESTIONS} questions one by one, milliseconds of the clock and of the processor (medians):")
    clock, processor = _medians(
        {name: [partial(encoder.encode, [question], "query") for question in questions] for name, encoder in encoders.items()}
    )
    for name in encoders:
        console.print(
            f"  {name:22} {clock[name] * 1e3:7.1f} {processor[name] * 1e3:7.1f}   "
            f"{clock['torch'] / clock[name]:.2f} and {processor['torch'] / processor[name]:.2f} times torch"
        )
    file = bench.directory / "engines" / "passages.jsonl"
    write_passages(corpus, file, PASSAGES)
    passages = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    theirs = SentenceTransformer(str(source), device="cpu")
    bulk: dict[str, list[Callable[[], object]]] = {
        "SentenceTransformer": [lambda: theirs.encode_document(passages)] * ROUNDS,
        **{
            name: [partial(encoder.encode, passages, "passage", tokens_per_batch=_TOKENS)] * ROUNDS
            for name, encoder in encoders.items()
        },
    }
    console.print(f"{PASSAGES} passages in bulk, passages a second of the clock and of the processor (medians of {ROUNDS}):")
    clock, processor = _medians(bulk)
    for name in bulk:
        first = "SentenceTransformer"
        console.print(
            f"  {name:22} {PASSAGES / clock[name]:7.1f} {PASSAGES / processor[name]:7.1f}   "
            f"{clock[first] / clock[name]:.2f} and {processor[first] / processor[name]:.2f} times {first}"
        )


def _medians(calls: dict[str, list[Callable[[], object]]]) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of the clock and of the processor of each engine's calls, made in turns after one that warms up."""
    clock: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    for name in calls:
        calls[name][0]()
    for turn in zip(*calls.values(), strict=True):
        for name, call in zip(calls, turn, strict=True):
            began, used = time.perf_counter(), time.process_time()
            call()
            clock[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - used)
    return (
        {name: statistics.median(values) for name, values in clock.items()},
        {name: statistics.median(values) for name, values in processor.items()},
    )
