"""Is a trial that was trained elsewhere the one that would be trained here?"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlret.data.corpus import ParallelCorpus
from xlret.files import shared_spelling
from xlret.provenance import data_fingerprints
from xlret.sweep.configuration import Configuration, trial_run
from xlret.sweep.settings import SweepJob
from xlret.sweep.trial import evaluations_at

_OF_NO_RESULT = {"name", "storage", "ray", "log_every", "keep_checkpoints"}
"""Settings of a training that say where and how fast it runs, not what it comes to (but for how a machine rounds)."""


def recipe_sha256(job: SweepJob, configuration: Configuration, seed: int) -> str:
    """A hash of all settings that decide a trial's result, its evaluations' among them; the same on every machine.

    Of paths only the last name counts: what is there is told by fingerprints.

    Raises:
        UserError: a setting that cannot be used.
    """
    training = trial_run(job, configuration, seed).model_dump(mode="json", exclude=_OF_NO_RESULT)
    judged = {name: how.model_dump(mode="json") for name, how in evaluations_at(job, configuration.point).items()}
    facts = _of_no_machine({"training": training, "evaluations": judged, "untrained": configuration.untrained})
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def corpora_of(job: SweepJob, configuration: Configuration, seed: int) -> dict[str, str]:
    """`corpus NAME` -> fingerprint of each corpus that a trial is trained on, as they are here.

    Raises:
        UserError: one is not there.
    """
    corpora = [ParallelCorpus.open(path) for path in trial_run(job, configuration, seed).corpora]
    return {without_folders(f"corpus {facts['path']}"): facts["fingerprint"] for facts in data_fingerprints(corpora)}


def without_folders(name: str) -> str:
    """
    >>> without_folders("corpus /home/me/corpora/ntrex/train"), without_folders("plan")
    ('corpus ntrex/train', 'plan')
    """
    kind, space, path = name.partition(" ")
    return f"{kind}{space}{'/'.join(Path(path).parts[-2:])}"


def _of_no_machine(value: Any) -> Any:
    """
    >>> _of_no_machine({"start": "/home/me/models/mini", "corpora": ["/data/x/train"], "steps": 3})
    {'start': 'mini', 'corpora': ['train'], 'steps': 3}
    """
    if isinstance(value, Mapping):
        return {key: _of_no_machine(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_of_no_machine(inner) for inner in value]
    value = shared_spelling(value)
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "${XLRET_SHARED}/")) else value
