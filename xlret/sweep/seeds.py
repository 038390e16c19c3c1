"""A configuration's trainings, one for each seed: in turns, so that it is given up for what all its seeds came to, early."""

from collections.abc import Callable, Mapping, Sequence

from xlret.errors import UserError
from xlret.files import write_json
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory, trial_name, trial_run
from xlret.sweep.cutting import Curve, decision_steps, is_cut, mean_curve
from xlret.sweep.result import read_result
from xlret.sweep.settings import SweepJob
from xlret.sweep.trial import cut_trial, run_trial
from xlret.training.log import read_lines
from xlret.training.progress import Print

CONFIGURATIONS = "configurations"
"""Directory of a sweep that may give configurations up: a file NAME.json for each that was begun, whose curves the others are
compared with."""

Told = Callable[[int, int, Mapping[str, float]], object]
"""Called with the seed, the step and the dev metrics of every dev evaluation."""


def run_configuration(
    job: SweepJob, configuration: Configuration, told: Told = lambda seed, step, metrics: None, show: Print | None = None
) -> None:
    """Trains and evaluates a configuration with all its seeds, or gives it up; the results are in the trials' directories.

    Where the sweep may give configurations up, every seed pauses where that is decided, until the last of them has come as far;
    that one goes on to the next such step without a pause. What an earlier start left is gone on with.

    Args:
        job: the sweep.
        configuration: which of its configurations.
        told: hears of the dev evaluations.
        show: where the lines of the trainings go.
    """
    seeds = seeds_of(job, configuration)
    steps, metric = decisions(job, configuration)
    if steps:
        note = {"label": configuration.label, "settings": dict(configuration.settings)}
        (job.out / CONFIGURATIONS).mkdir(parents=True, exist_ok=True)
        write_json(job.out / CONFIGURATIONS / f"{configuration.name}.json", note)
    else:
        for seed in seeds:
            run_trial(job, configuration, seed, report=_hearing(seed, told), show=show)
        return
    if job.scheduler.method == "pbt":
        _to_next_step(job, configuration, steps, metric, told, show)
        return
    last = seeds[0]
    while True:
        known = {seed: read_result(trial_directory(job, configuration, seed)) for seed in seeds}
        left = [seed for seed, result in known.items() if result is None or not result.known]
        if any(result is not None and result.status in ("cut", "diverged") for result in known.values()):
            for seed in left:  # a mean that lacks a seed would be no mean over the seeds
                cut_trial(job, configuration, seed)
            return
        if not left:
            return
        behind = {seed: _behind(dev_curve(job, trial_name(configuration, seed), metric), steps) for seed in left}
        last, until = next_turn(behind, steps, last)
        undecided = steps[min(behind.values()) :]

        def report(metrics: Mapping[str, float], seed: int = last, undecided: list[int] = undecided) -> bool:
            told(seed, int(metrics["step"]), metrics)
            return _is_given_up(job, configuration, metric, undecided)

        result = run_trial(job, configuration, last, report=report, show=show, until=until)
        if result is not None and result.status == "failed":
            return


def _to_next_step(
    job: SweepJob, configuration: Configuration, steps: list[int], metric: str, told: Told, show: Print | None
) -> None:
    """Trains all seeds to the next step at which the population is looked at, or from the last such step to the end."""
    behind = {seed: _behind(dev_curve(job, trial_name(configuration, seed), metric), steps) for seed in job.seeds}
    least = min(behind.values())
    for seed, count in behind.items():
        if count == least:
            run_trial(
                job,
                configuration,
                seed,
                report=_hearing(seed, told),
                show=show,
                until=steps[least] if least < len(steps) else None,
            )


def next_turn(behind: Mapping[int, int], steps: Sequence[int], last: int) -> tuple[int, int | None]:
    """Which seed trains next, and where it pauses (None: it goes on to its end).

    Args:
        behind: seed -> how many of the steps it has come to, of the seeds that have not ended.
        steps: at which a configuration may be given up.
        last: the seed that trained last: it goes on if it may, which saves a start.

    >>> next_turn({0: 0, 1: 0}, [10, 30], 0), next_turn({0: 1, 1: 0}, [10, 30], 0), next_turn({0: 1, 1: 2}, [10, 30], 1)
    ((0, 10), (1, 30), (0, None))
    """
    least = min(behind.values())
    waiting = [seed for seed, count in behind.items() if count == least]
    seed = last if last in waiting else waiting[0]
    pause = least if len(waiting) > 1 else least + 1
    alone = len(behind) == 1
    return seed, None if alone or pause >= len(steps) else steps[pause]


def dev_curve(job: SweepJob, trial: str, metric: str) -> dict[int, float]:
    """Step -> a dev metric, of the evaluations that a trial has made so far; the start's is left out."""
    lines = [line for line in read_lines(job.out / "trials" / trial / "metrics.jsonl") if line["group"] == "dev"]
    return {line["step"]: line[metric] for line in lines if line["step"]}


def decisions(job: SweepJob, configuration: Configuration) -> tuple[list[int], str]:
    """Where the configuration may be given up, and by which dev metric: the one that its best checkpoints are chosen by.

    Nowhere if its settings cannot be used, which its first trial will say.
    """
    if job.scheduler.method == "none" or configuration.untrained:
        return [], ""
    try:
        run = trial_run(job, configuration, job.seeds[0])
    except UserError:
        return [], ""
    return decision_steps(job.scheduler, run.dev.every, run.steps) if run.dev.corpora else [], run.dev.metric


def _hearing(seed: int, told: Told) -> Callable[[Mapping[str, float]], None]:
    def report(metrics: Mapping[str, float]) -> None:
        told(seed, int(metrics["step"]), metrics)

    return report


def _behind(curve: Curve, steps: Sequence[int]) -> int:
    furthest = max(curve, default=0)
    return sum(step <= furthest for step in steps)


def _is_given_up(job: SweepJob, configuration: Configuration, metric: str, undecided: list[int]) -> bool:
    """Whether the configuration is given up at a step that all its seeds have come to; takes such steps from the list."""
    own = mean_over_seeds(job, configuration.name, metric)
    while undecided and max(own, default=0) >= undecided[0]:
        names = {path.stem for path in (job.out / CONFIGURATIONS).glob("*.json")} - {configuration.name}
        others = [mean_over_seeds(job, name, metric) for name in sorted(names)]
        if is_cut(job.scheduler, undecided.pop(0), own, others):
            return True
    return False


def mean_over_seeds(job: SweepJob, name: str, metric: str) -> dict[int, float]:
    """A configuration's curve, as far as all its seeds have come."""
    return mean_curve([dev_curve(job, f"{name}-{seed}", metric) for seed in job.seeds])
