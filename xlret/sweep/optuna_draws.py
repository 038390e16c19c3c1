"""Configurations that Optuna proposes: TPE (Bergstra et al., NeurIPS 2011) for one goal, NSGA-II (Deb et al., 2002) for two."""

import json
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from xlret.errors import UserError
from xlret.files import write_text
from xlret.keys import key_of
from xlret.sweep.configuration import Configuration, configuration
from xlret.sweep.ranking import seen
from xlret.sweep.search import is_known
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import Domain, combinations, drawable
from xlret.training.log import read_lines

_PROPOSALS = "proposals.jsonl"


class OptunaDraws:
    """A study for each combination of points and grids, asked in turn (`search.Draws`).

    What was proposed is kept in `proposals.jsonl`, with what the sampler noted; studies are made anew from it and from the
    trials' results, so that nothing is unpickled. A sampler is seeded with the number that it is asked for: a proposal is a
    function of the seed, the number and the results that were there.
    """

    def __init__(self, job: SweepJob) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._job = job
        self._combinations = combinations(job.space, job.points, choices=False)
        self.count = len(self._combinations) * job.search.samples
        directions = [StudyDirection.MAXIMIZE if goal.sign > 0 else StudyDirection.MINIMIZE for goal in job.goals]
        self._studies = [optuna.create_study(directions=directions) for _ in self._combinations]
        self._lines = self._stored()
        self._running: dict[int, str] = {}
        """Number of a proposal whose result the study does not know -> name of its configuration."""
        for number, line in enumerate(self._lines):
            trial = create_trial(
                state=TrialState.RUNNING,
                params=line["params"],
                distributions={
                    name: optuna.distributions.json_to_distribution(text) for name, text in line["distributions"].items()
                },
                system_attrs=line["noted"],
            )
            self._study(number).add_trial(trial)
            proposal = self(number)
            self._running[number] = proposal.name
            if is_known(job, proposal):
                self.tell(proposal)

    def __call__(self, number: int) -> Configuration:
        if number == len(self._lines):
            self._propose(number)
        line = self._lines[number]
        return configuration(line["point"], line["settings"], self._job.space)

    def tell(self, known: Configuration) -> None:
        row = seen(self._job, known)
        if row.status == "unfinished":
            return
        goals = row.goals(self._job)
        for number in [number for number, name in self._running.items() if name == known.name]:
            study, asked = self._study(number), number // len(self._combinations)
            if goals is not None:
                study.tell(asked, goals)
            elif row.status in ("cut", "diverged") and len(self._job.goals) == 1:
                study.tell(asked, state=TrialState.PRUNED)  # TPE takes it for worse than all that finished
            else:
                study.tell(asked, state=TrialState.FAIL)
            del self._running[number]

    def _propose(self, number: int) -> None:
        point, fixed = self._combinations[number % len(self._combinations)]
        study = self._study(number)
        study.sampler = self._sampler(number)
        trial = study.ask()
        settings = dict(fixed)
        for setting, domain in drawable(self._job.space):
            if domain.applies(settings):
                settings[setting] = _suggested(trial, setting, domain)
        frozen = study.get_trials(deepcopy=False)[trial.number]
        line = {
            "point": point,
            "settings": settings,
            "params": frozen.params,
            "distributions": {
                name: optuna.distributions.distribution_to_json(distribution)
                for name, distribution in frozen.distributions.items()
            },
            "noted": frozen.system_attrs,
        }
        self._lines.append(json.loads(json.dumps(line)))  # as it will be read
        self._running[number] = configuration(point, settings, self._job.space).name
        self._job.out.mkdir(parents=True, exist_ok=True)
        write_text(self._job.out / _PROPOSALS, "".join(json.dumps(line) + "\n" for line in [self._identity(), *self._lines]))

    def _sampler(self, number: int) -> BaseSampler:
        search = self._job.search
        seed = key_of(search.seed, search.method, number) % 2**32
        random = max(2, min(10, search.samples // 3))  # Optuna's own 10 would leave a small search all random
        if search.method == "nsga2":
            return NSGAIISampler(population_size=max(2, min(50, search.samples // 4)), seed=seed)
        return TPESampler(n_startup_trials=random, constant_liar=True, seed=seed)

    def _study(self, number: int) -> optuna.Study:
        return self._studies[number % len(self._combinations)]

    def _identity(self) -> dict[str, Any]:
        """What proposals depend on: those of another space or search cannot be gone on with."""
        job = self._job.model_dump(mode="json", include={"space", "points", "goals", "search"})
        del job["search"]["samples"]
        return job

    def _stored(self) -> list[dict[str, Any]]:
        path = self._job.out / _PROPOSALS
        lines = read_lines(path)
        if lines and lines[0] != json.loads(json.dumps(self._identity())):
            raise UserError(f"{path} was made with another space, points, goals or search; choose another `out`")
        return lines[1:]


def _suggested(trial: Trial, setting: str, domain: Domain) -> Any:
    if (values := domain.values) is not None:
        return values[trial.suggest_categorical(setting, list(range(len(values))))]
    if domain.integers is not None:
        return trial.suggest_int(setting, *domain.integers)
    limits = domain.log_uniform or domain.uniform
    assert limits is not None, "a domain has exactly one kind"
    return trial.suggest_float(setting, *limits, log=domain.log_uniform is not None)
