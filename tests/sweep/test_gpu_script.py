"""`cluster/gpu.sh`: which sweeps it starts, and what it makes of how they end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xlret.commands.app import app
from xlret.config import read_recipe
from xlret.sweep.checks import example_configurations
from xlret.sweep.configuration import trial_run
from xlret.sweep.settings import SweepJob

SCRIPT = Path(__file__).parents[2] / "cluster" / "gpu.sh"


def start(tmp_path: Path, *arguments: str, ends: str = "0", **variables: str) -> tuple[int, list[list[str]], str]:
    """Runs the script with a Python that notes its arguments and ends as told: status, arguments of each start, output."""
    python = tmp_path / "python"
    note = f"import json, sys; print(json.dumps(sys.argv[1:]), file=open({str(tmp_path / 'starts')!r}, 'a')); sys.exit({ends})"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{note}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(python), "RESULTS": str(tmp_path / "kept.jsonl"), **variables}
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    notes = tmp_path / "starts"
    starts = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()] if notes.exists() else []
    return done.returncode, starts, done.stdout + done.stderr


def test_seeds_are_added_one_after_the_other(tmp_path: Path) -> None:
    status, starts, _ = start(
        tmp_path, "questions/4-ratio", "--set", "budget.configurations=2", ends="1 if '0,1]' in sys.argv[-3] else 0"
    )
    assert status == 1, "a trial failed, and the others were trained all the same"
    given = [[word for word in words if word.startswith("seeds=")] for words in starts]
    assert given == [["seeds=[0]"], ["seeds=[0,1]"], ["seeds=[0,1,2]"]]
    assert starts[0][:3] == ["-m", "jobs.sweep", "questions/4-ratio"]
    _, bound, *_ = app.parse_args(["sweep", *starts[2][2:]], print_error=False, exit_on_error=False)
    assert bound.kwargs["in_process"]
    job = read_recipe(SweepJob, bound.args[0], [*bound.kwargs["overrides"], f"out={tmp_path / 'out'}"])
    assert (job.seeds, job.budget.configurations) == ((0, 1, 2), 2)
    run = trial_run(job, example_configurations(job)[0], 0)
    assert (run.plan.batch_size, run.steps, run.ray.gpu, run.plan.alpha) == (512, 1000, True, 0.0)


@pytest.mark.parametrize(
    ("ends", "minutes", "expected", "count", "says"),
    [("124", "12", 0, 1, "goes on"), ("0", "0", 0, 0, "goes on"), ("2", "12", 2, 1, ""), ("0", "soon", 2, 0, "whole number")],
)
def test_the_end_of_a_sweep_is_told(tmp_path: Path, ends: str, minutes: str, expected: int, count: int, says: str) -> None:
    status, starts, said = start(tmp_path, ends=ends, MINUTES=minutes, SEEDS="3 4")
    assert (status, len(starts)) == (expected, count)
    assert says in said
    assert all(words[2] == "questions/6-field" and "seeds=[3]" in words for words in starts)
