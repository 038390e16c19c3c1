"""What a sweep shows while it runs: the count is of configurations that are done, whoever ended them."""

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.helpers.sweeps import leave_result, made_sweep
from xlret.sweep.configuration import configuration
from xlret.sweep.live import LiveTable


def test_a_configuration_that_others_cut_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = made_sweep(tmp_path, seeds=[0], space={"plan.alpha": [0.1, 0.2, 0.3, 0.4, 0.5]})
    before, cut, finished, failed, last = configs = [configuration(None, {"plan.alpha": alpha / 10}) for alpha in range(1, 6)]
    leave_result(job, before, 0, metrics={"mul": 0.1})
    search: Any = SimpleNamespace(proposed={config.name: config for config in configs}, total=5)
    shown = io.StringIO()
    began = time.monotonic()
    table = LiveTable(job, search, Console(file=shown, width=200), at_once=1)
    monkeypatch.setattr(time, "monotonic", lambda: began + 60)
    for config in (cut, finished):
        table.begun(config)
        table.ended(config)  # paused
    assert shown.getvalue().count("begun") == 2
    leave_result(job, cut, 0, status="cut")  # by the population, while the other goes on
    table.begun(finished)
    leave_result(job, finished, 0, metrics={"mul": 0.5})
    table.ended(finished)
    assert "3 of 5 configurations, best alpha-0.3: mul 0.5000, about 60 s left" in shown.getvalue()
    table.begun(failed)
    table.lost(failed)
    assert f"{failed.label}: its process died; another one goes on from the last checkpoint" in shown.getvalue()
    table.begun(failed)
    leave_result(job, failed, 0, status="failed", error="no such corpus")
    table.ended(failed)
    assert "no such corpus  [4 of 5 configurations" in shown.getvalue()
    assert f"{last.label}: begun" not in shown.getvalue()
