"""The evaluations of trials: sets that are read once for all of them, and the numbers that a table takes from each."""

import json
import statistics
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlret.config import settings_from
from xlret.errors import UserError
from xlret.evaluation.named_measures import POOLED
from xlret.evaluation.run import retrieval_sets
from xlret.evaluation.sets import RetrievalSet
from xlret.evaluation.settings import EvaluateSettings
from xlret.sweep.settings import SweepJob

EVALUATIONS = "evaluations"
"""Directory of a trial's evaluations, each under its name."""
METRICS = ("mo", "cr", "mul", "rank_distance", "micro", "peer", "mrc", *POOLED)
"""What a table may show of an evaluation, besides groups of languages."""
OF_SETS = (
    "benchmark",
    "data",
    "hub",
    "hub_revision",
    "split",
    "lang",
    "passage_lang",
    "on_bad_row",
    "corpus",
    "groups",
    "languages",
)
"""Settings of an evaluation that say what it is made on; the others say how."""


def evaluation_sets(settings: EvaluateSettings) -> tuple[RetrievalSet, ...]:
    """What an encoder is evaluated on, read once for all trials of a process that are evaluated on the same.

    Raises:
        UserError: it cannot be read.
    """
    return _sets(settings.model_dump_json(include=set(OF_SETS)))


@lru_cache(maxsize=4)
def _sets(settings: str) -> tuple[RetrievalSet, ...]:
    return tuple(retrieval_sets(settings_from(EvaluateSettings, json.loads(settings))))


def read_evaluation(directory: Path, settings: EvaluateSettings) -> dict[str, Any] | None:
    """The `evaluation.json` in a directory; None where there is none, or one that was made with other settings."""
    try:
        evaluation: dict[str, Any] = json.loads((directory / "evaluation.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return evaluation if evaluation["settings"] == settings.model_dump(mode="json") else None


def numbers_of(evaluation: Mapping[str, Any], pivot: str, groups: Mapping[str, tuple[str, ...]]) -> dict[str, float | None]:
    """The metrics of an evaluation, and for each group the mean mAP of searches between the pivot and its languages, in both
    directions, over all sets.

    Raises:
        UserError: the evaluation lacks a language of a group.
    """
    names = (*METRICS, *evaluation["settings"].get("measure", ()))
    numbers: dict[str, float | None] = {name: evaluation.get(name) for name in names}
    for group, langs in groups.items():
        values = []
        for matrix in (retrieval_set["matrix"] for retrieval_set in evaluation["sets"]):
            if unknown := sorted({pivot, *langs} - set(matrix)):
                raise UserError(
                    f"pivot and groups: the evaluation has no language {unknown[0]!r}; it has {', '.join(sorted(matrix))}"
                )
            values += [matrix[pivot][lang] for lang in langs] + [matrix[lang][pivot] for lang in langs]
        known = [value for value in values if value is not None]
        numbers[f"{pivot}-{group}"] = statistics.fmean(known) if known else None
    return numbers


def evaluations_of(job: SweepJob) -> dict[str, EvaluateSettings]:
    """Every evaluation of a sweep by its name; the first is called `evaluation`."""
    return {"evaluation": job.evaluation, **job.also}


def evaluations_at(job: SweepJob, point: str | None) -> dict[str, EvaluateSettings]:
    """Those that trials of a point get."""
    return {name: settings for name, settings in evaluations_of(job).items() if point in job.only.get(name, (point,))}


def as_json(evaluations: Mapping[str, EvaluateSettings]) -> dict[str, Any]:
    """Settings of evaluations as a trial's result has them."""
    return {name: settings.model_dump(mode="json") for name, settings in evaluations.items()}
