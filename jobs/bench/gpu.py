"""What a GPU makes of training: `python -m jobs.bench.gpu --encoder DIR --corpora DIR ...` (or `cluster/gpu.sh bench ...`).

In this process and without Ray, beside sentence-transformers' own trainer on the same encoder, pairs, lengths and precision.
"""

import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from jobs.bench import setup
from xlret.commands.frame import call, new_app, run
from xlret.config import settings_from
from xlret.errors import UserError
from xlret.model.encoder import Encoder
from xlret.training.log import read_lines
from xlret.training.run import train
from xlret.training.settings import TrainJob

WANTED, ALLOWED_WAIT = 1.3, 0.02
app = new_app("python -m jobs.bench.gpu", "Measures training on one GPU. Each figure is of the later half of a run's steps.")


@dataclass(frozen=True)
class Speed:
    """What a run's metrics say, medians of the later half."""

    pairs: float
    """A second. So are the next."""
    tokens: float
    waited: float
    """Share of the time in which the step waited for its batch."""
    memory_mb: float
    """At most."""


@app.default
def gpu(
    *,
    encoder: Path | None = None,
    corpora: tuple[Path, ...] = (),
    directory: Path = Path("runs/benchmark-gpu"),
    lengths: tuple[str, ...] = ("32/128", "64/256"),
    pairs: int = 512,
    cached_pairs: int = 8192,
    steps: int = 40,
    device: Literal["cuda", "cpu"] = "cuda",
) -> int:
    """Pairs and tokens a second, share of the device's peak, waiting for data, memory, and all of it with cached gradients.

    Args:
        encoder: such as multilingual-e5-small; by default the quickstart's, of random weights
        corpora: prepared ones, with enough rows for the batches; by default the embedded corpus
        directory: where runs are kept
        lengths: most tokens of a query and of a passage, QUERY/PASSAGE
        pairs: of a batch
        cached_pairs: of a batch whose gradients are cached
        steps: of each run, 4 or more; those with cached gradients have a quarter
        device: cpu tries the script out
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("there is no GPU; --device cpu tries the script out, on an encoder and batches that a CPU can bear")
    if steps < 4:
        raise UserError(f"--steps is {steps}; allowed is 4 or more, of which the later half is measured")
    console = Console(highlight=False, width=200)
    directory = directory.resolve()
    if encoder is None or not corpora:
        bench = setup.set_up(directory, 0)
        encoder, corpora = encoder or bench.start, corpora or bench.job.corpora
    peak = peak_flops(torch.device(device))
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    console.print(f"{name}, torch {torch.__version__}: {peak / 1e12:,.2f} TFLOP/s in a product of large matrices")
    for limits in lengths:
        query, passage = _limits(limits)
        start = directory / f"start-{query}-{passage}"
        loaded = Encoder.load(encoder, max_query_tokens=query, max_passage_tokens=passage)
        loaded.save(start, replace=True)
        console.rule(f"{query} tokens of a query, {passage} of a passage")
        theirs = _theirs(start, corpora[0], pairs, steps, passage, device)
        for packed in (False, True):
            ours = _ours(corpora, start, f"{query}-{passage}-{packed}", pairs, steps, device, {"encoder.packed": packed})
            share = ours.tokens * training_flops(loaded, ours.tokens / ours.pairs / 2) / peak
            form = "packed" if packed else "padded"
            console.print(
                f"{form}: {ours.pairs:,.1f} pairs/s, {ours.tokens:,.0f} tokens/s, {share:.1%} of the "
                f"peak; {ours.memory_mb:,.0f} MB; data wait {ours.waited:.1%} (allowed: {ALLOWED_WAIT:.0%}); "
                f"sentence-transformers {theirs:,.1f} pairs/s, ratio {ours.pairs / theirs:.2f} (wanted: {WANTED})"
            )
        changes = {"cached": True, "tokens_per_forward": 65_536 if device == "cuda" else 2048}
        cached = _ours(corpora, start, f"{query}-{passage}-cached", cached_pairs, max(4, steps // 4), device, changes)
        console.print(f"cached gradients, {cached_pairs:,} pairs: {cached.pairs:,.1f} pairs/s, {cached.memory_mb:,.0f} MB")
    return 0


def peak_flops(device: torch.device, size: int | None = None) -> float:
    """Floating-point operations a second of this device in a product of large matrices, in the precision that training has."""
    size = size or (8192 if device.type == "cuda" else 1024)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # waits for the device
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def training_flops(encoder: Encoder, length: float) -> float:
    """Operations that training takes for a token of a text of so many: forward, and twice as many backward.

    Two for each weight that is no embedding, and four times the length for each number of each layer's attention.
    """
    config: Any = encoder.backbone.config
    weights = sum(
        math.prod(weight.shape)
        for name, weight in encoder.backbone.named_parameters()
        if "embeddings.weight" not in name and not name.startswith("pooler.")
    )
    return float(3 * (2 * weights + 4 * length * config.hidden_size * config.num_hidden_layers))


def _limits(limits: str) -> tuple[int, int]:
    query, _, passage = limits.partition("/")
    if not (query.isdecimal() and passage.isdecimal()):
        raise UserError(f"--lengths {limits!r}; allowed are pairs of numbers such as 32/128")
    return int(query), int(passage)


def _ours(
    corpora: tuple[Path, ...], start: Path, name: str, pairs: int, steps: int, device: str, changes: dict[str, Any]
) -> Speed:
    packed = changes.get("encoder.packed", "auto")
    values = {
        "name": name,
        "storage": start.parent / "runs",
        "corpora": corpora,
        "steps": steps,
        "log_every": 1,
        "checkpoint_every": steps,
        "precision": "bfloat16" if device == "cuda" else "float32",
        "tokens_per_forward": 65_536 if device == "cuda" else 2048,
        "plan": {"batch_size": pairs, "regime": "mixed", "small_pools": "drop"},
        "encoder": {"start": str(start), "packed": packed},
        "ray": {"workers": 0, "gpu": device == "cuda"},
        **{key: value for key, value in changes.items() if "." not in key},
    }
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    result = train(settings_from(TrainJob, values), fresh=True, show=None)
    lines = read_lines(result.run_directory / "metrics.jsonl")
    later = lines[len(lines) // 2 :]
    pairs_s, tokens_s, waited = (
        statistics.median(line[name] for line in later) for name in ("pairs_per_second", "tokens_per_second", "data_wait_share")
    )
    return Speed(pairs_s, tokens_s, waited, max(line["peak_memory_mb"] for line in lines))


def _theirs(start: Path, corpus: Path, pairs: int, steps: int, length: int, device: str) -> float:
    """Pairs a second of sentence-transformers' trainer, in a process of its own."""
    command = [sys.executable, "-m", "jobs.bench.sentence_transformers_run", start, corpus, pairs, steps, length, device]
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=900)
    lines = [line for line in finished.stdout.splitlines() if line.startswith('{"pairs_per_second"')]
    if finished.returncode or not lines:
        raise RuntimeError(f"the sentence-transformers run failed:\n{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}")
    return float(json.loads(lines[-1])["pairs_per_second"])


if __name__ == "__main__":
    run(lambda: call(app, sys.argv[1:]))
