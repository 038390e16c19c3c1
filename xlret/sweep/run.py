"""A sweep from its first check to its tables and report.

runs/sweeps/<name>/
  trials/CONFIGURATION-SEED/   a run of `train`, its evaluations, and result.json
  table.md|csv|json            a row a configuration; a row a trial; everything
  report.html                  the same as pictures
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from xlret.config import as_yaml
from xlret.files import write_text
from xlret.sweep.checks import check_ends, check_sweep, example_configurations
from xlret.sweep.comparison import compared
from xlret.sweep.configuration import Configuration, seeds_of, trial_directory
from xlret.sweep.in_process import in_process, sweep_in_process
from xlret.sweep.kept_results import keep_results
from xlret.sweep.ranking import Ranked, ranking
from xlret.sweep.report import write_report
from xlret.sweep.result import read_result
from xlret.sweep.search import Search, search_of
from xlret.sweep.settings import SweepJob
from xlret.sweep.table import write_tables
from xlret.sweep.taken_up import take_up
from xlret.sweep.trial import renew_metrics


def sweep(
    job: SweepJob,
    console: Console,
    *,
    without_ray: bool = False,
    results: Path | None = None,
    release: str | None = None,
) -> list[Ranked]:
    """Trains and evaluates what is missing of a sweep, and lays out what there is; however it ends.

    Args:
        job: the sweep.
        console: where progress and the table are shown.
        without_ray: one training after the other in this process.
        results: a file that the trials which have ended are added to; those that it has and that are not here are not trained
            again. See `kept_results` and `taken_up`.
        release: name of a release that is to be made of the best: that it can be shows before the first training.

    Returns:
        All configurations, the best first.

    Raises:
        UserError: something cannot be used, which shows before the first training; or another process runs the sweep;
            `results` are of another sweep.
        KeyboardInterrupt: it was stopped; the tables are of what was done.
    """
    if without_ray:
        job = in_process(job)
    examples = example_configurations(job)
    check_sweep(job, examples)
    if results is not None and (taken := take_up(job, examples, results)):
        console.print(f"trained elsewhere and not trained again: {taken} of {results}", markup=False)
    check_ends(job, examples, release)
    _renew(job, examples)
    search = search_of(job)
    if results is not None:
        keep_results(job, examples, results)  # before the first training: that it can be added to shows now
        search = KeepingSearch(search, job, results)
    write_text(job.out / "sweep.yaml", as_yaml(job))
    try:
        if without_ray:
            sweep_in_process(job, search, console)
        else:
            from xlret.sweep.tune import sweep_on_ray

            sweep_on_ray(job, search, console)
    finally:
        rows = ranking(job, search.proposed.values())
        tests = compared(job, rows)
        console.print(write_tables(job, rows, tests), markup=False)
        console.print(f"report: {write_report(job, rows, tests)}", markup=False)
        if results is not None:  # the seeds that ended of a configuration that was stopped half way
            keep_results(job, search.proposed.values(), results)
    return rows


class KeepingSearch:
    """A search (`Search`) that adds what has been trained to a file of results at once: a machine may be lost at any time."""

    def __init__(self, search: Search, job: SweepJob, results: Path) -> None:
        self._search, self._job, self._results = search, job, results
        self.proposed = search.proposed

    @property
    def exhausted(self) -> bool:
        """See `Search`."""
        return self._search.exhausted

    @property
    def total(self) -> int:
        """See `Search`."""
        return self._search.total

    def ask(self) -> Configuration | None:
        """See `Search`."""
        return self._search.ask()

    def tell(self, known: Configuration) -> None:
        """See `Search`.

        Raises:
            UserError, DataError: as of `keep_results`.
        """
        self._search.tell(known)
        keep_results(self._job, [known], self._results)


def _renew(job: SweepJob, configurations: Sequence[Configuration]) -> None:
    """What is there already may lack numbers that the sweep asks for now."""
    for configuration in configurations:
        for seed in seeds_of(job, configuration):
            directory = trial_directory(job, configuration, seed)
            if (result := read_result(directory)) is not None:
                renew_metrics(job, result, directory)
