"""What can be said of a sweep before its first step: settings that cannot be used show at once, not in the tenth hour."""

from collections.abc import Iterable

from xlret.errors import UserError
from xlret.sweep.configuration import Configuration, configuration, seeds_of, trial_directory, trial_run
from xlret.sweep.evaluations import METRICS
from xlret.sweep.result import read_result
from xlret.sweep.search import PureDraws
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import combinations, drawn
from xlret.sweep.trial import check_evaluations, evaluations_of


def check_sweep(job: SweepJob, configurations: Iterable[Configuration]) -> None:
    """Resolves every trial of these configurations.

    Raises:
        UserError: a setting that cannot be used, a goal that is not measured, a scheduler without dev corpora to report; or
            what is there already was made with other settings.
    """
    for goal in job.goals:
        name, _, metric = goal.metric.rpartition(".")
        groups = [f"{job.pivot}-{group}" for group in job.groups]
        if (name and name not in evaluations_of(job)) or metric not in (*METRICS, *groups):
            names = ", ".join((*METRICS, *groups, *(f"{other}.mul" for other in job.also)))
            raise UserError(f"goals names {goal.metric}, which is not measured; there are {names}")
    for checked in configurations:
        for seed in seeds_of(job, checked):
            run = trial_run(job, checked, seed)
            if job.scheduler.method != "none" and not checked.untrained and not run.dev.corpora:
                raise UserError(
                    f"scheduler {job.scheduler.method} goes by the dev metrics of a run; name dev.corpora in {job.base}"
                )
            if run.model == "reranker" and job.retriever is None:
                raise UserError("the recipe trains a reranker; name the encoder whose passages it orders: retriever")
            directory = trial_directory(job, checked, seed)
            if (result := read_result(directory)) is not None:
                check_evaluations(job, result, directory)


def example_configurations(job: SweepJob) -> list[Configuration]:
    """The configurations of a sweep, or where they depend on what the others come to, one of every combination of grids."""
    if job.search.method in ("grid", "random"):
        draws = PureDraws(job)
        return [draws(number) for number in range(draws.count)]
    listed = combinations(job.space, job.points, choices=False)
    return [configuration(point, drawn(job.space, settings, job.search.seed, 0), job.space) for point, settings in listed]
