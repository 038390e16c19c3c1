"""A sweep goes on where its runs are not: trials that a file of results has are not trained again."""

from collections.abc import Iterable
from pathlib import Path

from xlret.errors import UserError
from xlret.files import write_text
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory, trial_name
from xlret.sweep.evaluations import as_json, evaluations_at
from xlret.sweep.kept_results import KeptTrial, read_kept
from xlret.sweep.result import KEPT, TrialResult, has_ended, write_result
from xlret.sweep.same_training import deciding_corpora, recipe_sha256, without_folders
from xlret.sweep.settings import SweepJob


def take_up(job: SweepJob, configurations: Iterable[Configuration], path: Path) -> int:
    """Puts the results of trials that were trained elsewhere into the directories of a sweep.

    A trial is taken up if what decides its result is as it would be here: settings, evaluations and the content of corpora.
    Encoders, lexicons and benchmarks go by name. (Weights are not compared: machines round differently.) Its encoder and its
    rankings stay where they were made.

    Args:
        job: the sweep.
        configurations: those of its configurations that are looked for.
        path: of the file (`kept_results.py`); nothing is taken up where there is none.

    Returns:
        How many.

    Raises:
        UserError: the file has a trial of one of these names that another training would make here, or is of another sweep;
            or the sweep gives configurations up by curves, or draws them by results, of runs that are not here.
        DataError: a line of it is no trial.
    """
    kept = {trial.name: trial for trial in read_kept(job, path)} if path.exists() else {}
    taken: list[tuple[Path, Configuration, KeptTrial]] = []
    for configuration in configurations:
        for seed in seeds_of(job, configuration):
            trial = kept.pop(trial_name(configuration, seed), None)
            directory = trial_directory(job, configuration, seed)
            if trial is None or has_ended(directory):
                continue
            if why := _differs(job, configuration, trial):
                raise UserError(
                    f"{path} has {configuration.name} with seed {seed}, which is not here and would be another training: "
                    f"{why}; name another file, or take that line out"
                )
            taken.append((directory, configuration, trial))
    elsewhere = [name for name in kept if not has_ended(job.out / "trials" / name)]
    if elsewhere and job.search.method in ("tpe", "nsga2"):
        raise UserError(
            f"{path} has {elsewhere[0]}, which is not here: search {job.search.method} draws by what came of the runs before; "
            "go on where they are, or name another file"
        )
    for directory, configuration, trial in taken:
        facts = {name: getattr(trial, name) for name in TrialResult.model_fields}
        own = {"settings": dict(configuration.settings), "evaluations": as_json(evaluations_at(job, configuration.point))}
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / KEPT, trial.model_dump_json(exclude={"evaluations"}))
        write_result(directory, TrialResult(**{**facts, **own}))
    return len(taken)


def check_taken_up(job: SweepJob, configurations: Iterable[Configuration]) -> None:
    """Whether the trials of a sweep that were taken up earlier are still those that its settings make.

    Raises:
        UserError: one is not.
    """
    for configuration in configurations:
        for seed in seeds_of(job, configuration):
            directory = trial_directory(job, configuration, seed)
            if not (directory / KEPT).exists():
                continue
            trial = KeptTrial.model_validate_json((directory / KEPT).read_text(encoding="utf-8"))
            if why := _differs(job, configuration, trial):
                raise UserError(
                    f"{directory} was taken from a file of results and would be another training now: {why}; remove it, or "
                    "choose another `out`"
                )


def _differs(job: SweepJob, configuration: Configuration, trial: KeptTrial) -> str | None:
    if job.scheduler.method != "none":
        return f"scheduler {job.scheduler.method} goes by the curves of runs"
    if trial.recipe_sha256 is None:
        return "an older xlret did not write down its settings"
    if trial.recipe_sha256 != recipe_sha256(job, configuration, trial.seed):
        return "its settings or evaluations are others"
    here = {without_folders(name): value for name, value in deciding_corpora(job, configuration, trial.seed).items()}
    written = {name.partition(" ")[0] for name in trial.fingerprints}  # an older xlret wrote down those of training alone
    odd = [
        name
        for name, value in here.items()
        if trial.fingerprints.get(name) != value and (name.startswith("corpus ") or name.partition(" ")[0] in written)
    ]
    return f"{odd[0]} is another" if odd else None
