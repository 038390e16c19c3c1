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

    Of a path outside the shared folder the last name alone counts: an encoder, lexicon or benchmark of the same name is taken
    for the same, while corpora are compared by fingerprint (`corpora_of`) and questions by name (`comparison.py`).

    Raises:
        UserError: a setting that cannot be used.
    """
    training = trial_run(job, configuration, seed).model_dump(mode="json", exclude=_OF_NO_RESULT)
    judged = {name: how.model_dump(mode="json") for name, how in evaluations_at(job, configuration.point).items()}
    facts = of_no_machine({"training": training, "evaluations": judged, "untrained": configuration.untrained}, 1)
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


def of_no_machine(value: Any, parts: int) -> Any:
    """A setting's value with `${XLRET_SHARED}` for the shared folder, and of other absolute paths the last parts alone.

    >>> of_no_machine("/home/me/models/mini", 2), of_no_machine("./models/mini", 2)
    ('models/mini', './models/mini')
    >>> of_no_machine({"corpora": ["/data/x/train"], "steps": 3}, 1)
    {'corpora': ['train'], 'steps': 3}
    """
    if isinstance(value, Mapping):
        return {key: of_no_machine(inner, parts) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [of_no_machine(inner, parts) for inner in value]
    value = shared_spelling(value)
    return "/".join(Path(value).parts[-parts:]) if isinstance(value, str) and value.startswith("/") else value
