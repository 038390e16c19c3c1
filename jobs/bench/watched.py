"""A training run in fresh processes without Ray, watched step by step: seconds of the processor, memory, losses."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch.distributed as dist

from xlret.batches.assemble import Assembler, Batch
from xlret.config import settings_from
from xlret.files import remove_tree
from xlret.training.in_process import InProcessWorker
from xlret.training.log import read_lines
from xlret.training.loop import WorkerTask, training_loop
from xlret.training.settings import TrainJob
from xlret.training.setup import set_up


@dataclass(frozen=True)
class Watched:
    """What a run cost its first process, and what came of it."""

    run_directory: Path
    seconds: float
    """Of the processor for a step, the median of all but the first."""
    memory_mb: float
    """Most that the process held in steps after the first, above what it held before its encoder was loaded, as is the next."""
    held_mb: float
    """What it held after its last step, when gradients and activations are gone."""

    @property
    def losses(self) -> list[float]:
        """Of each step."""
        return [line["loss"] for line in read_lines(self.run_directory / "metrics.jsonl") if line["group"] == "train"]


@dataclass(frozen=True)
class Setting:
    """What runs that are compared have in common."""

    directory: Path
    encoder: Path
    corpora: tuple[Path, ...]
    pairs: int
    """Of a step."""
    steps: int

    def job(self, name: str, **changes: Any) -> TrainJob:
        """A run of hybrid batches, texts of at most 48 and 64 tokens, without Ray.

        Args:
            changes: what is to differ, as a recipe has it; `encoder` adds to what stands here.
        """
        encoder = {"start": str(self.encoder), "max_query_tokens": 48, "max_passage_tokens": 64}
        values = {
            "name": name,
            "storage": self.directory,
            "corpora": self.corpora,
            "steps": self.steps,
            "log_every": 1,
            "checkpoint_every": self.steps,
            "plan": {"batch_size": self.pairs, "small_pools": "drop"},
            "loss": {"temperature": 0.05},
            "ray": {"workers": 0},
            **changes,
            "encoder": encoder | changes.get("encoder", {}),
        }
        return settings_from(TrainJob, values)


def watched(job: TrainJob) -> Watched:
    """Trains as `job` says from the start, in as many new processes as it has workers (one for 0), one thread each.

    They talk over gloo. What an earlier run of this name left is removed.
    """
    directory, world = job.storage / job.name, max(1, job.ray.workers)
    if directory.exists():
        remove_tree(directory)
    directory.mkdir(parents=True)
    task = set_up(job, directory).task
    multiprocessing.set_forkserver_preload([__name__])  # imported once, by the process that all others are forked from
    with multiprocessing.get_context("forkserver").Pool(world) as pool:  # which ends them: none takes its process group down
        costs = pool.starmap(_train, [(task, rank, world) for rank in range(world)], chunksize=1)
    return Watched(directory, *costs[0])


def _train(task: WorkerTask, rank: int, world: int) -> tuple[float, float, float]:
    """What `Watched` tells of a run; of the first worker, who alone sees the steps."""
    if world > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        rendezvous = f"file://{task.run_directory / 'rendezvous'}"
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world)
    worker, before_mb = _Worker(rank, world), _memory_mb("VmRSS")
    training_loop(task, worker)
    if rank:
        return 0.0, 0.0, 0.0
    seconds = statistics.median(after - before for before, after in pairwise(worker.times))
    return seconds, worker.peak_mb - before_mb, worker.held_mb - before_mb


class _Worker(InProcessWorker):
    """A worker among others, who writes down when a step had ended and how much memory it took."""

    def __init__(self, rank: int, world: int) -> None:
        super().__init__(use_gpu=False)
        self.rank, self.world = rank, world
        self.times: list[float] = []
        self.peak_mb = self.held_mb = 0.0

    def batches(self, task: WorkerTask, start: int, stop: int) -> Generator[Batch]:
        assemble = Assembler(task.inputs)
        yield from (assemble(step, self.rank, self.world) for step in range(start, stop))

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        if metrics["group"] == "train":  # before a checkpoint or an evaluation of this step
            self.times.append(time.process_time())
            self.peak_mb, self.held_mb = _memory_mb("VmHWM"), _memory_mb("VmRSS")
            if step == 1:  # loading is over, and moments are there
                Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM is counted anew


def _memory_mb(name: str) -> float:
    """A line of this process's memory, in MB; `ru_maxrss` would be that of the process that started it."""
    return int(Path("/proc/self/status").read_text(encoding="utf-8").split(f"{name}:")[1].split()[0]) / 1024
