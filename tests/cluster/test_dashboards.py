"""Dashboards name metrics that there are; Prometheus, as Debian has it, finds series for every expression of theirs."""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.dashboards import DASHBOARDS, DIRECTORY, dashboard, expressions, unknown_series
from xlret.monitoring import METRICS, SERVING, TRAINING
from xlret.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
METRICS_OF_A_STEP = {
    "loss": 1.5, "pairs_per_second": 100.0, "data_wait_share": 0.02, "alpha": 0.4, "switch_ratio": 0.3, "learning_rate": 1e-4,
}  # fmt: skip


def test_the_files_are_what_is_declared() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.json")} == set(DASHBOARDS)
    for name in DASHBOARDS:
        assert json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8")) == dashboard(name), (
            "python -m jobs.dashboards writes them anew"
        )


def test_every_expression_names_metrics_that_there_are_and_every_metric_is_shown() -> None:
    assert {name for expression in expressions() for name in unknown_series(expression)} == set()
    shown = {name for expression in expressions() for name in re.findall(r"\bray_\w+", expression)}
    assert [metric.name for metric in METRICS.values() if not shown & set(metric.series)] == []


def test_names_units_and_bounds_are_said() -> None:
    assert METRICS.keys() == TRAINING.keys() | SERVING.keys()
    for metric in METRICS.values():
        assert re.fullmatch(r"xlret_[a-z_]+", metric.name)
        assert metric.help
        assert metric.unit
        assert all(metric.labels.values()), "what bounds the values of a label"


def test_what_training_reports_is_what_is_registered() -> None:
    assert {f"xlret_train_{name}" for name in (*METRICS_OF_A_STEP, "step")} == set(TRAINING)


@pytest.mark.slow
def test_prometheus_finds_series_for_every_expression(tmp_path: Path) -> None:
    """Metrics of a gateway and a run, set by the classes that set them, are read as cluster/prometheus.yaml says."""
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("no prometheus here (apt-get install prometheus)")
    import ray

    from xlret.serve.ray.metrics import Metrics
    from xlret.session import ray_session
    from xlret.training.gauges import Gauges

    with ray_session():
        [node] = ray.nodes()
        targets = [{"targets": [f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"]}]
        (tmp_path / "targets.json").write_text(json.dumps(targets), encoding="utf-8")
        config = yaml.safe_load((ROOT / "cluster" / "prometheus.yaml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["file_sd_configs"][0]["files"] = [str(tmp_path / "targets.json")]
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        address = f"127.0.0.1:{free_port()}"
        flags = [f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data"]
        with open(tmp_path / "log", "w", encoding="utf-8") as log:
            process = subprocess.Popen([prometheus, *flags, f"--web.listen-address={address}"], stdout=log, stderr=log)
        try:
            gauges, served = Gauges("small"), Metrics()

            def go_on(step: int) -> None:
                gauges(step, {"group": "train", **METRICS_OF_A_STEP})
                served.observe(record(step))
                served.state({"requests": 2, "down": [], "release": "first"})

            empty = wait_for_series(address, go_on, log=tmp_path / "log")
        finally:
            process.terminate()
            process.wait(30)
    assert empty == set()


def record(step: int) -> Any:
    """A search whose answer lacks a shard."""
    from xlret.serve.record import RequestRecord

    search = RequestRecord(f"request-{step}", "POST", "/v1/search")
    search.status, search.ms, search.texts = 200, 20.0 + step, 1
    search.took_ms = {"encode": 5.0, "search": 3.0, "total": 9.0}
    search.shards_ok, search.shards_failed, search.partial_reason = 3, 1, "shard 3 did not answer in time"
    search.hits, search.corpus = {"de": 3, "en": 7}, {"de": 0.5, "en": 0.5}
    return search


def wait_for_series(address: str, go_on: Callable[[int], None], log: Path) -> set[str]:
    """The expressions for which Prometheus has no series when a minute and a half of reports are over."""
    missing = set(expressions())
    end = time.monotonic() + 90
    step = 0
    while missing and time.monotonic() < end:
        step += 1
        go_on(step)
        time.sleep(1)
        missing = {expression for expression in missing if not series(address, expression, log)}
    return missing


def series(address: str, expression: str, log: Path) -> list[Any]:
    """What Prometheus answers now, without NaN."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{query}", timeout=10) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{expression}: {error.read().decode()}\n{log.read_text(encoding='utf-8')[-500:]}") from error
    except urllib.error.URLError:  # not up yet
        return []
    return [entry for entry in body["data"]["result"] if entry["value"][1] != "NaN"]
