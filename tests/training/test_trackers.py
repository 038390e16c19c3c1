"""What a run reports, in MLflow and Weights & Biases: files on this disk, offline; the same run when it goes on."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from xlret.errors import UserError
from xlret.training import trackers
from xlret.training.settings import TrackerName, TrainJob
from xlret.training.setup import flat_settings
from xlret.training.trackers import Tracking, tracking

REPORTS = (
    {"step": 10, "group": "train", "loss": 1.5, "alpha": 0.5, "kind": "no number"},
    {"step": 20, "group": "dev", "mul": 0.25, "best": True},
    {"step": 30, "group": "train", "loss": 1.25, "alpha": 0.5},
)


def job(*track: TrackerName) -> TrainJob:
    return TrainJob.model_validate({"name": "run", "corpora": ["corpus"], "track": track, "plan": {"alpha": 0.25}})


def run(directory: Path, name: TrackerName, reports: Any) -> list[str]:
    """A start of the run, with what was said."""
    said: list[str] = []
    with tracking(job(name), flat_settings(job(name)), directory, said.append) as tracked:
        for report in reports:
            tracked.on_report(report["step"], report)
    return said


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("mlflow.tracking", reason="MLflow is an extra: pip install 'xlret[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/store")
    said = run(tmp_path, "mlflow", REPORTS[:2]) + run(tmp_path, "mlflow", REPORTS[2:])
    run_id = json.loads((tmp_path / "track.json").read_text())["mlflow"]
    assert said == [f"mlflow: run {run_id}", f"mlflow: run {run_id}, gone on with"]
    store = client.MlflowClient()
    kept = store.get_run(run_id)
    assert (kept.info.status, kept.info.run_name, kept.data.params["plan.alpha"]) == ("FINISHED", "run", "0.25")
    assert len(store.search_runs([kept.info.experiment_id])) == 1
    assert store.get_experiment(kept.info.experiment_id).name == "xlret"
    history = [(point.step, point.value) for point in store.get_metric_history(run_id, "train/loss")]
    assert history == [(10, 1.5), (30, 1.25)]
    assert kept.data.metrics == {"train/loss": 1.25, "train/alpha": 0.5, "dev/mul": 0.25, "dev/best": 1.0}


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="Weights & Biases is an extra: pip install 'xlret[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    said = run(tmp_path, "wandb", REPORTS[:2]) + run(tmp_path, "wandb", REPORTS[2:])
    run_id = json.loads((tmp_path / "track.json").read_text())["wandb"]
    assert said == [f"wandb: run {run_id}", f"wandb: run {run_id}, gone on with"]
    kept = sorted((tmp_path / "wandb").glob(f"offline-run-*/run-{run_id}.wandb"))
    assert len(kept) == 2, "two parts of one run"
    assert b"dev/mul" in kept[0].read_bytes()
    assert b"plan.alpha" in kept[0].read_bytes()


class Away:
    """A tracker whose server is gone after the first report."""

    run_id = "r"

    def __init__(self, *args: object) -> None:
        self.reports: list[tuple[int, str, Mapping[str, float]]] = []
        self.ended: bool | None = None

    def report(self, step: int, group: str, values: Mapping[str, float]) -> None:
        if self.reports:
            raise ConnectionError("no route to\nthe server")
        self.reports.append((step, group, values))

    def end(self, *, finished: bool) -> None:
        self.ended = finished


def test_a_tracker_that_fails_does_not_end_the_run() -> None:
    said: list[str] = []
    away = Away()
    tracked = Tracking({"mlflow": away}, said.append)
    for report in REPORTS:
        tracked.on_report(int(report["step"]), report)
    tracked.end(finished=True)
    assert away.reports == [(10, "train", {"loss": 1.5, "alpha": 0.5})]
    [line] = said
    assert line.startswith("mlflow takes no more reports (ConnectionError: no route to the server); the run goes on")


@contextmanager
def interrupted(directory: Path) -> Iterator[Tracking]:
    with tracking(job("mlflow"), {}, directory, lambda line: None) as tracked:
        yield tracked
        raise KeyboardInterrupt


def test_a_run_that_is_stopped_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Away] = []
    monkeypatch.setattr(trackers, "check_trackers", lambda names: None)
    monkeypatch.setitem(trackers._KINDS, "mlflow", lambda *args: made.append(Away()) or made[-1])  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt), interrupted(tmp_path):
        pass
    assert [tracker.ended for tracker in made] == [False]


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with (
        pytest.raises(UserError, match=r"^track: wandb is not installed: pip install 'xlret\[wandb\]', or leave it out$"),
        tracking(job("wandb"), {}, tmp_path, print),
    ):
        pass
    monkeypatch.undo()

    def refuses(*args: object) -> None:
        raise PermissionError("no such key")

    monkeypatch.setattr(trackers, "check_trackers", lambda names: None)
    monkeypatch.setitem(trackers._KINDS, "wandb", refuses)  # type: ignore[arg-type]
    with (
        pytest.raises(UserError, match=r"track: wandb cannot be begun with \(PermissionError: no such key\)"),
        tracking(job("wandb"), {}, tmp_path, print),
    ):
        pass
    assert not (tmp_path / "track.json").exists()
