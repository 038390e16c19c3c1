"""Is a configuration other than the reference by more than chance: over questions, and over seeds."""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy  # type: ignore[import-untyped]  # its submodules load when they are used

from xlret.config import Settings
from xlret.errors import UserError
from xlret.evaluation.save import read_scores
from xlret.evaluation.significance import bootstrap_interval, holm, randomisation_test
from xlret.sweep.configuration import trial_directory
from xlret.sweep.evaluations import EVALUATIONS
from xlret.sweep.ranking import Ranked
from xlret.sweep.result import KEPT, TrialResult
from xlret.sweep.settings import SweepJob

MeansOf = Callable[[Ranked, TrialResult], Mapping[str, float]]
"""A trial of a configuration -> its questions' pooled average precision."""


class Questions(Settings):
    """The pooled average precision of every question, each its mean over languages."""

    ids_sha256: str
    """Of the questions' names, in order: values of other questions are not to be compared."""
    values: tuple[float, ...]
    """In the order of the names."""

    def by_name(self) -> dict[str, float]:
        """Question -> its value; questions are called by their number, which sorts as their names did."""
        return {f"{self.ids_sha256} {number:09d}": value for number, value in enumerate(self.values)}


@dataclass(frozen=True)
class Tested:
    """A configuration against the reference, in the pooled average precision whose mean over languages is Mul."""

    difference: float
    """Mean over questions of the mean over seeds, the configuration's minus the reference's."""
    low: float
    """Lower end of its 95 % bootstrap interval over questions."""
    high: float
    p_questions: float
    """Paired randomisation test over questions, each of them its mean over seeds and languages; corrected by Holm's method
    for all configurations that are tested. It says nothing of other seeds."""
    p_seeds: float | None
    """Welch's t-test of the seeds' means, corrected in the same way; None where one of the two has a single seed."""


def reference_of(job: SweepJob, rows: Sequence[Ranked]) -> Ranked | None:
    """What the others are tested against: the first finished configuration of the point that `against` names, else the best."""
    finished = [row for row in rows if row.goals(job) is not None]
    named = [row for row in finished if row.configuration.point == job.against]
    return next(iter(named if job.against is not None else finished), None)


def compared(job: SweepJob, rows: Sequence[Ranked], means_of: MeansOf | None = None) -> dict[str, Tested]:
    """Name of a configuration -> its test against the reference, of all that have finished.

    Args:
        job: the sweep.
        rows: its configurations.
        means_of: the questions' values of a trial; by default those of the evaluation in its directory.

    Raises:
        UserError: configurations were evaluated on different questions.

    Cost: about 2 s for each on 5,000 questions.
    """
    if means_of is None:

        def means_of(row: Ranked, result: TrialResult) -> Mapping[str, float]:
            return questions_of(trial_directory(job, row.configuration, result.seed)).by_name()

    reference = reference_of(job, rows)
    if reference is None:
        return {}
    base, base_seeds = _over_seeds([means_of(reference, result) for result in reference.results])
    tested = {}
    for row in rows:
        if row.goals(job) is None or row is reference:
            continue
        own, own_seeds = _over_seeds([means_of(row, result) for result in row.results])
        if own.keys() != base.keys():
            raise UserError(
                f"{row.configuration.name} and {reference.configuration.name} were evaluated on different questions"
            )
        a_N, b_N = (np.array([means[question] for question in sorted(base)]) for means in (own, base))
        low, high = bootstrap_interval(a_N, b_N)
        several = min(len(own_seeds), len(base_seeds)) > 1
        p_seeds = _welch(own_seeds, base_seeds) if several else None
        tested[row.configuration.name] = (float((a_N - b_N).mean()), low, high, randomisation_test(a_N, b_N), p_seeds)
    questions = holm([test[3] for test in tested.values()])
    known = [name for name, test in tested.items() if test[4] is not None and not np.isnan(test[4])]
    seeds = dict(zip(known, holm([float(tested[name][4] or 0.0) for name in known]), strict=True))
    return {
        name: Tested(*test[:3], p_questions=p, p_seeds=seeds.get(name))
        for (name, test), p in zip(tested.items(), questions, strict=True)
    }


def questions_of(directory: Path) -> Questions:
    """What the questions of the first evaluation of the trial in a directory came to.

    Raises:
        UserError: the trial was not evaluated.
    """
    if (directory / KEPT).exists():
        return Questions.model_validate(json.loads((directory / KEPT).read_text(encoding="utf-8"))["questions"])
    groups: dict[str, list[float]] = {}
    for score in read_scores(directory / EVALUATIONS / "evaluation" / "evaluation.json").values():
        if not np.isnan(score.value):
            groups.setdefault(score.group, []).append(score.value)
    names = sorted(groups)
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return Questions(ids_sha256=digest, values=tuple(float(np.mean(groups[name])) for name in names))


def _welch(a: Sequence[float], b: Sequence[float]) -> float:
    with warnings.catch_warnings():  # seeds whose best model is the start are all alike, which is no fault
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        return float(scipy.stats.ttest_ind(a, b, equal_var=False).pvalue)


def _over_seeds(seeds: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], list[float]]:
    """Question -> the mean over seeds of its values; and the mean over questions of each seed."""
    by_question: dict[str, list[float]] = {}
    for means in seeds:
        for question, mean in means.items():
            by_question.setdefault(question, []).append(mean)
    by_seed = [float(np.mean(list(means.values()))) for means in seeds]
    return {question: float(np.mean(values)) for question, values in by_question.items()}, by_seed
