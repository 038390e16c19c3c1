"""What a table of variants is made of."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from xlret.config import PathSetting, RecipeSetting, Settings
from xlret.evaluation.settings import EvaluateSettings


class VariantsJob(Settings):
    """A base recipe of `xlret train`, what each variant changes in it, and how all are evaluated."""

    name: str
    """What the names of all runs begin with."""
    base: RecipeSetting
    """The training recipe that all start from."""
    variants: Mapping[str, Mapping[str, Any]] = Field(min_length=1)
    """Name of a variant -> setting -> value, such as `mono: {plan.regime: mono}`. Empty settings: the base as it is.
    The key `untrained` with value true evaluates the start encoder."""
    seeds: tuple[int, ...] = Field((0, 1), min_length=1)
    """Each variant is trained once with each."""
    evaluation: EvaluateSettings
    out: PathSetting
    """Directory for runs, evaluations and the table."""
    pivot: str = "en"
    """The language of the training pairs, which `groups` are paired with."""
    groups: Mapping[str, tuple[str, ...]] = {}
    """Name of a group of languages, such as `near` -> its languages. Each is a column of the table: the mean mAP of searches
    between the pivot and its languages, in both directions."""
