"""A training run by processes that know nothing of Ray: what one over Ray must end in. `python without_ray.py RECIPE`."""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
import yaml

from xlret.config import settings_from
from xlret.training.in_process import InProcessWorker, ahead
from xlret.training.loop import WorkerTask, training_loop
from xlret.training.settings import TrainJob
from xlret.training.setup import set_up


class GlooWorker(InProcessWorker):
    """One of several (a `loop.Worker`)."""

    def __init__(self, rank: int, world: int) -> None:
        super().__init__(use_gpu=False)
        self.rank, self.world = rank, world  # type: ignore[misc]

    def batches(self, task: WorkerTask, start: int, stop: int) -> Any:
        from xlret.batches.assemble import Assembler

        assemble = Assembler(task.inputs)
        yield from ahead(lambda step: assemble(step, self.rank, self.world), range(start, stop), 4)


def work(rank: int, world: int, task: WorkerTask) -> None:
    """What each process does."""
    meeting = task.run_directory / "meeting"
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    training_loop(task, GlooWorker(rank, world))
    dist.destroy_process_group()


if __name__ == "__main__":
    job = settings_from(TrainJob, yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8")))
    directory = job.storage / job.name
    directory.mkdir(parents=True)
    task, _, _ = set_up(job, directory)
    torch.multiprocessing.start_processes(work, (job.ray.workers, task), job.ray.workers, start_method="spawn")
