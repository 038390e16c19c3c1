"""What a sweep shows while it runs: the configurations under way, how far they are, the best so far, and the time left."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from xlret.errors import UserError
from xlret.monitoring import tell
from xlret.sweep.configuration import Configuration, seeds_of, trial_name, trial_run
from xlret.sweep.ranking import ranking, seen
from xlret.sweep.search import Search, is_known
from xlret.sweep.settings import SweepJob
from xlret.training.log import read_lines


@dataclass
class _Underway:
    """A configuration that is being trained."""

    configuration: Configuration
    steps: int
    began: float
    seed: int | None = None
    dev: str = ""


class LiveTable:
    """Told by the driver what begins, is reported and ends. On a terminal a table that renews itself, else a line for each."""

    def __init__(self, job: SweepJob, search: Search, console: Console, at_once: int) -> None:
        self._job, self._search, self._console, self._at_once = job, search, console, at_once
        self._underway: dict[str, _Underway] = {}
        self._began = time.monotonic()
        self._trained: set[str] = set()
        """The configurations that were begun since this start of the sweep."""
        self._failed: set[str] = set()
        """Those of them that failed: there is something left to do for them, at the next start."""
        self._done: set[str] = set()
        self._best = ""
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=1, transient=True)

    def __enter__(self) -> "LiveTable":
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(f"{self._job.name}: {self._at_once} at once, {self._search.total} configurations at most")
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def begun(self, configuration: Configuration) -> None:
        """A configuration is trained from now on."""
        self._trained.add(configuration.name)
        try:
            steps = 0 if configuration.untrained else trial_run(self._job, configuration, self._job.seeds[0]).steps
        except UserError:  # the trial says what is wrong with it
            steps = 0
        self._underway[configuration.name] = _Underway(configuration, steps, time.monotonic())
        self._count()
        if not self._console.is_terminal:
            self._console.print(f"{configuration.label}: begun")

    def told(self, configuration: Configuration, metrics: Mapping[str, Any]) -> None:
        """A dev evaluation of one of its seeds: `seed`, `step` and the metrics."""
        known = self._underway.get(configuration.name)
        if known is None or "seed" not in metrics:
            return
        numbers = [f"{name} {metrics[name]:.4f}" for name in ("mo", "cr", "mul") if name in metrics]
        known.seed, known.dev = int(metrics["seed"]), "  ".join(numbers)
        if not self._console.is_terminal:
            self._console.print(f"{configuration.label}, seed {known.seed}: step {metrics['step']}/{known.steps}  {known.dev}")

    def lost(self, configuration: Configuration) -> None:
        """The process that trained it died; it is begun again."""
        self._underway.pop(configuration.name, None)
        self._console.print(
            f"{configuration.label}: its process died; another one goes on from the last checkpoint", markup=False
        )

    def ended(self, configuration: Configuration) -> None:
        """Its results are on the disk."""
        known = self._underway.pop(configuration.name, None)
        row = seen(self._job, configuration)
        if row.status == "failed":
            self._failed.add(configuration.name)
        self._count()
        if row.status == "unfinished":  # stopped
            return
        best = ranking(self._job, self._search.proposed.values())[0]
        if (goals := best.goals(self._job)) is not None:
            self._best = f"{best.configuration.label}: {self._goals(goals)}"
            for goal, value in zip(self._job.goals, goals, strict=True):
                tell("xlret_sweep_best", value, sweep=self._job.name, metric=goal.metric)
        if not self._console.is_terminal:
            goals = row.goals(self._job)
            outcome = self._goals(goals) if goals is not None else next((result.error or "" for result in row.results), "")
            took = f", {time.monotonic() - known.began:.0f} s" if known else ""
            self._console.print(f"{configuration.label}: {row.status}{took}  {outcome}  [{self._summary()}]", markup=False)

    def _count(self) -> None:
        """Which configurations are done, from their results: a population gives up members without anything ending here."""
        known = {name for name, proposed in self._search.proposed.items() if is_known(self._job, proposed)}
        self._done = known | self._failed
        states = {"all": self._search.total, "done": len(self._done - self._failed), "failed": len(self._failed)}
        for state, count in {**states, "under way": len(self._underway)}.items():
            tell("xlret_sweep_configurations", count, sweep=self._job.name, state=state)

    def _goals(self, values: tuple[float, ...]) -> str:
        return "  ".join(f"{goal.metric} {value:.4f}" for goal, value in zip(self._job.goals, values, strict=True))

    def _summary(self) -> str:
        parts = [f"{len(self._done)} of {self._search.total} configurations", *([f"best {self._best}"] if self._best else [])]
        return ", ".join([*parts, *([left] if (left := self._left()) else [])])

    def _left(self) -> str:
        """The time left, if the rest takes as long as what was done since this start."""
        done = len(self._done & self._trained)
        share = sum(self._share(known) for known in self._underway.values())
        left = self._search.total - len(self._done) - share
        if not done or left <= 0:
            return ""
        minutes = (time.monotonic() - self._began) / (done + share) * left / 60
        return f"about {minutes:.0f} min left" if minutes > 1.5 else f"about {60 * minutes:.0f} s left"

    def _share(self, known: _Underway) -> float:
        """How much of a configuration is done, from its seeds' last reports."""
        if not known.steps:
            return 0.0
        seeds = seeds_of(self._job, known.configuration)
        made = sum(int(self._last(known.configuration, seed).get("step", 0)) for seed in seeds)
        return made / (known.steps * len(seeds))

    def _last(self, configuration: Configuration, seed: int) -> Mapping[str, Any]:
        lines = read_lines(self._job.out / "trials" / trial_name(configuration, seed) / "metrics.jsonl")
        return next((line for line in reversed(lines) if line["group"] == "train"), {})

    def _table(self) -> RenderableType:
        table = Table("configuration", "seed", "step", "loss", "dev", "time", box=None, pad_edge=False)
        for known in list(self._underway.values()):
            seed = known.seed if known.seed is not None else seeds_of(self._job, known.configuration)[0]
            last = self._last(known.configuration, seed)
            loss = f"{last['loss']:.3f}" if "loss" in last else ""
            step = f"{last.get('step', 0)}/{known.steps}" if known.steps else "evaluation"
            table.add_row(
                known.configuration.label, str(seed), step, loss, known.dev, f"{time.monotonic() - known.began:.0f} s"
            )
        return Group(Text(f"{self._job.name}: {self._summary()}"), table)
