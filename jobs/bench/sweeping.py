"""Two trainings side by side under Ray Tune against the same two one after the other without it, on the same cores."""

import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.config import as_yaml, settings_from
from xlret.files import write_text
from xlret.session import ray_session
from xlret.sweep.in_process import in_process, sweep_in_process
from xlret.sweep.ranking import seen
from xlret.sweep.search import Search, search_of
from xlret.sweep.settings import SweepJob
from xlret.sweep.tune import sweep_on_ray
from xlret.training.log import read_lines

STEPS = 200


def run(bench: Bench, console: Console) -> None:
    """Prints both times, the overhead of Tune, and how long a trial takes from its process's start to its first step."""
    quiet = Console(quiet=True)
    job = _job(bench, "side-by-side", threads=1)
    with ray_session(cpus=2), _first_steps(job.out / "trials") as startups:  # Ray's own start is not a trial's
        beside = _timed(job, lambda search: sweep_on_ray(job, search, quiet))
    alone = in_process(_job(bench, "one-after-the-other", threads=2))
    after = _timed(alone, lambda search: sweep_in_process(alone, search, quiet))
    console.print(
        f"two trials of {STEPS} steps on 2 cores: side by side under Tune {beside:.1f} s, one after the other {after:.1f} s, "
        f"overhead {beside / after - 1:+.0%} (allowed: 15 %); process start to first step "
        f"{statistics.mean(startups.values()):.1f} s (allowed: 10 s)"
    )


def _job(bench: Bench, name: str, threads: int) -> SweepJob:
    out = bench.directory / "sweeps" / name
    shutil.rmtree(out, ignore_errors=True)
    run = bench.job.model_copy(
        update={
            "steps": STEPS,
            "log_every": 1,
            "checkpoint_every": STEPS,
            "dev": bench.job.dev.model_copy(update={"every": STEPS // 4}),
            "encoder": bench.job.encoder.model_copy(update={"start": str(bench.start)}),
            "ray": bench.job.ray.model_copy(update={"workers": 0}),
        }
    )
    out.mkdir(parents=True)
    write_text(out / "base.yaml", as_yaml(run))
    return settings_from(
        SweepJob,
        {
            "name": name,
            "out": out,
            "base": out / "base.yaml",
            "space": {"optimiser.learning_rate": [1e-4, 1e-3]},
            "changes": {"ray.threads_per_worker": threads},
            "seeds": [0],
            "evaluation": {"corpus": str(run.dev.corpora[0]), "run_depth": 0},
        },
    )


@contextmanager
def _first_steps(trials: Path) -> Iterator[dict[str, float]]:
    """Watches trials begin: name -> seconds from the start of its process to its first step."""
    seconds: dict[str, float] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for path in trials.glob("*/metrics.jsonl"):
                name = path.parent.name
                if name not in seconds and any(line["group"] == "train" for line in read_lines(path)):
                    seconds[name] = time.time() - _began(path.parent)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seconds
    finally:
        done.set()
        thread.join()


def _began(run_directory: Path) -> float:
    """When the process of a run under way was started; the names of TensorBoard's files tell which it is."""
    (events,) = (run_directory / "tensorboard").iterdir()
    return float(psutil.Process(int(events.name.split(".")[-2])).create_time())


def _timed(job: SweepJob, sweep: Callable[[Search], None]) -> float:
    """Seconds that a sweep takes, all of which must finish."""
    search, began = search_of(job), time.monotonic()
    sweep(search)
    seconds = time.monotonic() - began
    if odd := [name for name, configuration in search.proposed.items() if seen(job, configuration).status != "finished"]:
        raise RuntimeError(f"{', '.join(odd)} did not finish; see {job.out}")
    return seconds
