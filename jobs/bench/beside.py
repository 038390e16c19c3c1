"""Dev evaluation beside training against evaluation in the loop: what either costs the process that trains."""

import time
from pathlib import Path

from rich.console import Console

from jobs.bench.setup import Bench
from xlret.files import remove_tree
from xlret.session import ray_session
from xlret.training.in_process import InProcessWorker
from xlret.training.log import read_lines
from xlret.training.loop import training_loop
from xlret.training.ray_evaluator import RayEvaluator
from xlret.training.setup import set_up

STEPS, EVERY = 8, 4


def run(bench: Bench, console: Console) -> None:
    """Seconds of a run with dev evaluations in the loop and with them beside it, and whether their numbers are the same."""
    with ray_session():
        evaluator = RayEvaluator(bench.job)  # its process starts while the first run goes
        in_loop = _trained(bench, evaluator, beside=False)
        beside = _trained(bench, evaluator, beside=True)
    for name, (clock, processor, _) in (("in the loop", in_loop), ("beside", beside)):
        console.print(f"{name}: {clock:.1f} s, {processor:.1f} s of the processor in the process that trains")
    ratios = [loop_seconds / beside_seconds for loop_seconds, beside_seconds in zip(in_loop[:2], beside[:2], strict=True)]
    console.print(
        f"{STEPS} steps, {1 + STEPS // EVERY} evaluations: in the loop takes {ratios[1]:.2f} times the processor of beside, "
        f"{ratios[0]:.2f} times the clock; the same numbers: {in_loop[2] == beside[2]}"
    )


def _trained(bench: Bench, evaluator: RayEvaluator, *, beside: bool) -> tuple[float, float, list[dict[str, float]]]:
    """Seconds by the clock and of this process, and the evaluations."""
    update = {
        "name": "beside" if beside else "loop",
        "steps": STEPS,
        "log_every": 2,
        "checkpoint_every": STEPS,
        "dev": bench.job.dev.model_copy(update={"beside": beside, "every": EVERY}),
        "encoder": bench.job.encoder.model_copy(update={"start": str(bench.start)}),
        "ray": bench.job.ray.model_copy(update={"workers": 1, "room_s": 600.0}),  # it has room, and may be slow to start
    }
    job = bench.job.model_copy(update=update)
    directory = job.storage / job.name
    if directory.exists():
        remove_tree(directory)
    directory.mkdir(parents=True)
    task = set_up(job, directory).task
    clock, processor = time.monotonic(), time.process_time()
    training_loop(task, _Worker(evaluator))
    seconds = time.monotonic() - clock, time.process_time() - processor
    lines = read_lines(Path(directory) / "metrics.jsonl")
    return *seconds, [line for line in lines if line["group"] == "dev"]


class _Worker(InProcessWorker):
    """Trains in this process, and has a process of Ray's evaluate."""

    def __init__(self, evaluator: RayEvaluator) -> None:
        super().__init__(use_gpu=False)
        self._evaluator = evaluator

    def evaluator(self) -> RayEvaluator:  # type: ignore[override]
        return self._evaluator
