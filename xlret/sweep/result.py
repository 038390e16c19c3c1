"""What a trial leaves: `result.json` in its directory, with its numbers or why there are none."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from xlret.config import Settings
from xlret.errors import CorruptError
from xlret.files import write_json

RESULT = "result.json"
KEPT = "kept.json"
"""Beside it where the trial was trained elsewhere: its line of a file of results (`taken_up.py`)."""

Status = Literal["finished", "cut", "diverged", "failed"]
"""cut: given up by a scheduler; diverged: the loss is no number, or above its start; failed: an error ended it."""


class TrialResult(Settings):
    """One training with one seed, and its evaluation."""

    configuration: str
    """Name of the configuration."""
    label: str
    """The same for people."""
    point: str | None
    seed: int
    settings: Mapping[str, Any]
    """What the configuration changes in the base recipe."""
    status: Status
    error: str | None = None
    """In one sentence; the traceback is in `error.txt` beside the result."""
    metrics: Mapping[str, float | None] = {}
    """Of the evaluations; of a trial that was not evaluated those of its last dev evaluation, by their names with `dev.`."""
    step: int = 0
    """The last one made."""
    best_step: int | None = None
    """Of the model that was evaluated; None without dev corpora."""
    training_seconds: float = 0.0
    """Of this and earlier starts, as the run's reports have it: without start-up, evaluation and checkpoints."""
    evaluation_seconds: float = 0.0
    fingerprints: Mapping[str, str] = {}
    """What decided the result: `plan`, `start`, `weights`, `corpus PATH` of each corpus, `dev PATH` and `evaluated PATH`."""
    evaluations: Mapping[str, Mapping[str, Any]] = {}
    """Name of an evaluation, `evaluation` for the first -> its settings."""

    @property
    def known(self) -> bool:
        """Whether there is nothing left to do: a trial that failed is tried again when the sweep is started again."""
        return self.status != "failed"


def has_ended(directory: Path) -> bool:
    """Whether nothing is left to do for the trial in a directory.

    Raises:
        CorruptError: its result is damaged.
    """
    result = read_result(directory)
    return result is not None and result.known


def read_result(directory: Path) -> TrialResult | None:
    """The result of the trial in a directory; None where it has none yet.

    Raises:
        CorruptError: it is damaged.
    """
    path = directory / RESULT
    try:
        return TrialResult.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, ValidationError) as error:
        raise CorruptError(f"{path} is damaged, or of another xlret; remove it, and the trial is evaluated again") from error


def write_result(directory: Path, result: TrialResult) -> None:
    """Writes the result of a trial, in one step."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RESULT, result.model_dump(mode="json"))
