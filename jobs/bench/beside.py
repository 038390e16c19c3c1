"""Dev evaluation beside training against evaluation in the loop, of one run over Ray each."""

from pathlib import Path

from rich.console import Console

from jobs.bench.setup import Bench
from xlret.session import ray_session
from xlret.training.run import train

STEPS, EVERY = 32, 8


def run(bench: Bench, console: Console) -> None:
    """Seconds of a run with dev evaluations in the loop and beside it, and whether their numbers are the same."""
    seconds, evaluations = [], []
    with ray_session():
        for beside in (False, True):
            update = {
                "name": "beside" if beside else "loop",
                "steps": STEPS,
                "log_every": 5,
                "checkpoint_every": STEPS,
                "dev": bench.job.dev.model_copy(update={"beside": beside, "every": EVERY}),
                "encoder": bench.job.encoder.model_copy(update={"start": str(bench.start)}),
                "ray": bench.job.ray.model_copy(update={"workers": 1}),
            }
            result = train(bench.job.model_copy(update=update), fresh=True, show=lambda line: None)
            seconds.append(_seconds(result.run_directory))
            evaluations.append(result.history("dev"))
            rates = [line["pairs_per_second"] for line in result.history()]
            console.print(
                f"{'beside' if beside else 'in the loop'}: {seconds[-1]:.0f} s, "
                f"{sum(rates) / len(rates):,.0f} pairs/s while it trains"
            )
    console.print(
        f"{len(evaluations[0])} evaluations, {STEPS} steps: in the loop takes {seconds[0] / seconds[1]:.2f} times the seconds "
        f"of beside; the same numbers: {evaluations[0] == evaluations[1]}"
    )


def _seconds(run_directory: Path) -> float:
    """From the worker's first step, at which it opens its log, to its last report."""
    (events,) = (run_directory / "tensorboard").glob("events.out.tfevents.*")
    opened = int(events.name.split(".")[3])
    return (run_directory / "metrics.jsonl").stat().st_mtime - opened
