"""Training speed against sentence-transformers' own trainer: same encoder, batch, lengths, precision and threads."""

import json
import statistics
import subprocess
import sys

from rich.console import Console

from jobs.bench.setup import Bench
from xlret.training.log import read_lines
from xlret.training.run import train

STEPS = 60


def run(bench: Bench, console: Console) -> None:
    """Prints pairs/s of both for one and two processes, their ratio, and the share of time spent waiting for batches."""
    for workers in (1, 2):
        ours, waited = _ours(bench, workers)
        theirs = _theirs(bench, workers)
        console.print(
            f"{workers} process(es): xlret {ours:,.0f} pairs/s, sentence-transformers {theirs:,.0f} pairs/s, "
            f"ratio {ours / theirs:.2f} (wanted: 1.20); data wait {waited:.1%} (allowed: 2 %)"
        )


def _ours(bench: Bench, workers: int) -> tuple[float, float]:
    update = {
        "name": f"speed-{workers}",
        "steps": STEPS,
        "log_every": 10,
        "checkpoint_every": STEPS,
        "dev": bench.job.dev.model_copy(update={"corpora": ()}),
        "encoder": bench.job.encoder.model_copy(update={"start": str(bench.start)}),
        "ray": bench.job.ray.model_copy(update={"workers": workers}),
    }
    job = bench.job.model_copy(update=update)
    result = train(job, fresh=True, show=lambda line: None)
    steady = read_lines(result.run_directory / "metrics.jsonl")[2:]
    return statistics.median(line["pairs_per_second"] for line in steady), statistics.median(
        line["data_wait_share"] for line in steady
    )


def _theirs(bench: Bench, workers: int) -> float:
    """Pairs/s of `jobs.bench.sentence_transformers` over the later steps, in processes of its own."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"] if workers > 1 else []
    arguments = ["-m", "jobs.bench.sentence_transformers_run", str(bench.start), str(bench.job.corpora[0])]
    sizes = [str(bench.job.plan.batch_size // workers), str(STEPS), str(bench.job.encoder.max_passage_tokens)]
    finished = subprocess.run(
        [sys.executable, *launch, *arguments, *sizes], capture_output=True, text=True, check=False, timeout=900
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith('{"pairs_per_second"')]
    if finished.returncode or not lines:
        raise RuntimeError(f"the sentence-transformers run failed:\n{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}")
    return float(json.loads(lines[-1])["pairs_per_second"])
