"""Is a trial that was trained elsewhere the one that would be trained here?"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlret.data.corpus import ParallelCorpus
from xlret.files import shared_spelling
from xlret.sweep.configuration import Configuration, trial_run
from xlret.sweep.evaluations import evaluations_at
from xlret.sweep.settings import SweepJob

_OF_NO_RESULT = ("name", "storage", "ray", "log_every", "keep_checkpoints", "track")
"""Settings of a training that say where and how fast it runs, not what it comes to (but for how a machine rounds)."""
_LEFT_OUT: Any = {**dict.fromkeys(_OF_NO_RESULT, True), "corpora": True, "dev": {"corpora"}}
_PARTS = 2
"""Of a path outside the shared folder so many last names count: `NAME/model`, `atlas/dev`."""


def recipe_sha256(job: SweepJob, configuration: Configuration, seed: int) -> str:
    """A hash of all settings that decide a trial's result, its evaluations' among them; the same on every machine.

    Of an absolute path outside the shared folder the last two names alone count: an encoder, lexicon or benchmark of the same
    name is taken for the same, while corpora are compared by fingerprint (`deciding_corpora`) and questions by name
    (`comparison.py`). Settings that are at their default are left out, so that those that xlret gets later change nothing.

    Raises:
        UserError: a setting that cannot be used.
    """
    run, judged = trial_run(job, configuration, seed), evaluations_at(job, configuration.point)
    facts = {
        "training": run.model_dump(mode="json", exclude=_LEFT_OUT, exclude_defaults=True),
        "evaluations": {
            name: how.model_dump(mode="json", exclude={"corpus"}, exclude_defaults=True) for name, how in judged.items()
        },
        "corpora": [len(run.corpora), len(run.dev.corpora), [name for name, how in judged.items() if how.corpus is not None]],
        "untrained": configuration.untrained,
        "retriever": str(job.retriever) if run.model == "reranker" else None,
        "diverged": job.trial.model_dump(include={"diverged_window", "diverged_factor"}, exclude_defaults=True),
    }
    return hashlib.sha256(json.dumps(of_no_machine(facts), sort_keys=True).encode()).hexdigest()


def deciding_corpora(job: SweepJob, configuration: Configuration, seed: int) -> dict[str, str]:
    """Fingerprints of the corpora that decide a trial's result, as they are here.

    `corpus PATH` is one that it is trained on, or whose words make the vocabulary of an encoder of random weights; `dev PATH`
    says which step is best, and it is evaluated on `evaluated PATH`.

    Raises:
        UserError: one is not there.
    """
    run = trial_run(job, configuration, seed)
    paths: list[tuple[str, Path]] = []
    if not configuration.untrained or run.encoder.start == "fresh":
        paths += [("corpus", path) for path in run.corpora]
    if not configuration.untrained:
        paths += [("dev", path) for path in run.dev.corpora]
    paths += [("evaluated", how.corpus) for how in evaluations_at(job, configuration.point).values() if how.corpus is not None]
    return {f"{kind} {path}": ParallelCorpus.open(path, verify=False).fingerprint for kind, path in paths}


def without_folders(name: str) -> str:
    """
    >>> without_folders("corpus /home/me/corpora/ntrex/train"), without_folders("plan")
    ('corpus ntrex/train', 'plan')
    """
    kind, space, path = name.partition(" ")
    return f"{kind}{space}{'/'.join(Path(path).parts[-_PARTS:])}"


def of_no_machine(value: Any) -> Any:
    """A setting's value with `${XLRET_SHARED}` for the shared folder, and of other absolute paths the last two names alone.

    >>> of_no_machine("/home/me/models/mini"), of_no_machine("./models/mini")
    ('models/mini', './models/mini')
    >>> of_no_machine({"corpora": ["/data/x/train"], "steps": 3})
    {'corpora': ['x/train'], 'steps': 3}
    """
    if isinstance(value, Mapping):
        return {key: of_no_machine(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [of_no_machine(inner) for inner in value]
    value = shared_spelling(value)
    return "/".join(Path(value).parts[-_PARTS:]) if isinstance(value, str) and value.startswith("/") else value
