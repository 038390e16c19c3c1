"""Two trainings side by side under Ray Tune against the same two one after the other without it, on the same cores."""

import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from jobs.bench.setup import Bench
from xlret.config import as_yaml, settings_from
from xlret.files import write_text
from xlret.session import ray_session
from xlret.sweep.in_process import in_process, sweep_in_process
from xlret.sweep.ranking import seen
from xlret.sweep.result import RESULT
from xlret.sweep.search import Search, search_of
from xlret.sweep.settings import SweepJob
from xlret.sweep.tune import sweep_on_ray

STEPS = 200


def run(bench: Bench, console: Console) -> None:
    """Prints both times, the overhead of Tune, how long a trial takes to its first step, and what its reports hold up."""
    quiet = Console(quiet=True)
    job = _job(bench, "side-by-side", threads=1)
    with ray_session(cpus=2):  # Ray's own start is not a trial's
        beside = _timed(job, lambda search: sweep_on_ray(job, search, quiet))
    startups = [startup_seconds(trial) for trial in _trials(job)]
    alone = in_process(_job(bench, "one-after-the-other", threads=2))
    after = _timed(alone, lambda search: sweep_in_process(alone, search, quiet))
    later = seconds_to_next(*sorted(_trials(alone), key=lambda trial: (trial / RESULT).stat().st_mtime))
    held, free = (statistics.mean(map(seconds_after_dev, _trials(sweep))) for sweep in (job, alone))
    console.print(
        f"two trials of {STEPS} steps on 2 cores: side by side under Tune {beside:.1f} s, one after the other {after:.1f} s, "
        f"overhead {beside / after - 1:+.0%} (allowed: 15 %); process start to first step "
        f"{statistics.mean(startups):.1f} s (allowed: 10 s), in a process that has trained before {later:.1f} s; from a dev "
        f"evaluation to the next step {held:.2f} s with a report to Tune, {free:.2f} s without"
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


def _trials(job: SweepJob) -> list[Path]:
    return [path.parent for path in job.out.glob("trials/*/run.json")]


def startup_seconds(run_directory: Path) -> float:
    """From the start of a run's process, as its `run.json` has it, to its first step, as its TensorBoard events have it.

    Where the process was one of Ray's that had waited for work, its waiting counts too; where it had trained another
    configuration before, that as well.

    Raises:
        RuntimeError: the system does not tell when a process was started.
    """
    started = json.loads((run_directory / "run.json").read_text(encoding="utf-8"))["process_started"]
    if started is None:
        raise RuntimeError(f"{run_directory / 'run.json'} does not say when its process was started; that takes Linux")
    return _first_step(run_directory) - float(started)


def seconds_to_next(earlier: Path, later: Path) -> float:
    """From the end of a process's trial, its evaluation included, to the first step of the same process's next one."""
    return _first_step(later) - (earlier / RESULT).stat().st_mtime


def _first_step(run_directory: Path) -> float:
    steps = EventAccumulator(str(run_directory / "tensorboard")).Reload().Scalars("train/loss")
    return float(steps[0].wall_time)


def seconds_after_dev(run_directory: Path) -> float:
    """Mean time from a dev evaluation's numbers to the end of the next step, which a report to Tune comes between."""
    events = EventAccumulator(str(run_directory / "tensorboard")).Reload()
    steps = {event.step: event.wall_time for event in events.Scalars("train/loss")}
    devs = {event.step: event.wall_time for event in events.Scalars("dev/mul")}
    return statistics.fmean(steps[step + 1] - told for step, told in devs.items() if step + 1 in steps)


def _timed(job: SweepJob, sweep: Callable[[Search], None]) -> float:
    """Seconds that a sweep takes, all of which must finish."""
    search, began = search_of(job), time.monotonic()
    sweep(search)
    seconds = time.monotonic() - began
    if odd := [name for name, configuration in search.proposed.items() if seen(job, configuration).status != "finished"]:
        raise RuntimeError(f"{', '.join(odd)} did not finish; see {job.out}")
    return seconds
