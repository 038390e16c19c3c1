"""Runs of two workers, with all weights in each (DDP) and with weights spread over both (FSDP2), against one process."""

import json
import shutil
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from together import run_together

from xlret.batches.assemble import Assembler, Batch
from xlret.model.encoder import Encoder
from xlret.training.checkpoint import WEIGHTS, Progress, checkpoint_path
from xlret.training.in_process import InProcessWorker
from xlret.training.loop import WorkerTask, training_loop
from xlret.training.settings import TrainJob
from xlret.training.setup import set_up

STEPS = 4
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cached": {"cached": True, "tokens_per_forward": 64},
    "padded": {"tokens_per_forward": 64, "encoder": {"packed": False}},
    "adapters": {"encoder": {"lora": {"rank": 2}}},
    "checkpointed": {"encoder": {"gradient_checkpointing": True}},
}


def job(storage: Path, corpora: Path, start: Path, name: str, kind: str, **ray: Any) -> TrainJob:
    changes = KINDS[kind]
    values = {
        "name": name,
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": STEPS,
        "log_every": 1,
        "checkpoint_every": 2,
        "plan": {"batch_size": 8},
        "optimiser": {"learning_rate": 1e-3},
        "dev": {"corpora": [corpora / "dev"], "every": 2, "groups": 3, "languages": ["en", "de"]},
        "ray": {"workers": 2, **ray},
        **changes,
        "encoder": {"start": str(start), **changes.get("encoder", {})},
    }
    return TrainJob.model_validate(values)


class Worker:
    """One of two workers, without Ray."""

    world = 2
    device = torch.device("cpu")

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def batches(self, task: WorkerTask, start: int, stop: int) -> Generator[Batch]:
        assemble = Assembler(task.inputs)
        yield from (assemble(step, self.rank, 2) for step in range(start, stop))

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None: ...

    def evaluated(self, progress: Progress, metrics: Mapping[str, float]) -> None: ...

    def evaluator(self) -> None: ...

    def saved(self, progress: Progress, metrics: Mapping[str, float], checkpoint: Path) -> None: ...

    def leaving(self) -> bool:
        return False


def work(rank: int, tasks: list[WorkerTask], place: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/rendezvous", rank=rank, world_size=2)
    for task in tasks:
        training_loop(task, Worker(rank))


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow  # two processes that import everything
def test_sharded_runs_are_those_of_whole_copies_and_of_one_process(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    tasks, alone = [], []
    for kind in KINDS:
        for name, ray in (("ddp", {}), ("fsdp", {"sharding": "fsdp"}), ("alone", {"workers": 0})):
            trained = job(tmp_path, corpora, encoder, f"{kind}-{name}", kind, **ray)
            (alone if name == "alone" else tasks).append(set_up(trained, tmp_path / trained.name).task)
    for task in alone:
        training_loop(task, InProcessWorker(use_gpu=False))
    # One that goes on from the checkpoint of a sharded run, sharded, and one that goes on from it with whole copies.
    for name in ("fsdp", "ddp"):
        task = next(task for task in tasks if task.job.name == f"plain-{name}")
        again = tmp_path / f"again-{name}"
        shutil.copytree(task.run_directory, again)
        middle = checkpoint_path(tmp_path / "plain-fsdp", 2)
        tasks.append(replace(task, run_directory=again, resume=middle))
    run_together(work, 2, (tasks,), tmp_path)

    for kind in KINDS:
        runs = {name: tmp_path / f"{kind}-{name}" for name in ("alone", "ddp", "fsdp")}
        wanted = metrics(runs["alone"])
        assert len(wanted) == STEPS + 3
        for name in ("ddp", "fsdp"):
            for mine, line in zip(metrics(runs[name]), wanted, strict=True):
                for key in ("step", "loss", "mul", "cr"):
                    assert mine.get(key) == pytest.approx(line.get(key), abs=1e-5), (kind, name, key)
        whole, shared, one = (load_file(checkpoint_path(runs[name], STEPS) / WEIGHTS) for name in ("ddp", "fsdp", "alone"))
        assert whole.keys() == shared.keys() == one.keys()
        for weight, tensor in whole.items():
            torch.testing.assert_close(shared[weight], tensor, rtol=0, atol=1e-4, msg=f"{kind} {weight}")
            torch.testing.assert_close(one[weight], tensor, rtol=0, atol=1e-4, msg=f"{kind} {weight}")
        texts = ["ba be bi", "bo"]
        vectors = [Encoder.load(runs[name] / "model").encode(texts, "query") for name in ("ddp", "fsdp")]
        np.testing.assert_allclose(*vectors, rtol=0, atol=1e-4)
    last = checkpoint_path(Path("."), STEPS)
    unbroken = load_file(tmp_path / "plain-fsdp" / last / WEIGHTS)
    for name, within in (("fsdp", 0.0), ("ddp", 1e-4)):
        for weight, tensor in load_file(tmp_path / f"again-{name}" / last / WEIGHTS).items():
            torch.testing.assert_close(tensor, unbroken[weight], rtol=0, atol=within, msg=f"{name} {weight}")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ray": {"workers": 1, "sharding": "fsdp"}}, "for two or more workers, and ray.workers is 1"),
        ({"model": "reranker"}, "is for a retriever"),
        ({"loss": {"learned_temperature": True}}, "one number"),
        ({"encoder": {"start": "/x", "lora": {"rank": 2, "half": True}}, "precision": "bfloat16"}, "never tried together"),
    ],
)
def test_what_cannot_be_sharded_is_refused(changes: dict[str, Any], told: str) -> None:
    values = {"name": "run", "corpora": ["x"], "ray": {"workers": 2, "sharding": "fsdp"}}
    with pytest.raises(ValueError, match=told):
        TrainJob.model_validate(values | changes)
