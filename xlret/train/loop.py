"""The training loop that runs in every Ray Train worker.

Everything random is a function of (seed, step, worker), the learning rate a function of the step: nothing but weights and
optimiser moments is carried from step to step, so a run that goes on from a checkpoint ends in the same weights.
"""

import contextlib
import math
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray.train
import torch
import torch.distributed as dist
from ray.train import Checkpoint
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from xlret.batches.assemble import Batch, Inputs
from xlret.batches.stream import StreamOptions, batches
from xlret.errors import UserError
from xlret.keys import key_of
from xlret.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from xlret.train.dev import DevSets
from xlret.train.kinds import load_step
from xlret.train.log import MetricLog
from xlret.train.settings import OptimiserSettings, TrainJob
from xlret.train.steps.base import Step


@dataclass(frozen=True)
class WorkerTask:
    """What the driver tells every worker."""

    job: TrainJob
    run_directory: Path
    inputs: Inputs
    fingerprint: str


@dataclass
class _Window:
    """Sums over the steps since the last report."""

    started: float = field(default_factory=time.perf_counter)
    paused: float = 0.0  # seconds of evaluation and checkpoints
    loss: float = 0.0
    steps: int = 0
    waited: float = 0.0
    tokens: int = 0
    padded: int = 0
    words: int = 0
    switched: int = 0


def worker_loop(task: WorkerTask) -> None:
    """Trains until the last step; reports a checkpoint to Ray Train every `checkpoint_every` steps and at the end."""
    job = task.job
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    torch.set_num_threads(job.ray.threads_per_worker)
    torch.use_deterministic_algorithms(mode=device.type == "cpu", warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a check for bugs that costs a tenth of the time
    module = load_step(job, task.run_directory / "start", device)
    optimiser = torch.optim.AdamW(_parameter_groups(module, job.optimiser), lr=0.0, betas=(0.9, 0.999), eps=1e-8, fused=True)
    progress = Progress(step=0, fingerprint=task.fingerprint)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            progress = load_checkpoint(Path(directory), module, optimiser, task.fingerprint)
    stream = _stream(task, rank, world, progress.step)
    model = _distributed(module, device, world)
    dev = DevSets.open(job.dev) if job.dev.corpora else None
    log = MetricLog(task.run_directory, progress.step, job.name) if rank == 0 else None
    module.train()
    with log or contextlib.nullcontext():
        if dev is not None and progress.step == 0:
            progress = _evaluate(task, dev, module, progress, rank, world, log)
        window = _Window()
        while progress.step < job.steps:
            loss, mono = _optimiser_step(task, model, module, optimiser, stream, progress.step, rank, window)
            progress = replace(progress, step=progress.step + 1, mono_batches=progress.mono_batches + mono)
            window.loss += loss
            window.steps += 1
            step = progress.step
            last = step == job.steps
            if step % job.log_every == 0 or last:
                _report(task, window, progress, world, device, log)
                window = _Window()
            began = time.perf_counter()
            if dev is not None and (step % job.dev.every == 0 or last):
                progress = _evaluate(task, dev, module, progress, rank, world, log)
            if step % job.checkpoint_every == 0 or last:
                _checkpoint(module, optimiser, progress, rank)
            window.paused += time.perf_counter() - began
        if dev is None and rank == 0:
            module.save(task.run_directory / "model")


def learning_rate(settings: OptimiserSettings, step: int, steps: int) -> float:
    """The learning rate of the update that follows `step` updates: linear warm-up, then the schedule.

    >>> s = OptimiserSettings(learning_rate=1.0, warmup=0.5, schedule="linear")
    >>> [learning_rate(s, step, 8) for step in (0, 3, 4, 6)]
    [0.25, 1.0, 1.0, 0.5]
    """
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    if settings.schedule == "linear":
        return settings.learning_rate * (1 - share)
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
    return settings.learning_rate


def _optimiser_step(
    task: WorkerTask,
    model: nn.Module,
    module: Step,
    optimiser: torch.optim.Optimizer,
    stream: Iterator[Batch],
    step: int,
    rank: int,
    window: _Window,
) -> tuple[float, int]:
    """One update from `accumulate` batches; returns this worker's mean loss and the number of monolingual batches."""
    job = task.job
    total, mono = 0.0, 0
    for part in range(job.accumulate):
        began = time.perf_counter()
        batch = next(stream)
        window.waited += time.perf_counter() - began
        torch.manual_seed(key_of(job.seed, "dropout", step, part, rank) % 2**63)
        wait_for_sync = isinstance(model, DistributedDataParallel) and part < job.accumulate - 1
        with model.no_sync() if wait_for_sync else contextlib.nullcontext():  # type: ignore[operator]
            loss: Tensor = model(batch) / job.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
        mono += batch.kind == "mono"
        window.tokens += batch.tokens
        window.padded += module.padded_tokens(batch)
        window.words += batch.words
        window.switched += batch.switched
    if not math.isfinite(total):
        raise UserError(f"the loss of step {step} is {total}; lower optimiser.learning_rate or use float32")
    nn.utils.clip_grad_norm_(model.parameters(), job.optimiser.clip)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(job.optimiser, step, job.steps)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return total, mono


def _stream(task: WorkerTask, rank: int, world: int, start: int) -> Iterator[Batch]:
    job = task.job
    options = StreamOptions(job.ray.steps_per_block, job.ray.blocks_ahead, job.ray.cpus_per_task)
    return batches(task.inputs, rank, world, start * job.accumulate, job.steps * job.accumulate, options)


def _distributed(module: Step, device: torch.device, world: int) -> nn.Module:
    """The module under DDP where there are several workers, with DDP's buckets in their final order.

    DDP regroups its gradient buckets after the first backward pass, and with more than two workers the order of summation
    follows the buckets. One pass on a made-up batch here gives fresh and resumed runs the same buckets from the first step on.
    """
    if world == 1:
        return module
    devices = [device.index] if device.type == "cuda" else None
    model = DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True)
    for _ in range(2):
        model(module.made_up()).backward()
    module.zero_grad(set_to_none=True)
    return model


def _parameter_groups(module: nn.Module, settings: OptimiserSettings) -> list[dict[str, Any]]:
    """Weight decay for matrices, none for biases, norms and the temperature."""
    trained = [one for one in module.parameters() if one.requires_grad]
    return [
        {"params": [one for one in trained if one.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
    ]


def _report(
    task: WorkerTask, window: _Window, progress: Progress, world: int, device: torch.device, log: MetricLog | None
) -> None:
    """Sums the window over all workers; the first worker writes it down. All workers must call it."""
    seconds = time.perf_counter() - window.started - window.paused
    sums = [window.loss, window.waited, window.tokens, window.padded, window.words, window.switched]
    total = torch.tensor(sums, dtype=torch.float64, device=device)
    if world > 1:
        dist.all_reduce(total)
    if log is None:
        return
    loss, waited, tokens, padded, words, switched = total.tolist()
    job = task.job
    pairs = window.steps * job.accumulate * job.plan.batch_size
    log.write(
        progress.step,
        {
            "loss": loss / world / window.steps,
            "learning_rate": learning_rate(job.optimiser, progress.step - 1, job.steps),
            "pairs_per_second": pairs / seconds,
            "tokens_per_second": tokens / seconds,
            "padding_share": 1 - tokens / padded,
            "data_wait_share": waited / world / seconds,
            "alpha": progress.mono_batches / (progress.step * job.accumulate),
            "switch_ratio": switched / words if words else 0.0,
            "peak_memory_mb": _peak_memory_mb(device),
            "seconds": seconds,
        },
    )


def _evaluate(
    task: WorkerTask, dev: DevSets, module: Step, progress: Progress, rank: int, world: int, log: MetricLog | None
) -> Progress:
    """Dev evaluation; the first worker keeps the model in `model/` where it is the best so far. All workers must call it."""
    metrics = module.evaluate(dev, rank, world)
    value = torch.tensor([metrics[task.job.dev.metric] if metrics else 0.0], dtype=torch.float64)
    if world > 1:
        device = next(module.parameters()).device
        value = value.to(device)
        dist.broadcast(value, 0)
    found = float(value.item())
    if math.isnan(found):
        raise UserError(f"dev.metric {task.job.dev.metric} has no queries to stand on in dev.corpora; choose another metric")
    better = progress.best_metric is None or found > progress.best_metric
    if log is not None and metrics is not None:
        log.write(progress.step, {**metrics, "best": better}, group="dev")
        if better:
            module.save(task.run_directory / "model")
    return replace(progress, best_metric=found, best_step=progress.step) if better else progress


def _checkpoint(module: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress, rank: int) -> None:
    name = f"step-{progress.step:09d}"
    metrics = {"step": progress.step, "best_metric": progress.best_metric, "best_step": progress.best_step}
    if rank > 0:
        ray.train.report(metrics, checkpoint=None, checkpoint_dir_name=name)
        return
    with tempfile.TemporaryDirectory(prefix="xlret-checkpoint-") as directory:
        save_checkpoint(Path(directory), module, optimiser, progress)
        ray.train.report(metrics, checkpoint=Checkpoint.from_directory(directory), checkpoint_dir_name=name)


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
