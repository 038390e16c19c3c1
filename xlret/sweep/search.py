"""Which configurations a sweep trains: all combinations, drawn ones, or those that Optuna proposes from the others' results."""

from typing import Protocol

from xlret.errors import UserError
from xlret.sweep.clock import Clock
from xlret.sweep.configuration import Configuration, configuration
from xlret.sweep.ranking import seen
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import combinations, drawn


class Draws(Protocol):
    """The configurations of a search by number. A number's is the same at every start of the sweep."""

    count: int
    """How many there are."""

    def __call__(self, number: int) -> Configuration:
        """The configuration of a number; asked in order, from 0."""

    def tell(self, known: Configuration) -> None:
        """The results of a configuration are on the disk; told any number of times."""


class Search(Protocol):
    """Hands out a sweep's configurations to whoever trains them. One that is killed is made again from the sweep's files."""

    proposed: dict[str, Configuration]
    """Name -> configuration, of all that were asked for or were there already, in order."""

    @property
    def exhausted(self) -> bool:
        """Whether `ask` gives nothing any more: all were given, or the budget is spent."""

    @property
    def total(self) -> int:
        """How many configurations there will be at most."""

    def ask(self) -> Configuration | None:
        """The next configuration to train; None where there is none, or none before others have been trained."""

    def tell(self, known: Configuration) -> None:
        """A configuration has been trained, as far as it goes now; its results are on the disk."""


class NumberedSearch:
    """Hands out a sweep's configurations, each once; those whose results are on the disk already are passed over.

    It holds nothing that a killed sweep would miss: a new one asks the same numbers again.
    """

    def __init__(self, job: SweepJob) -> None:
        self._job = job
        self._draws = _draws(job)
        self._clock = Clock(job.out)
        self._number = 0
        self.proposed: dict[str, Configuration] = {}
        """Name -> configuration, of all that were asked for or were there already, in order."""

    @property
    def exhausted(self) -> bool:
        """Whether `ask` gives nothing any more: all were given, or the budget is spent."""
        most, hours = self._job.budget.configurations, self._job.budget.hours
        spent = (most is not None and len(self.proposed) >= most) or (hours is not None and self._clock.hours >= hours)
        return spent or self._number >= self._draws.count

    @property
    def total(self) -> int:
        """How many configurations there will be at most."""
        most = self._job.budget.configurations
        return self._draws.count if most is None else min(most, self._draws.count)

    def ask(self) -> Configuration | None:
        """The next configuration to train; None where there is none left."""
        while not self.exhausted:
            proposal = self._draws(self._number)
            self._number += 1
            new = proposal.name not in self.proposed
            self.proposed.setdefault(proposal.name, proposal)
            if is_known(self._job, proposal):
                self._draws.tell(proposal)
            elif new:
                return proposal
        return None

    def tell(self, known: Configuration) -> None:
        """A configuration has been trained, as far as it goes; its results are on the disk."""
        self._draws.tell(known)
        self._clock.save()


def search_of(job: SweepJob) -> Search:
    """The search that a sweep's settings name.

    Raises:
        UserError: it cannot be used.
    """
    if job.scheduler.method == "pbt":
        from xlret.sweep.population import Population

        return Population(job)
    return NumberedSearch(job)


def is_known(job: SweepJob, proposal: Configuration) -> bool:
    """Whether nothing is left to do for a configuration: all its seeds have a result, and none failed."""
    row = seen(job, proposal)
    return len(row.results) == row.seeds and all(result.known for result in row.results)


class PureDraws:
    """Grid and random: a number's configuration is a function of the settings alone."""

    def __init__(self, job: SweepJob) -> None:
        self._job = job
        every = job.search.method == "grid"
        self._combinations = combinations(job.space, job.points, choices=every)
        self.count = len(self._combinations) * (1 if every else job.search.samples)

    def __call__(self, number: int) -> Configuration:
        draw, combination = divmod(number, len(self._combinations))
        point, settings = self._combinations[combination]
        if self._job.search.method == "random":
            settings = drawn(self._job.space, settings, self._job.search.seed, draw)
        return configuration(point, settings, self._job.space)

    def tell(self, known: Configuration) -> None:
        """Nothing depends on results."""


def _draws(job: SweepJob) -> Draws:
    if job.search.method in ("grid", "random"):
        return PureDraws(job)
    try:
        from xlret.sweep.optuna_draws import OptunaDraws
    except ImportError as error:
        raise UserError(
            f"search {job.search.method} needs Optuna, which is not installed; pip install 'xlret[sweep]', or search random"
        ) from error
    return OptunaDraws(job)
