"""A sweep goes on where its runs are not: trials that a file of results has are not trained again."""

from collections.abc import Iterable
from pathlib import Path

from xlret.errors import UserError
from xlret.files import write_text
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory, trial_run
from xlret.sweep.kept_results import KeptTrial, read_kept
from xlret.sweep.result import KEPT, TrialResult, read_result, write_result
from xlret.sweep.same_training import corpora_of, recipe_sha256
from xlret.sweep.settings import SweepJob
from xlret.sweep.trial import as_json, evaluations_at


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
            or the sweep gives configurations up by curves, which no file has.
        DataError: a line of it is no trial.
    """
    kept = {(trial.configuration, trial.seed): trial for trial in read_kept(job, path)} if path.exists() else {}
    taken = 0
    for configuration in configurations:
        for seed in seeds_of(job, configuration):
            trial = kept.get((configuration.name, seed))
            directory = trial_directory(job, configuration, seed)
            known = read_result(directory)
            if trial is None or (known is not None and known.known):
                continue
            if why := _differs(job, configuration, trial):
                raise UserError(
                    f"{path} has {configuration.name} with seed {seed}, which is not here and would be another training: "
                    f"{why}; name another file, or take that line out"
                )
            facts = {name: getattr(trial, name) for name in TrialResult.model_fields}
            own = {"settings": dict(configuration.settings), "evaluations": as_json(evaluations_at(job, configuration.point))}
            directory.mkdir(parents=True, exist_ok=True)
            write_text(directory / KEPT, trial.model_dump_json(exclude={"evaluations"}))
            write_result(directory, TrialResult(**{**facts, **own}))
            taken += 1
    return taken


def _differs(job: SweepJob, configuration: Configuration, trial: KeptTrial) -> str | None:
    if job.scheduler.method != "none":
        return f"scheduler {job.scheduler.method} goes by the curves of runs"
    if trial.recipe_sha256 is None:
        return "an older xlret did not write down its settings"
    if trial.recipe_sha256 != recipe_sha256(job, configuration, trial.seed):
        return "its settings or evaluations are others"
    fresh = trial_run(job, configuration, trial.seed).encoder.start == "fresh"  # its vocabulary is of the corpora's words
    here = corpora_of(job, configuration, trial.seed) if fresh or not configuration.untrained else {}
    odd = [name for name, value in here.items() if trial.fingerprints.get(name) != value]
    return f"{odd[0]} is another" if odd else None
