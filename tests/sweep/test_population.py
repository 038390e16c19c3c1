"""Population-based training in this process: who is given up, what is copied, and that a kill changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sweeps import ML, sweep_job
from xlret.errors import UserError
from xlret.sweep.configuration import trial_run
from xlret.sweep.ranking import seen
from xlret.sweep.search import search_of
from xlret.sweep.seeds import run_configuration
from xlret.sweep.settings import SweepJob
from xlret.training.fork import fork
from xlret.training.log import read_lines
from xlret.training.run import train

RATE = "optimiser.learning_rate"


@pytest.fixture
def job(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> SweepJob:
    settings: dict[str, Any] = {
        "space": {RATE: {"log_uniform": [1e-5, 5e-2]}},
        "search": {"method": "random"},
        "scheduler": {"method": "pbt", "first": 4, "population": 3, "share": 0.4},
    }
    return sweep_job(tmp_path, corpora, lexicon, encoder, points={}, seeds=[0], **settings)


def test_the_worst_is_given_up_for_a_copy_of_the_best(job: SweepJob) -> None:
    search = search_of(job)
    asked = []
    while (config := search_of(job).ask() if len(asked) == 2 else search.ask()) is not None:  # killed before the third
        asked.append(config.name)
        run_configuration(job, config)
        search.tell(config)
    rows = {name: seen(job, config) for name, config in search.proposed.items()}
    assert search.exhausted
    assert sorted(row.status for row in rows.values()) == ["cut", "finished", "finished", "finished"]
    (cut,) = (name for name, row in rows.items() if row.status == "cut")
    child = list(rows)[-1]
    begun = {name: read_lines(job.out / "trials" / f"{name}-0" / "metrics.jsonl") for name in rows}
    mul = {
        name: next(line["mul"] for line in lines if line["group"] == "dev" and line["step"] == 4)
        for name, lines in begun.items()
    }
    assert mul[cut] == min(mul.values())
    parent = next(name for name in asked[:3] if rows[name].configuration.label in rows[child].configuration.label)
    assert mul[parent] == mul[child] == max(mul.values())
    ratio = search.proposed[child].settings[RATE] / search.proposed[parent].settings[RATE]
    assert min(abs(ratio - 0.8), abs(ratio - 1.2)) < 1e-9
    assert rows[child].results[0].step == 6
    assert len(asked) == 3 + 3, "three to the look at them, two of these and the copy to the end"
    assert search_of(job).ask() is None, "and all of it is known to the next start"


def test_a_fork_with_the_same_settings_is_the_run_it_came_from(job: SweepJob) -> None:
    whole = job.model_copy(update={"scheduler": job.scheduler.model_copy(update={"method": "asha", "first": 4})})
    run = trial_run(whole, ML, 0)
    ended = train(run, show=None)
    half = run.model_copy(update={"name": "half", "steps": 6})

    class Stop:
        def on_report(self, step: int, metrics: Any) -> None: ...
        def on_checkpoint(self, step: int, directory: Path) -> None:
            if step == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(half, show=None, callbacks=[Stop()])
    copy = run.model_copy(update={"name": "copy"})
    fork(half.storage / "half", copy)
    assert train(copy, show=None).weights_sha256 == ended.weights_sha256
    lines = read_lines(copy.storage / "copy" / "metrics.jsonl")
    assert [line["step"] for line in lines if line["group"] == "dev"] == [0, 2, 4, 6]
    faster = copy.model_copy(update={"name": "faster", "optimiser": copy.optimiser.model_copy(update={"learning_rate": 0.1})})
    fork(half.storage / "half", faster)
    assert train(faster, show=None).weights_sha256 != ended.weights_sha256
    with pytest.raises(UserError, match="has no checkpoint to go on from"):
        fork(half.storage / "nowhere", copy.model_copy(update={"name": "other"}))


def test_it_is_for_random_draws_alone(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> None:
    with pytest.raises(UserError, match="scheduler pbt is for search random over a space without grids"):
        sweep_job(tmp_path, corpora, lexicon, encoder, scheduler={"method": "pbt"})
