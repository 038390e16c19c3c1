"""A sweep over Ray Tune: as many configurations at once as the cluster has room for, each in a process of its own.

Tune places trials, starts dead ones again and shows them on the dashboard. What is trained next, what is given up and what came
of it is decided and kept by files of the sweep's own (`search.py`, `seeds.py`, `trial.py`), so that a sweep goes on after
anything was killed, its driver and the cluster included, and does so from results alone: nothing of Tune's is read again.
"""

import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, FailureConfig, PlacementGroupFactory, RunConfig, Stopper, TuneConfig, Tuner
from ray.tune.analysis import experiment_analysis
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from rich.console import Console

from xlret.errors import TerminatedError, UserError
from xlret.files import path_variables
from xlret.session import ray_session
from xlret.storage.url import as_url, is_url
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory, trial_run
from xlret.sweep.live import LiveTable
from xlret.sweep.resources import Needs, trial_needs, trials_at_once
from xlret.sweep.result import read_result
from xlret.sweep.search import Search
from xlret.sweep.seeds import Told, run_configuration
from xlret.sweep.settings import SweepJob
from xlret.sweep.space import combinations
from xlret.sweep.trial import fail_trial
from xlret.training.ownership import sole_driver, sole_writer

_FAILURES = 3
"""How often a trial whose process died is started again; it goes on from its last checkpoint."""
_STATE = ".tune"
"""Where Tune keeps notes of its own below a sweep's directory. They are pickles, never read again and thrown away."""


def sweep_on_ray(job: SweepJob, search: Search, console: Console) -> None:
    """Trains and evaluates the configurations of a search over Ray, with a live table of those under way.

    Args:
        job: the sweep.
        search: hands out its configurations.
        console: where the table is shown.

    Raises:
        UserError: the cluster has no room for a trial; another process runs the sweep.
        KeyboardInterrupt: SIGINT (Ctrl-C) or SIGTERM (`ray job stop`; a `TerminatedError`) was sent. All trials have ended;
            they go on at the next start.
    """
    (job.out / "trials").mkdir(parents=True, exist_ok=True)
    trials = _all_needs(job)
    several = any(needs.workers for needs in trials)
    first = search.ask()
    if first is None:
        return
    with sole_driver(job.out / "trials"), ray_session(tell_workers=several), _stop_signals() as stop:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        at_once = trials_at_once(nodes, trials, job.trial.concurrent)
        state = _state(job)
        shutil.rmtree(state, ignore_errors=True)
        try:
            with LiveTable(job, search, console, at_once) as table:
                _fit(job, _Searcher(job, search, first), table, at_once, stop)
        finally:
            shutil.rmtree(state, ignore_errors=True)
        if stop.is_set():
            raise TerminatedError if stop.number == signal.SIGTERM else KeyboardInterrupt


def _state(job: SweepJob) -> Path:
    """Where Tune keeps its notes while the sweep runs; nobody reads them again, so those of a sweep at a URL stay here."""
    if not is_url(job.out):
        return job.out / _STATE
    from xlret.storage.cache import work_path

    return work_path(as_url(job.out / _STATE))


def _fit(job: SweepJob, searcher: "_Searcher", table: LiveTable, at_once: int, stop: threading.Event) -> None:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # trials write their own metrics and TensorBoard events
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # `stop` says it, for SIGTERM too
    os.environ["TUNE_PRINT_ALL_TRIAL_ERRORS"] = "0"  # the table has a line for it in place of a trace
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")  # its notes are not read again
    logging.getLogger(experiment_analysis.__name__).setLevel(logging.ERROR)  # else it warns at the end that they are gone
    trainable = tune.with_resources(
        tune.with_parameters(_train, job=job, variables=path_variables()), lambda config: _placement(job, config)
    )
    Tuner(
        trainable,
        tune_config=TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            max_concurrent_trials=at_once,
            reuse_actors=True,  # a process has imported everything for the trials that come after its first
            trial_name_creator=_name_of,
            trial_dirname_creator=_name_of,
        ),
        run_config=RunConfig(
            name=job.name,
            storage_path=str(_state(job)),
            failure_config=FailureConfig(max_failures=_FAILURES),
            callbacks=[_Teller(table), _Silent()],
            stop=_StopAll(stop),
            verbose=0,
        ),
    ).fit()


def _train(config: Mapping[str, Any], job: SweepJob, variables: Mapping[str, str]) -> None:
    """What Tune runs in a trial's process, whose working directory is one of Tune's: a recipe's paths start at the driver's."""
    os.environ.update(variables)
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "120"  # Tune gives up the next trial if this one's thread still ends
    configuration = Configuration(**config)

    def told(seed: int, step: int, metrics: Mapping[str, float]) -> None:
        tune.report({**metrics, "seed": seed, "step": step})

    if not _needs(job, configuration).workers:
        _train_alone(job, configuration, told)
        return
    # All that starts below a trial's process belongs to what Tune reserved for it and ends with it, and that is actors of
    # Ray's which other trials use too (Ray Data's statistics, say). So it all starts from a task that is not of the trial.
    apart = PlacementGroupSchedulingStrategy(placement_group=None)
    ray.get(
        ray.remote(_train_alone)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=apart)
        .remote(job, configuration, variables=variables)
    )


def _train_alone(
    job: SweepJob,
    configuration: Configuration,
    told: Told = lambda seed, step, metrics: None,
    variables: Mapping[str, str] | None = None,
) -> None:
    os.environ.update(variables or {})
    with sole_writer(job.out / "trials" / configuration.name):  # a killed driver's trials take a while to end
        run_configuration(job, configuration, told)


class _Unkept:
    """Is left out of Tune's pickles."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()


class _Searcher(_Unkept, Searcher):  # type: ignore[misc]
    """Tune's view of a search: a trial's config is a configuration."""

    def __init__(self, job: SweepJob, search: Search, first: Configuration) -> None:
        super().__init__(metric=None, mode=None)
        self._job, self._search = job, search
        self._first: Configuration | None = first
        self._asked: dict[str, Configuration] = {}

    def suggest(self, trial_id: str) -> Any:
        configuration, self._first = self._first or self._search.ask(), None
        if configuration is None:
            return Searcher.FINISHED if self._search.exhausted else None
        self._asked[trial_id] = configuration
        return {
            "name": configuration.name,
            "label": configuration.label,
            "point": configuration.point,
            "settings": dict(configuration.settings),
        }

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        configuration = self._asked.pop(trial_id)
        if error:
            for seed in seeds_of(self._job, configuration):
                if read_result(trial_directory(self._job, configuration, seed)) is None:
                    fail_trial(self._job, configuration, seed, f"the process of the trial died {_FAILURES + 1} times")
        self._search.tell(configuration)

    def save(self, checkpoint_path: str) -> None:
        """The search is made again from its files."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""


class _Teller(_Unkept, Callback):  # type: ignore[misc]
    """Hands what Tune hears of its trials to the table."""

    def __init__(self, table: LiveTable) -> None:
        self._table = table

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._table.begun(_configuration_of(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: Mapping[str, Any], **info: Any
    ) -> None:
        self._table.told(_configuration_of(trial), result)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._table.lost(_configuration_of(trial))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._table.ended(_configuration_of(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._table.ended(_configuration_of(trial))


class _Silent(_Unkept, TrialProgressCallback):  # type: ignore[misc]
    """In the place of Tune's own printing, which tells of trials that have ended whatever it is asked."""

    def log_result(self, trial: Trial, result: Mapping[str, Any], error: bool = False) -> None:
        """Nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Nothing."""


class _StopAll(_Unkept, Stopper):  # type: ignore[misc]
    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return self._stop.is_set()

    def stop_all(self) -> bool:
        return self._stop.is_set()


class _Stop(threading.Event):
    """Set by a signal, of which it keeps the number."""

    number = 0


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    """An event that is set by the first SIGINT or SIGTERM; the second does what it always does."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop_all(number: int, frame: FrameType | None) -> None:
        stop.number = number
        stop.set()
        for known, handler in before.items():
            signal.signal(known, handler)

    for number in before:
        signal.signal(number, stop_all)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _all_needs(job: SweepJob) -> list[Needs]:
    """What the sweep's trials need, each kind of trial once."""
    needs: dict[str, Needs] = {}
    for point, settings in combinations(job.space, job.points, choices=True):
        trial = _needs(job, Configuration("any", "any", point, settings))
        needs[repr(trial)] = trial
    return list(needs.values())


def _needs(job: SweepJob, configuration: Configuration) -> Needs:
    """What a configuration's trial needs; little where its settings cannot be used, which it will say when it runs."""
    try:
        return trial_needs(trial_run(job, configuration, job.seeds[0]), job.trial.memory_gb)
    except UserError:
        return Needs({"CPU": 1.0})


def _placement(job: SweepJob, config: Mapping[str, Any]) -> PlacementGroupFactory:
    """What Tune reserves for a trial. The workers of a trial that has some are reserved by Ray Train."""
    return PlacementGroupFactory([dict(_needs(job, Configuration(**config)).own)])


def _configuration_of(trial: Trial) -> Configuration:
    return Configuration(**trial.config)


def _name_of(trial: Trial) -> str:
    return str(trial.config["name"])
