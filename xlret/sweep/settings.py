"""What a sweep is told: which trainings to make, with what seeds, how to judge them, and how much they may cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from xlret.config import PathSetting, RecipeSetting, Settings, dotted
from xlret.evaluation.settings import EvaluateSettings
from xlret.release.promote import TOLERANCE
from xlret.sweep.space import Domain, check_space
from xlret.training.settings import TrainJob


class Goal(Settings):
    """A number of the evaluation that configurations are judged by."""

    metric: str
    """mo, cr, mul, micro, rank_distance, peer, ndcg@10, ...; of another evaluation `NAME.mul`, of a group `en-near`."""
    direction: Literal["max", "min"] | None = None
    """Whether more is better. By default it is, except for rank_distance."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, values: Any) -> Any:
        return {"metric": values} if isinstance(values, str) else values

    @property
    def sign(self) -> float:
        """What a value is multiplied by so that more is better."""
        least = self.direction == "min" or (self.direction is None and self.metric.rsplit(".", 1)[-1] == "rank_distance")
        return -1.0 if least else 1.0


class SearchSettings(Settings):
    """Which combinations of the space are trained."""

    method: Literal["grid", "random", "tpe", "nsga2"] = "grid"
    """grid: all; random: drawn as a pure function of seed and number; tpe: Optuna's tree of Parzen estimators, for one goal;
    nsga2: Optuna's NSGA-II, for two."""
    samples: int = Field(16, ge=1)
    """Draws for each combination of points and grids; grid draws nothing."""
    seed: int = Field(0, ge=0)
    """Of the draws."""


class SchedulerSettings(Settings):
    """When a configuration is given up before its last step. Needs dev corpora. Seeds are cut together, never one of them."""

    method: Literal["none", "asha", "median", "pbt"] = "none"
    """By the dev metric that picks best checkpoints. asha: asynchronous successive halving; median: below the median of the
    others' means; pbt: population-based training."""
    first: int | None = Field(None, ge=1)
    """Step of the first decision; by default that of the first dev evaluation. The median rule decides every so many steps."""
    reduction: float = Field(3.0, gt=1)
    """asha goes on with one in so many, and decides again after so many times as many steps."""
    quorum: int = Field(3, ge=1)
    """The median rule gives up none before so many others have come as far."""
    population: int = Field(4, ge=2)
    """pbt: configurations that are trained together; every `first` steps the worst are given up for copies of the best."""
    share: float = Field(0.25, gt=0, le=0.5)
    """pbt: how many of the population are given up each time, and how many of the best are copied."""
    perturbed: tuple[str, ...] = ("optimiser.learning_rate", "plan.alpha")
    """pbt: the swept settings that a copy changes: a number by a fifth, up or down; of a list the next value."""


class BudgetSettings(Settings):
    """Where a sweep ends, however many combinations are left; trials that are under way are finished."""

    configurations: int | None = Field(None, ge=1)
    """At most so many."""
    hours: float | None = Field(None, gt=0)
    """No configuration is begun after so long, over all starts of the sweep."""


class TrialSettings(Settings):
    """What a trial needs of the cluster before it starts, and when it is given up."""

    memory_gb: float | None = Field(None, gt=0)
    """Reserved for each trial; by default nothing is."""
    concurrent: int | None = Field(None, ge=1)
    """At most so many trials at once; by default as many as the cluster has CPUs and GPUs for."""
    diverged_window: int = Field(5, ge=1)
    """Reports (every `log_every` steps) whose mean loss is compared with the start's."""
    diverged_factor: float = Field(1.2, gt=1)
    """The run has diverged where that mean is above the start's loss times this. Mono and cross batches are looked at apart."""


class ReleaseSettings(Settings):
    """What `--release NAME` makes of the best configuration."""

    passages: tuple[PathSetting, ...] = ()
    """Files of passages that the index is made of; or else `corpora`."""
    corpora: tuple[PathSetting, ...] = ()
    """Prepared corpora whose passages it is made of."""
    shards: int = Field(1, ge=1)
    """Of the index."""
    root: PathSetting = Path("runs/releases")
    """Directory of releases."""
    metric: str = "mul"
    """What decides whether the release takes the place of the standing one."""
    tolerance: float = Field(TOLERANCE, ge=0)
    """How far that may be below the standing release's."""

    @model_validator(mode="after")
    def _single_source(self) -> "ReleaseSettings":
        if bool(self.passages) == bool(self.corpora):
            raise ValueError("give either passages (files) or corpora (prepared ones) to make the index of")
        return self


class CostSettings(Settings):
    """What `--dry-run` cannot see: how fast trainings are, and how large encoders that are not at hand."""

    pairs_per_second: float | None = Field(None, gt=0)
    """Of one training; by default as measured by what the sweep has trained so far."""
    parameters: Mapping[str, float] = {}
    """Name of a start encoder on the hub -> its number of weights."""


class SweepJob(Settings):
    """A base recipe of `xlret train`, what is swept in it, and how the trained encoders are judged."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Of the sweep."""
    base: RecipeSetting
    """The training recipe that all start from."""
    changes: Mapping[str, Any] = {}
    """Setting -> value in place of the base's, in all trials."""
    space: Mapping[str, Domain] = {}
    """Setting -> its values, such as `plan.alpha: {grid: [0, 0.5, 1]}` or `optimiser.learning_rate: {log_uniform: [1.0e-5,
    1.0e-3]}`."""
    points: Mapping[str, Mapping[str, Any]] = {}
    """Name -> settings that go together, such as `mono: {plan.regime: mono}`; each is combined with the whole space. Empty
    settings: the base as it is. The key `untrained` with value true evaluates the start encoder, or
    each that the grids name."""
    seeds: tuple[int, ...] = Field((0, 1), min_length=1)
    """Each configuration is trained with each, and judged by the mean over them."""
    evaluation: EvaluateSettings
    """What every trained encoder is evaluated on."""
    also: Mapping[str, EvaluateSettings] = {}
    """Name -> a further evaluation, whose metrics are called NAME.mul and so on."""
    only: Mapping[str, tuple[str, ...]] = {}
    """Name of a further evaluation -> the points that it is made of; of all by default. In tables it is then a row of its own
    beside theirs, such as Translate-Test of the ranker that was trained on English."""
    titles: Mapping[str, str] = {}
    """Metric -> what tables call it, such as `mul: MLIR`."""
    retriever: str | None = None
    """Where the recipe trains a reranker: the encoder whose best passages it orders anew."""
    goals: tuple[Goal, ...] = Field((Goal(metric="mul"),), min_length=1, max_length=2)
    """What configurations are ranked by: the first; a second one, such as rank_distance, for nsga2 and the Pareto front."""
    against: str | None = None
    """The point that the others are tested against; by default the best configuration."""
    search: SearchSettings = SearchSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    budget: BudgetSettings = BudgetSettings()
    trial: TrialSettings = TrialSettings()
    release: ReleaseSettings | None = None
    cost: CostSettings = CostSettings()
    out: PathSetting
    """Directory for runs, evaluations, tables and report; by default runs/sweeps/NAME."""
    pivot: str = "en"
    """The language of the training pairs, which `groups` are paired with."""
    groups: Mapping[str, tuple[str, ...]] = {}
    """Name of a group of languages, such as `near` -> its languages. Each is a column of the table: the mean mAP of searches
    between the pivot and its languages, in both directions, in the first evaluation."""

    @model_validator(mode="before")
    @classmethod
    def _directory_by_name(cls, values: Any) -> Any:
        return {"out": f"runs/sweeps/{values.get('name')}", **values} if isinstance(values, dict) else values

    @field_validator("changes", "space", mode="before")
    @classmethod
    def _dotted(cls, values: Any) -> Any:
        return dotted(TrainJob, values) if isinstance(values, dict) else values

    @field_validator("points", mode="before")
    @classmethod
    def _dotted_points(cls, values: Any) -> Any:
        return {name: cls._dotted(settings) for name, settings in values.items()} if isinstance(values, dict) else values

    @field_validator("seeds", mode="after")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("each seed once, none below 0")
        return seeds

    @model_validator(mode="after")
    def _possible(self) -> "SweepJob":
        if odd := [name for name in self.also if name == "evaluation" or not name.isidentifier()]:
            raise ValueError(f"also.{odd[0]}: a name is letters and digits, and `evaluation` is that of the first")
        if odd := [name for name in self.only if name not in self.also]:
            raise ValueError(f"only.{odd[0]}: there is no such further evaluation; there are {', '.join(self.also) or 'none'}")
        if odd := [point for points in self.only.values() for point in points if point not in self.points]:
            raise ValueError(f"only names {odd[0]}, which is no point; there are {', '.join(self.points) or 'none'}")
        check_space(self.space, self.points, self.search.method)
        if (self.search.method == "nsga2") != (len(self.goals) == 2) and self.search.method in ("tpe", "nsga2"):
            raise ValueError(
                f"search {self.search.method} is for {'two goals' if self.search.method == 'nsga2' else 'one goal'}"
            )
        if self.scheduler.method == "pbt" and (
            self.search.method != "random"
            or len(self.points) > 1
            or any(domain.grid is not None for domain in self.space.values())
        ):
            raise ValueError("scheduler pbt is for search random over a space without grids and with one point at most")
        if self.scheduler.method == "pbt" and not set(self.scheduler.perturbed) & set(self.space):
            raise ValueError(
                f"scheduler pbt changes {', '.join(self.scheduler.perturbed)} of what it copies, and none of them is swept; "
                "name one in space, or others in scheduler.perturbed"
            )
        if len({goal.metric for goal in self.goals}) < len(self.goals):
            raise ValueError(f"goals names {self.goals[0].metric} twice; two goals are two metrics")
        if self.against is not None and self.against not in self.points:
            raise ValueError(f"against names {self.against}, which is no point; there are {', '.join(self.points) or 'none'}")
        return self
