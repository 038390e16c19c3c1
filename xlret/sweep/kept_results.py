"""The finished trials of a sweep as a file of JSON lines: what is kept of them where their runs are not.

A line a trial: its result, without what is long or of the machine's own (settings of evaluations, paths), where it was trained,
and the average precision of every question, so that the table, tests included, can be laid out from the file alone.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xlret.artifacts import locked
from xlret.errors import DataError, UserError
from xlret.files import write_error, write_text
from xlret.sweep.comparison import Questions, compared, questions_of
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory, trial_name
from xlret.sweep.evaluations import EVALUATIONS
from xlret.sweep.ranking import Ranked, best_first
from xlret.sweep.result import KEPT, TrialResult, read_result
from xlret.sweep.same_training import of_no_machine, recipe_sha256, without_folders
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import UNTRAINED
from xlret.sweep.table import as_markdown

_DIGITS = 5
"""Of a question's average precision; a test needs no more, and lines are a third as long."""


class KeptTrial(TrialResult):
    """A line of the file."""

    sweep: str
    """Name of the sweep."""
    commit: str | None
    """Of the xlret that trained it; None for an installed one, and where nothing was trained."""
    hardware: Mapping[str, Any]
    """That it was evaluated on."""
    recipe_sha256: str | None = None
    """Of all settings that decide the result (`same_training.py`); None in lines of an older xlret."""
    questions: Questions | None
    """None where it was not evaluated."""

    @property
    def name(self) -> str:
        """That of the trial's directory."""
        return trial_name(Configuration(self.configuration, self.label, self.point, self.settings), self.seed)


def keep_results(job: SweepJob, configurations: Iterable[Configuration], path: Path) -> int:
    """Adds the trials that have ended for good to a file; those that are in it stay where they are.

    Args:
        job: the sweep.
        configurations: those of its configurations whose trials are looked for, in the order in which new ones are added.
        path: of the file, which is written whole; without trials it is empty.

    Returns:
        How many are new.

    Raises:
        UserError: the file cannot be written, is of another sweep, or has a trial of the same name that another training made.
        DataError: a line of it is no trial.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock")):  # sweeps of two directories may have one file
            return _write_with(job, configurations, path)
    except OSError as error:
        raise write_error(path, error) from error


def _write_with(job: SweepJob, configurations: Iterable[Configuration], path: Path) -> int:
    kept = {trial.name: trial for trial in read_kept(job, path)} if path.exists() else {}
    before = len(kept)
    for configuration in configurations:
        for seed in seeds_of(job, configuration):
            directory = trial_directory(job, configuration, seed)
            result = read_result(directory)
            if result is None or not result.known:
                continue
            trial = _kept(job, configuration, result, directory)
            known = kept.setdefault(trial.name, trial)
            if known.fingerprints != trial.fingerprints:
                raise UserError(
                    f"{path} has {trial.configuration} with seed {seed} from another training than {directory}; name another "
                    "file, or take that line out"
                )
            kept[trial.name] = trial  # it may have been evaluated on more meanwhile
    lines = [json.dumps(trial.model_dump(mode="json", exclude={"evaluations"}), ensure_ascii=False) for trial in kept.values()]
    write_text(path, "".join(f"{line}\n" for line in lines))
    return len(kept) - before


def read_kept(job: SweepJob, path: Path) -> list[KeptTrial]:
    """The trials of a file that `keep_results` wrote.

    Raises:
        UserError: there is no such file, or it is of another sweep.
        DataError: a line of it is no trial.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}, the results of a sweep: {error}") from error
    trials: list[KeptTrial] = []
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            trial = KeptTrial.model_validate_json(line)
        except ValidationError as error:
            raise DataError(
                f"{path}:{number}: not a trial as xlret sweep --results writes it: {error.errors()[0]['msg']}"
            ) from error
        before = first.setdefault(trial.name, number)
        if before == number:
            trials.append(trial)
        elif line != lines[before - 1]:
            raise DataError(f"{path}:{number}: {trial.name} again, with another result than in line {before}; take one out")
    if odd := [trial.sweep for trial in trials if trial.sweep != job.name]:
        raise UserError(f"{path} is of the sweep {odd[0]}, and this is {job.name}; name its recipe, or another file")
    return trials


def kept_table(job: SweepJob, path: Path) -> str:
    """The table of a sweep, in Markdown, from a file of its trials; below it the hardware and commits that it is from.

    Args:
        job: the sweep, which says seeds, goals, columns and what the tests are against.
        path: of the file.

    Raises:
        UserError, DataError: as of `read_kept`; UserError: no trial has one of the sweep's seeds.
    """
    trials = read_kept(job, path)
    of_seeds = [trial for trial in trials if trial.seed in job.seeds or trial.settings.get(UNTRAINED)]
    if not any(trial.seed in job.seeds for trial in of_seeds):
        seeds = ", ".join(str(seed) for seed in sorted({trial.seed for trial in trials})) or "none"
        raise UserError(f"{path} has no trial with seeds {', '.join(map(str, job.seeds))}; it has {seeds}")
    by_name: dict[str, list[KeptTrial]] = {}
    for trial in of_seeds:
        by_name.setdefault(trial.configuration, []).append(trial)
    rows = best_first(job, [_row(job, trials) for trials in by_name.values()])
    by_key = {(trial.configuration, trial.seed): trial for trial in of_seeds}
    tests = compared(job, rows, lambda row, result: _questions(by_key[row.configuration.name, result.seed]).by_name())
    devices = dict.fromkeys(
        str(trial.hardware.get("gpu") or f"{trial.hardware.get('cpus')} CPUs, no GPU") for trial in of_seeds if trial.hardware
    )
    commits = dict.fromkeys(trial.commit for trial in of_seeds if trial.commit)
    origin = f"Evaluated on: {', '.join(devices) or 'unknown'}. Commits: {', '.join(commits) or 'unknown'}."
    return f"{as_markdown(job, rows, tests)}\n{origin}\n"


def _questions(trial: KeptTrial) -> Questions:
    assert trial.questions is not None, "a configuration that has finished was evaluated"
    return trial.questions


def _kept(job: SweepJob, configuration: Configuration, result: TrialResult, directory: Path) -> KeptTrial:
    if (directory / KEPT).exists():
        return KeptTrial.model_validate_json((directory / KEPT).read_text(encoding="utf-8"))
    evaluation, run = (_read(directory / name) for name in (f"{EVALUATIONS}/evaluation/evaluation.json", "run.json"))
    questions = None
    if result.status == "finished":
        exact = questions_of(directory)
        questions = exact.model_copy(update={"values": tuple(round(value, _DIGITS) for value in exact.values)})
    values = result.model_dump(mode="json", exclude={"evaluations", "fingerprints", "settings"})
    return KeptTrial(
        **values,
        settings=of_no_machine(result.settings),
        fingerprints={without_folders(name): value for name, value in result.fingerprints.items()},
        sweep=job.name,
        commit=run.get("commit"),
        hardware=evaluation.get("hardware") or run.get("hardware") or {},
        recipe_sha256=recipe_sha256(job, configuration, result.seed),
        questions=questions,
    )


def _row(job: SweepJob, trials: list[KeptTrial]) -> Ranked:
    first = trials[0]
    configuration = Configuration(first.configuration, first.label, first.point, first.settings)
    if configuration.untrained:  # no seed decides what an untrained encoder comes to
        return Ranked(configuration, (first,), 1)
    return Ranked(configuration, tuple(sorted(trials, key=lambda trial: job.seeds.index(trial.seed))), len(job.seeds))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
