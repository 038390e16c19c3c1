"""What a model card can say of an encoder beside how to use it: how a run made it (`training.json`), how good it is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from xlret.config import Settings, settings_from
from xlret.errors import UserError

TRAINING = "training.json"
"""Beside a trained encoder's weights, so that copies and releases of it know where it came from."""


class TrainingData(Settings):
    """A corpus that an encoder was trained on."""

    source: str = "not stated"
    licence: str = "not stated"
    revision: str = "not stated"
    fingerprint: str
    groups: int = Field(ge=1)


class Training(Settings):
    """How a run made an encoder; no paths of the machine that it ran on."""

    version: Literal[1] = 1
    run: str
    base: str | None
    """Name on the hub of what the run began with, or the last part of its directory's path; None: random weights."""
    base_on_hub: bool
    start_weights_sha256: str
    languages: tuple[str, ...]
    corpora: tuple[TrainingData, ...]
    how: dict[str, str]
    """Rows of the card's table, such as `regime` -> `hybrid`."""
    commit: str | None


@dataclass(frozen=True)
class MetricInterval:
    """A mean over query languages and its 95 % interval."""

    name: str
    """As columns of queries.csv are called, such as `ndcg@10`; `mul` is mAP over the pooled corpus."""
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class SetResult:
    """An encoder's numbers on one retrieval set."""

    benchmark: str
    name: str
    """Of the set; that of the benchmark where it has one set."""
    split: str | None
    source: str | None
    revision: str | None
    licence: str | None
    languages: tuple[str, ...]
    queries: int
    passages: int
    mo: float | None
    cr: float | None
    metrics: tuple[MetricInterval, ...]


def read_training(encoder: Path) -> Training | None:
    """`training.json` of an encoder's directory; None where it has none.

    Raises:
        UserError: it is damaged, or of another version.
    """
    path = encoder / TRAINING
    if not path.is_file():
        return None
    try:
        return settings_from(Training, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is not what a training run writes: {error}; remove it, or train again") from error
