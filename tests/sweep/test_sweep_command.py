"""`xlret sweep` in this process, from a recipe to table, report and release; that nothing is made twice, whatever ended it."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweeps import sweep_job

from xlret.commands.app import main
from xlret.config import as_yaml
from xlret.errors import TerminatedError, UserError
from xlret.release.alias import read_alias
from xlret.release.verify import verify_release
from xlret.search.text_index import TextIndex
from xlret.sweep.settings import SweepJob

ROOT = Path(__file__).parents[2]


def recipe(tmp_path: Path, job: SweepJob) -> str:
    path = tmp_path / "sweep.yaml"
    path.write_text(as_yaml(job), encoding="utf-8")
    return str(path)


SMALL = {"vocabulary": 300, "layers": 1, "hidden": 16, "heads": 2, "feed_forward": 32}


def rows_of(text: str) -> dict[str, dict[str, str]]:
    """Configuration -> column -> cell of a Markdown table."""
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {cells[0]: dict(zip(head, cells, strict=True)) for cells in lines}


def test_a_sweep_ends_in_table_report_and_release_and_is_made_once(
    tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {
        "changes": {"steps": 2, "dev.corpora": [], "ray.workers": 2},  # which are 0 in this process, the release too
        "points": {
            "start": {"untrained": True},
            "fresh": {"untrained": True, "encoder": {"start": "fresh", "fresh": SMALL}},
            "ml": {"switch.policy": "ml"},
            "bad": {"corpora": [str(tmp_path)]},
        },
        "space": {"switch.p": {"grid": [0.5, 1.0], "when": {"switch.policy": "ml"}}},
        "against": "start",
        "groups": {"near": ["de"], "distant": ["tr", "fr"]},
        "release": {"corpora": [str(corpora / "dev")], "root": str(tmp_path / "releases")},
    }
    path = recipe(tmp_path, sweep_job(tmp_path, corpora, lexicon, encoder, **settings))
    kept = tmp_path / "kept.jsonl"
    assert main(["sweep", path, "--in-process", "--release", "best", "--results", str(kept)]) == 1  # a trial has failed
    out = tmp_path / "out"
    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert [(line["label"], line["seed"]) for line in lines] == [
        ("start", 0), ("fresh", 0), ("ml_p-0.5", 0), ("ml_p-0.5", 1), ("ml_p-1", 0), ("ml_p-1", 1)
    ]  # fmt: skip
    assert all(line["hardware"]["cpus"] and len(line["questions"]["values"]) == 40 for line in lines)
    rows = rows_of((out / "table.md").read_text(encoding="utf-8"))
    assert rows.keys() == {"start", "fresh", "ml_p-0.5", "ml_p-1", "bad"}
    assert rows["fresh"]["Mul"] != rows["start"]["Mul"]  # an untrained start is what training would begin with

    written = json.loads(next(out.glob("trials/start-*/evaluations/evaluation/evaluation.json")).read_text(encoding="utf-8"))
    matrix = written["sets"][0]["matrix"]
    near, start = (matrix["en"]["de"] + matrix["de"]["en"]) / 2, rows["start"]
    assert (start["seeds"], start["Mo"], start["en-near"]) == ("1", f"{written['mo']:.4f}", f"{near:.4f}")
    assert (start["against the reference"], rows["bad"]["seeds"]) == ("reference", "0 of 2")
    assert "holds no manifest.json" in rows["bad"]["status"]
    assert "±" in rows["ml_p-1"]["Mul"]
    assert rows["ml_p-1"]["p questions"]

    with open(out / "table.csv", encoding="utf-8", newline="") as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == 2 + 2 * 2 + 2
    means = [float(trial["mul"]) for trial in trials if trial["configuration"] == "ml_p-1"]
    assert rows["ml_p-1"]["Mul"].startswith(f"{sum(means) / 2:.4f} ± ")
    assert means[0] != means[1]
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    trained = [row["label"] for row in table if row["status"] == "finished" and row["label"] != "start"]
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "mul over switch.p" in report
    assert "<svg" in report
    assert f"the best configuration is {trained[0]}; its encoder with seed 0 becomes best" in capsys.readouterr().out

    assert read_alias(tmp_path / "releases", "current") == "best"
    release = verify_release(tmp_path / "releases" / "best")
    [quality] = [numbers for name, numbers in release.record.quality.items() if name.endswith("/dev")]
    best = next(row for row in table if row["label"] == trained[0])
    assert quality["mul"] == pytest.approx(best["trials"][0]["metrics"]["mul"])
    assert len(TextIndex.open(release.path / "index", release.path / "encoder").search("bada", 3)) == 3

    made = {
        path: path.stat().st_mtime_ns
        for path in out.rglob("*.json")
        if path.parent == out / "trials" and "bad-" not in str(path)
    }
    assert main(["sweep", path, "--in-process", "--release", "best"]) == 1
    assert {path: path.stat().st_mtime_ns for path in made} == made
    with pytest.raises(UserError, match="no language 'sw'; it has de, en, fr, tr"):
        main(["sweep", path, "--in-process", "--set", "groups={far: [sw]}"])


def test_a_sweep_that_is_killed_or_terminated_goes_on_where_it_was(
    tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path
) -> None:
    long = {"steps": 100, "plan.batch_size": 4, "dev.corpora": [], "checkpoint_every": 10, "log_every": 10}
    points = {"start": {"untrained": True}, "long": long}
    job = sweep_job(tmp_path, corpora, lexicon, encoder, seeds=[0], points=points)
    path = recipe(tmp_path, job)

    driver = subprocess.Popen(
        [sys.executable, "-m", "jobs.sweep", path, "--in-process"], cwd=ROOT, env={**os.environ, "XLRET_HOME": os.getcwd()}
    )
    when_further(job, 0, driver.kill)
    assert driver.wait(timeout=60) == -signal.SIGKILL
    killed_at = last_checkpoint(job)
    [kept] = job.out.glob("trials/start-*/result.json")
    before = kept.stat().st_mtime_ns

    ending = threading.Thread(target=when_further, args=(job, killed_at, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    ending.start()
    with pytest.raises(TerminatedError):
        main(["sweep", path, "--in-process"])
    ending.join()
    ended_at = last_checkpoint(job)
    assert killed_at < ended_at < 100
    table = rows_of((job.out / "table.md").read_text(encoding="utf-8"))
    assert (table["start"]["status"], table["long"]["status"]) == ("finished", "unfinished")

    [log] = job.out.glob("trials/long-*/metrics.jsonl")
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if json.loads(line)["step"] <= ended_at]
    assert main(["sweep", path, "--in-process"]) == 0
    assert log.read_text(encoding="utf-8").splitlines()[: len(lines)] == lines  # what was trained was not trained again
    assert kept.stat().st_mtime_ns == before
    assert rows_of((job.out / "table.md").read_text(encoding="utf-8"))["long"]["status"] == "finished"


def when_further(job: SweepJob, step: int, act: Callable[[], object]) -> None:
    """Acts once the long trial has a checkpoint after a step, or after two minutes."""
    deadline = time.monotonic() + 120
    while last_checkpoint(job) <= step and time.monotonic() < deadline:
        time.sleep(0.01)
    act()


def last_checkpoint(job: SweepJob) -> int:
    return max((int(step.name.removeprefix("step-")) for step in job.out.glob("trials/long-*/checkpoints/step-*")), default=0)
