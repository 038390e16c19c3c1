"""What can be said of a sweep before its first step: settings that cannot be used show at once, not in the tenth hour."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from xlret.errors import UserError
from xlret.release.record import checked_name
from xlret.storage.url import is_url
from xlret.sweep.configuration import (
    SET_BY_SWEEPS,
    Configuration,
    configuration,
    seeds_of,
    trial_directory,
    trial_run,
)
from xlret.sweep.evaluations import METRICS, evaluations_of
from xlret.sweep.result import KEPT, read_result
from xlret.sweep.search import PureDraws
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import combinations, drawn
from xlret.sweep.taken_up import check_taken_up
from xlret.sweep.trial import check_evaluations


def check_sweep(job: SweepJob, configurations: Sequence[Configuration]) -> None:
    """Resolves every trial of these configurations.

    Raises:
        UserError: a setting that cannot be used or is the sweep's own, a goal that is not measured, a scheduler without dev
            corpora to report; or what is there already was made with other settings.
    """
    for setting in (*job.changes, *job.space, *(setting for settings in job.points.values() for setting in settings)):
        if setting in SET_BY_SWEEPS:
            raise UserError(f"{setting} is set by the sweep itself in every trial; {SET_BY_SWEEPS[setting]}")
    check_taken_up(job, configurations)
    known = goals_of(job)
    for goal in job.goals:
        if goal.metric not in known:
            raise UserError(f"goals names {goal.metric}, which is not measured; there are {', '.join(known)}")
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


def goals_of(job: SweepJob) -> list[str]:
    """The metrics that all configurations of a sweep get, by which they can be ranked."""
    first = [*METRICS, *job.evaluation.measure, *(f"{job.pivot}-{group}" for group in job.groups)]
    also = {name: settings for name, settings in job.also.items() if name not in job.only}
    further = [f"{name}.{metric}" for name, settings in also.items() for metric in (*METRICS, *settings.measure)]
    return list(dict.fromkeys([*first, *further]))


def check_ends(job: SweepJob, configurations: Iterable[Configuration], release: str | None) -> None:
    """Whether what comes after the trainings can be done: the evaluations, and the release if one is wanted.

    Args:
        job: the sweep.
        configurations: those that will be trained, or examples.
        release: its name.

    Raises:
        UserError: an evaluation's files are not there, or no such release can be made.
    """
    needed = evaluation_paths(job)
    if release is not None:
        checked_name(release)
        if any(trial_run(job, trained, job.seeds[0]).model == "reranker" for trained in configurations):
            raise UserError("a release needs an encoder, and this sweep is of rerankers; see xlret release make --reranker")
        for trained in configurations:
            directory = trial_directory(job, trained, seeds_of(job, trained)[0])
            if not trained.untrained and (directory / KEPT).exists():
                raise UserError(
                    f"a release needs the weights of the best, and {trained.name} was trained elsewhere; sweep without "
                    "--release, or without --results in another `out`"
                )
        needed += release_paths(job)
    if absent := [path for path in needed if not is_url(path) and not path.exists()]:
        raise UserError(f"{absent[0]} is not there, and is needed when trainings have ended; xlret sweep --dry-run lists all")


def evaluation_paths(job: SweepJob) -> list[Path]:
    """What the evaluations of a sweep read."""
    read = [
        (settings.data, settings.corpus, settings.translate_test, settings.switch_queries)
        for settings in evaluations_of(job).values()
    ]
    return [path for paths in read for path in paths if path is not None]


def release_paths(job: SweepJob) -> list[Path]:
    """What the index of a release is made of."""
    return [] if job.release is None else [*job.release.passages, *job.release.corpora]


def example_configurations(job: SweepJob) -> list[Configuration]:
    """The configurations of a sweep, each once, as many as its budget allows; or where they depend on what the others come to,
    one of every combination of grids, or a population's first members."""
    if job.search.method in ("grid", "random"):
        draws = PureDraws(job)
        count = min(draws.count, job.scheduler.population) if job.scheduler.method == "pbt" else draws.count
        examples = [draws(number) for number in range(count)]
    else:
        listed = combinations(job.space, job.points, choices=False)
        examples = [
            configuration(point, drawn(job.space, settings, job.search.seed, 0), job.space) for point, settings in listed
        ]
    most = None if job.scheduler.method == "pbt" else job.budget.configurations  # a population has its own number
    return list({example.name: example for example in examples}.values())[:most]
