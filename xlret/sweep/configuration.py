"""A configuration: what a sweep changes in its base recipe, under a name that is the same at every start."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlret.config import changed_recipe
from xlret.files import shared_spelling
from xlret.keys import key_of
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import UNTRAINED, readable
from xlret.training.settings import TrainJob
from xlret.training.setup import check_settings

SET_BY_SWEEPS = {
    "name": "its directories are named after configurations",
    "seed": "name the seeds in `seeds`",
    "plan.seed": "name the seeds in `seeds`",
    "storage": "name the directory of all in `out`",
    "dev.beside": "a trial is judged as it goes, and what it reserves is counted",
}
"""Setting of a training recipe that is not a sweep's to change -> why, or what to do."""
_LONGEST = 60
"""Letters of a label in a name, so that a run's name, with hash and seed, stays below 100."""


@dataclass(frozen=True)
class Configuration:
    """What is searched, ranked and cut; its seeds are trained inside it."""

    name: str
    """Of directories: the label, and a hash of the settings."""
    label: str
    """For people: the point's name and the swept values."""
    point: str | None
    settings: Mapping[str, Any] = field(hash=False)
    """Setting of the training recipe -> value in place of the base's."""

    @property
    def untrained(self) -> bool:
        """Whether only the start is evaluated."""
        return bool(self.settings.get(UNTRAINED, False))


def configuration(point: str | None, settings: Mapping[str, Any], swept: Mapping[str, Any] | None = None) -> Configuration:
    """Names a combination of settings.

    Args:
        point: name of the point it comes from.
        settings: all that differ from the base; paths in the shared folder are spelled with `${XLRET_SHARED}`.
        swept: those of them that the label tells (their names alone matter); all without a point, else none by default.

    >>> configuration(None, {"plan.alpha": 0.5}).name
    'alpha-0.5-97d2a7ed'
    >>> configuration("mono", {"plan.regime": "mono"}).label
    'mono'
    """
    settings = {name: shared_spelling(value) for name, value in settings.items()}  # the same name on every machine
    told = list(swept) if swept is not None else ([] if point is not None else list(settings))
    label = "_".join(filter(None, [point, readable(settings, told)])) or "base"
    digest = f"{key_of('configuration', json.dumps(settings, sort_keys=True, default=str)):032x}"[:8]
    readable_name = re.sub(r"[^A-Za-z0-9._-]", ".", label)[:_LONGEST].lstrip("._-") or "point"
    return Configuration(f"{readable_name}-{digest}", label, point, settings)


def trial_name(configuration: Configuration, seed: int) -> str:
    """The name of one training, which is that of its directory."""
    return configuration.name if configuration.untrained else f"{configuration.name}-{seed}"


def trial_directory(job: SweepJob, configuration: Configuration, seed: int) -> Path:
    """Where one training keeps its run, evaluations and `result.json`."""
    return job.out / "trials" / trial_name(configuration, seed)


def seeds_of(job: SweepJob, configuration: Configuration) -> tuple[int, ...]:
    """The seeds that a configuration is trained with; one is enough where nothing is trained."""
    return job.seeds[:1] if configuration.untrained else job.seeds


def trial_run(job: SweepJob, configuration: Configuration, seed: int) -> TrainJob:
    """The whole training recipe of one trial, checked.

    Raises:
        UserError: a setting that cannot be used, or the run is there already with other settings.
    """
    changes = {**job.changes, **configuration.settings}
    changes.pop(UNTRAINED, None)
    own = {
        "name": trial_name(configuration, seed),
        "seed": seed,
        "plan.seed": seed,
        "storage": str(job.out / "trials"),
        "dev.beside": False,
    }
    run = changed_recipe(TrainJob, job.base, {**changes, **own})
    if run.ray.workers == 1:  # the same weights, and a start-up of seconds instead of Ray Train's
        run = run.model_copy(update={"ray": run.ray.model_copy(update={"workers": 0})})
    if job.scheduler.method != "none":  # it pauses after dev evaluations, and goes on from checkpoints
        run = run.model_copy(update={"checkpoint_every": run.dev.every})
    if not configuration.untrained:
        check_settings(run, f"choose another `out`, remove {job.out / 'trials' / run.name}, or sweep as before")
    return run
