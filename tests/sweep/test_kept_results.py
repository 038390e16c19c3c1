"""Finished trials as lines of a file: each once, in a lasting order, and enough for the table that the runs gave."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sweeps import LANGUAGES, QUESTIONS, leave_evaluated, leave_result, made_sweep
from xlret.commands.app import main
from xlret.config import as_yaml
from xlret.errors import DataError, UserError
from xlret.files import write_json
from xlret.sweep.comparison import compared
from xlret.sweep.configuration import configuration, trial_directory
from xlret.sweep.kept_results import keep_results, kept_table
from xlret.sweep.ranking import ranking
from xlret.sweep.settings import SweepJob
from xlret.sweep.table import as_markdown


@pytest.fixture
def job(tmp_path: Path) -> SweepJob:
    points = {"hybrid": {}, "mono": {"plan.regime": "mono"}, "odd": {"loss.kind": "xlco"}}
    return made_sweep(tmp_path / "sweep", points=points, against="hybrid", seeds=[0, 1])


def test_the_table_of_the_file_is_that_of_the_runs(job: SweepJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hybrid, mono, odd = configs = [configuration(name, settings) for name, settings in job.points.items()]
    rng = np.random.default_rng(0)
    ap = {name: rng.uniform(0.2, 0.6, (2, QUESTIONS, len(LANGUAGES))).round(4) for name in ("hybrid", "mono")}
    path = tmp_path / "results" / "made.jsonl"
    leave_evaluated(job, mono, 0, ap["mono"][0])
    leave_result(job, odd, 0, status="diverged", error="step 7: the loss is no number")
    leave_result(job, odd, 1, status="failed", error=f"{tmp_path} is full")
    assert keep_results(job, configs, path) == 2
    first = path.read_text(encoding="utf-8")
    assert keep_results(job, configs, path) == 0
    assert path.read_text(encoding="utf-8") == first

    leave_evaluated(job, mono, 1, ap["mono"][1])
    for seed in range(2):
        leave_evaluated(job, hybrid, seed, ap["hybrid"][seed])
    run = {"commit": "0123abc", "hardware": {"gpu": "a GPU"}}
    write_json(trial_directory(job, hybrid, 0) / "run.json", run)
    assert keep_results(job, configs, path) == 3
    text = path.read_text(encoding="utf-8")
    assert text.startswith(first)
    kept = [json.loads(line) for line in text.splitlines()]
    order = [(trial["point"], trial["seed"]) for trial in kept]
    assert order == [("mono", 0), ("odd", 0), ("hybrid", 0), ("hybrid", 1), ("mono", 1)]
    assert str(tmp_path) not in text
    assert kept[2]["fingerprints"] == {"corpus corpora/x": "f00"}

    rows = [row for row in ranking(job, configs) if row.configuration is not odd]
    expected = as_markdown(job, rows, compared(job, rows)).splitlines()
    for config in configs:
        for seed in job.seeds:
            (trial_directory(job, config, seed) / "result.json").unlink()
    recipe = tmp_path / "made.yaml"
    recipe.write_text(as_yaml(job), encoding="utf-8")
    assert main(["sweep", str(recipe), "--table", str(path)]) == 0
    *lines, blank, origin = capsys.readouterr().out.splitlines()
    assert lines[:-1] == expected
    assert lines[-1].startswith("| odd | 0 of 2 |")
    assert lines[-1].endswith("| diverged: step 7: the loss is no number |")
    assert (blank, origin) == ("", "Evaluated on: a GPU. Commits: 0123abc.")

    fewer = job.model_copy(update={"seeds": (0,)})
    assert "| mono | 1 |" in kept_table(fewer, path)


def test_a_file_of_other_trainings_is_refused_and_stays(job: SweepJob, tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    config = configuration("hybrid", {})
    leave_result(job, config, 0, status="cut", fingerprints={"weights": "aa"})
    assert keep_results(job, [config], tmp_path / "made.jsonl") == 1
    text = path.read_text(encoding="utf-8")
    leave_result(job, config, 0, status="cut", fingerprints={"weights": "bb"})
    with pytest.raises(UserError, match="from another training"):
        keep_results(job, [config], path)
    with pytest.raises(UserError, match="is of the sweep made, and this is other"):
        kept_table(job.model_copy(update={"name": "other"}), path)
    assert path.read_text(encoding="utf-8") == text
    path.write_text(text + '{"seed": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"made\.jsonl:2: not a trial"):
        kept_table(job, path)
    line = json.loads(text)
    path.write_text(text + text, encoding="utf-8")  # as a merge of two branches may leave it
    assert "| hybrid | 0 of 2 |" in kept_table(job, path)
    path.write_text(text + json.dumps({**line, "step": 7}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"made\.jsonl:2: hybrid-\w+-0 again, with another result than in line 1"):
        kept_table(job, path)
    with pytest.raises(UserError, match="cannot read"):
        kept_table(job, tmp_path / "absent.jsonl")


def test_other_seeds_are_asked_for(job: SweepJob, tmp_path: Path) -> None:
    start, mono = configuration("start", {"untrained": True}), configuration("mono", {"plan.regime": "mono"})
    ap = np.random.default_rng(0).uniform(0.2, 0.6, (QUESTIONS, len(LANGUAGES)))
    leave_evaluated(job, start, 0, ap)
    for seed in range(2):
        leave_evaluated(job, mono, seed, ap)
    keep_results(job, [start, mono], tmp_path / "made.jsonl")
    for seeds in ((1, 0), (1,)):
        table = kept_table(job.model_copy(update={"seeds": seeds}), tmp_path / "made.jsonl")
        assert "| start | 1 |" in table, "which no seed decides"
        assert f"| mono | {len(seeds)} |" in table
    lines = (tmp_path / "made.jsonl").read_text(encoding="utf-8")
    keep_results(job.model_copy(update={"seeds": (1, 0)}), [start, mono], tmp_path / "made.jsonl")
    assert (tmp_path / "made.jsonl").read_text(encoding="utf-8") == lines, "no second line of the start"
    with pytest.raises(UserError, match="has no trial with seeds 5, 6; it has 0, 1"):
        kept_table(job.model_copy(update={"seeds": (5, 6)}), tmp_path / "made.jsonl")


def test_neither_names_nor_kept_settings_are_of_the_machine(
    job: SweepJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spelled = configuration("mini", {"encoder.start": "${XLRET_SHARED}/models/mini"})
    for machine in ("here", "there"):
        monkeypatch.setenv("XLRET_SHARED", str(tmp_path / machine))
        assert configuration("mini", {"encoder.start": str(tmp_path / machine / "models" / "mini")}) == spelled
    elsewhere = configuration(
        "own", {"encoder.start": str(tmp_path / "models" / "own"), "corpora": [str(tmp_path / "a" / "train")]}
    )
    leave_result(job, elsewhere, 0, status="cut")
    assert keep_results(job, [elsewhere], tmp_path / "made.jsonl") == 1
    text = (tmp_path / "made.jsonl").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert json.loads(text)["settings"] == {"encoder.start": "models/own", "corpora": ["a/train"]}
