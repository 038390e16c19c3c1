"""How long a trial takes from the start of its process to its first step is told by its own files, when it is long gone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.bench.sweeping import seconds_after_dev, seconds_to_next, startup_seconds
from xlret.training.log import MetricLog


def test_a_process_knows_when_it_was_started() -> None:
    before = time.time()
    code = "import time; time.sleep(0.2); from xlret.provenance import process_started; print(process_started())"
    started = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert before - 0.05 < started < time.time() - 0.2


def test_the_start_of_a_run_is_told_by_its_files(tmp_path: Path) -> None:
    began = time.time() - 7
    (tmp_path / "run.json").write_text(json.dumps({"process_started": began}), encoding="utf-8")
    with MetricLog(tmp_path, 0) as log:
        first = time.time()
        log.write(0, {"mul": 0.5}, group="dev")
        log.write(1, {"loss": 2.0})
        time.sleep(0.3)
        log.write(2, {"loss": 1.0})
    assert startup_seconds(tmp_path) == pytest.approx(first - began, abs=0.25)
    assert 0 <= seconds_after_dev(tmp_path) < 0.3, "from step 0 to the first; the second has no evaluation before it"
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    os.utime(tmp_path / "result.json", (first - 3, first - 3))
    assert seconds_to_next(tmp_path, tmp_path) == pytest.approx(3, abs=0.25)
    (tmp_path / "run.json").write_text(json.dumps({"process_started": None}), encoding="utf-8")
    with pytest.raises(RuntimeError, match="does not say"):
        startup_seconds(tmp_path)
