"""Population-based training (Jaderberg et al., 2017) through our own checkpoints.

A population of configurations is trained step by step. At each of the steps where it is looked at, the worst, by the mean over
their seeds, are given up, and as many new ones go on from checkpoints of the best, with the learning rate and alpha changed a
little. All of it is a function of the settings and of the trials' files: a killed sweep works it out again.
"""

import dataclasses
import math
from typing import Any

from xlret.keys import generator
from xlret.sweep.clock import Clock
from xlret.sweep.configuration import Configuration, configuration, seeds_of, trial_directory, trial_run
from xlret.sweep.cutting import value_at
from xlret.sweep.ranking import seen
from xlret.sweep.result import read_result
from xlret.sweep.search import PureDraws, is_known
from xlret.sweep.seeds import decisions, mean_over_seeds
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import Domain
from xlret.sweep.trial import cut_trial
from xlret.training.fork import fork


class Population:
    """Hands out the members of the population, each again for every step that it is trained to (a `search.Search`)."""

    def __init__(self, job: SweepJob) -> None:
        self._job = job
        self._clock = Clock(job.out)
        draws = PureDraws(job)
        self._first = [draws(number) for number in range(min(job.scheduler.population, draws.count))]
        self._steps, self._metric = decisions(job, self._first[0])
        self._handed: set[tuple[str, int]] = set()
        """(name, generation) of what was asked for since this start of the sweep."""
        self.proposed = {member.name: member for member in self._first}
        self._ended = False

    @property
    def exhausted(self) -> bool:
        hours = self._job.budget.hours
        return self._ended or (hours is not None and self._clock.hours >= hours)

    @property
    def total(self) -> int:
        return len(self._first) + len(self._steps) * self._exchanged

    @property
    def _exchanged(self) -> int:
        """How many are given up each time."""
        return max(1, math.floor(self._job.scheduler.share * len(self._first)))

    def ask(self) -> Configuration | None:
        if self.exhausted:
            return None
        generation, members = self._generation()
        waiting = [member for member in members if not self._is_behind_it(member, generation)]
        self._ended = not waiting
        for member in waiting:
            if (member.name, generation) not in self._handed:
                self._handed.add((member.name, generation))
                return member
        return None

    def tell(self, known: Configuration) -> None:
        self._clock.save()

    def _generation(self) -> tuple[int, list[Configuration]]:
        """How often the population has been looked at, and who is in it now; gives up the worst and copies the best."""
        members = self._first
        for generation, step in enumerate(self._steps):
            if not all(self._is_behind_it(member, generation) for member in members):
                return generation, members
            members = self._exchange(members, generation, step)
        return len(self._steps), members

    def _is_behind_it(self, member: Configuration, generation: int) -> bool:
        """Whether a member has come to the end of a generation, or has ended. One that failed is not tried again: a copy of the
        best has its place."""
        if is_known(self._job, member) or seen(self._job, member).status == "failed":
            return True
        curve = mean_over_seeds(self._job, member.name, self._metric)
        return generation < len(self._steps) and max(curve, default=0) >= self._steps[generation]

    def _exchange(self, members: list[Configuration], generation: int, step: int) -> list[Configuration]:
        job = self._job
        curves = {member.name: mean_over_seeds(job, member.name, self._metric) for member in members}
        scores = {name: value_at(curve, step) if max(curve, default=0) >= step else -math.inf for name, curve in curves.items()}
        ranked = sorted(members, key=lambda member: -scores[member.name])
        best = [member for member in ranked[: self._exchanged] if scores[member.name] > -math.inf]
        if not best:
            return members
        after = []
        for slot, member in enumerate(members):
            if member not in ranked[-self._exchanged :]:
                after.append(member)
                continue
            parent = best[int(generator(job.search.seed, "parent", generation, slot).integers(len(best)))]
            child = self._child(parent, generation, slot, step)
            for seed in seeds_of(job, child):
                fork(trial_directory(job, parent, seed), trial_run(job, child, seed))
                if read_result(trial_directory(job, member, seed)) is None:
                    cut_trial(job, member, seed)
            self.proposed[child.name] = child
            after.append(child)
        return after

    def _child(self, parent: Configuration, generation: int, slot: int, step: int) -> Configuration:
        """The parent with some settings changed; its name tells that it is not one that began with these settings."""
        settings = dict(parent.settings)
        for setting in self._job.scheduler.perturbed:
            if setting in settings and setting in self._job.space:
                settings[setting] = perturbed(
                    self._job.space[setting], settings[setting], self._job.search.seed, setting, generation, slot
                )
        child = configuration(parent.point, settings, self._job.space)
        label = f"{child.label} from step {step} of {parent.label}"
        return dataclasses.replace(child, name=f"{child.name}.{step}.{slot}", label=label)


def perturbed(domain: Domain, value: Any, *key: int | str) -> Any:
    """A value near another: a number a fifth more or less, of a list the one before or after; never outside the domain.

    >>> perturbed(Domain(uniform=(0, 1)), 0.5, 0) in (0.4, 0.6), perturbed(Domain(choice=(1, 2, 3)), 1, 0)
    (True, 2)
    """
    up = bool(generator(*key, "perturbed").integers(2))
    if (values := domain.values) is not None:
        position = values.index(value)
        neighbour = position + (1 if (up or position == 0) and position + 1 < len(values) else -1)
        return values[max(0, neighbour)]
    low, high = domain.log_uniform or domain.uniform or domain.integers or (-math.inf, math.inf)
    changed = min(high, max(low, value * (1.2 if up else 0.8)))
    return round(changed) if domain.integers is not None else changed
