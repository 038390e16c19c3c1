"""The seeds of a configuration: trained in turns, given up together."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sweeps import ML, sweep_job
from xlret.sweep.configuration import Configuration, configuration, trial_directory
from xlret.sweep.ranking import seen
from xlret.sweep.seeds import next_turn, run_configuration
from xlret.sweep.settings import SweepJob
from xlret.training.log import read_lines


@pytest.fixture
def job(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> SweepJob:
    return sweep_job(tmp_path, corpora, lexicon, encoder, scheduler={"method": "asha", "first": 2, "reduction": 2})


def weights(job: SweepJob, config: Configuration) -> list[str]:
    return [result.fingerprints["weights"] for result in seen(job, config).results]


def test_seeds_in_turns_end_in_the_weights_of_seeds_one_after_the_other(job: SweepJob) -> None:
    told: list[tuple[int, int]] = []
    run_configuration(job, ML, lambda seed, step, metrics: told.append((seed, step)))
    assert [pair for pair in told if pair[1]] == [(0, 2), (1, 2), (1, 4), (0, 4), (0, 6), (1, 6)], "none runs ahead"
    plain = job.model_copy(update={"scheduler": type(job.scheduler)(), "out": job.out / "plain"})
    run_configuration(plain, ML)
    assert seen(job, ML).status == seen(plain, ML).status == "finished"
    assert weights(job, ML) == weights(plain, ML)
    assert seen(job, ML).goals(job) == seen(plain, ML).goals(plain)


def test_a_configuration_is_given_up_for_the_mean_over_its_seeds(job: SweepJob) -> None:
    for seed in job.seeds:  # a configuration that is far better
        directory = job.out / "trials" / f"better-{seed}"
        directory.mkdir(parents=True)
        lines = [{"step": step, "group": "dev", "mul": 0.99} for step in (0, 2, 4, 6)]
        (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (job.out / "configurations").mkdir()
    (job.out / "configurations" / "better.json").write_text("{}", encoding="utf-8")
    run_configuration(job, ML)
    row = seen(job, ML)
    assert [result.status for result in row.results] == ["cut", "cut"]
    assert [result.step for result in row.results] == [2, 2], "the first paused there, the second was given up there"
    assert row.goals(job) is None
    run_configuration(job, ML)  # a restart begins nothing
    assert [read_lines(trial_directory(job, ML, seed) / "metrics.jsonl")[-1]["step"] for seed in job.seeds] == [2, 2]


def test_a_seed_that_fails_ends_its_configuration_until_the_next_start(job: SweepJob) -> None:
    odd = configuration("odd", {"plan.languages": ["sv"]})
    run_configuration(job, odd)
    row = seen(job, odd)
    assert row.status == "failed"
    assert len(row.results) == 1
    assert "plan.languages: no corpus has sv" in str(row.results[0].error)


@pytest.mark.parametrize(
    ("behind", "last", "turn"),
    [
        ({0: 0, 1: 0, 2: 0}, 0, (0, 10)),
        ({0: 1, 1: 0, 2: 0}, 0, (1, 10)),
        ({0: 1, 1: 1, 2: 0}, 1, (2, 30)),  # the last decides, and goes on
        ({0: 1, 1: 1, 2: 2}, 2, (0, 30)),
        ({0: 2, 1: 1, 2: 2}, 0, (1, None)),  # nothing is decided after the last step
        ({0: 0}, 0, (0, None)),  # a single seed never pauses
    ],
)
def test_turns(behind: dict[int, int], last: int, turn: tuple[int, Any]) -> None:
    assert next_turn(behind, [10, 30], last) == turn
