"""Dashboards name metrics that there are; Prometheus, as Debian has it, finds series for every expression of theirs."""

import io
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from jobs.dashboards import DASHBOARDS, DIRECTORY, dashboard, expressions, unknown_series
from tests.helpers.sweeps import leave_result, made_sweep
from xlret.batches.plan import BatchPlan
from xlret.batches.settings import PlanSettings
from xlret.data.corpus import ParallelCorpus
from xlret.data.prepare import PrepareSettings, prepare
from xlret.monitoring import ENCODING, INDEXING, METRICS, PREPARING, SERVING, SWEEPING, TRAINED, TRAINING, table, tell
from xlret.ports import free_port
from xlret.search.from_files import build_from, passages_from
from xlret.search.settings import EncodeSettings, IndexSettings
from xlret.sweep.configuration import configuration
from xlret.sweep.live import LiveTable

ROOT = Path(__file__).resolve().parents[2]
LANGS = ("en", "de")
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
    rooms = (PREPARING, TRAINING, TRAINED, ENCODING, INDEXING, SWEEPING, SERVING)
    assert len(METRICS) == sum(map(len, rooms)), "no name twice"
    for metric in METRICS.values():
        assert re.fullmatch(r"xlret_[a-z_]+", metric.name)
        assert metric.help
        assert metric.unit
        assert all(metric.labels.values()), "what bounds the values of a label"


def test_what_training_reports_is_what_is_registered() -> None:
    assert {f"xlret_train_{name}" for name in (*METRICS_OF_A_STEP, "step")} == set(TRAINING)


def test_the_table_for_readers_is_that_of_the_registry() -> None:
    text = (ROOT / "cluster" / "README.md").read_text(encoding="utf-8")
    assert table() in text, "python -c 'from xlret.monitoring import table; print(table())'"


def test_without_ray_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    tell("xlret_encode_share", 0.5, store="s")
    assert "ray" not in sys.modules


@pytest.mark.ray
@pytest.mark.slow
def test_prometheus_finds_series_for_every_expression(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    """Metrics of small works and of a gateway, set by the code that sets them, are read as cluster/prometheus.yaml says."""
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("no prometheus here (apt-get install prometheus)")
    import ray

    from xlret.serve.ray.metrics import Metrics
    from xlret.session import ray_session
    from xlret.training.gauges import Gauges, PlanGauges

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
            of_plan = PlanGauges("small", BatchPlan([ParallelCorpus.open(corpora / "train")], PlanSettings(batch_size=8)), 1)
            make_everything(tmp_path, encoder)

            def go_on(step: int) -> None:
                report = {"group": "train", **METRICS_OF_A_STEP}
                gauges(step, report)
                of_plan.on_report(step, report)
                of_plan.on_report(step, {"group": "dev", "mo": 0.5, "cr": 0.4, "mul": 0.3})
                served.observe(record(step))
                lanes = {"query": {"waiting": 1, "calls": step, "items": 3 * step}}
                served.state({"requests": 2, "down": [], "release": "first", "lanes": lanes, "wait_ms": 3.0})

            empty = wait_for_series(address, go_on, log=tmp_path / "log")
        finally:
            process.terminate()
            process.wait(30)
    assert empty == set()


def make_everything(directory: Path, encoder: Path) -> None:
    """A corpus with a bad row, vectors, an index, and the table of a sweep."""
    rows = [{"group_id": f"g{n}", "lang": lang, "query": f"{lang} {n}?", "text": f"{n}."} for n in range(9) for lang in LANGS]
    lines = [json.dumps(row) for row in [*rows, {"group_id": "bad"}]]
    (directory / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    read = {"format": "rows", "files": [str(directory / "rows.jsonl")]}
    recipe = {"output": directory, "on_bad_row": "skip", "corpora": {"mine": {"read": read, "dev": 2}}}
    [prepared] = prepare(PrepareSettings.model_validate(recipe))
    settings = IndexSettings(shards=2, certificate_queries=3, threads=1)
    encoding = EncodeSettings(encoders=0)
    build_from(passages_from(prepared.train), encoder, directory / "index", settings, encoding, say=lambda line: None)
    job = made_sweep(directory, seeds=[0], space={"plan.alpha": [0.1, 0.2]})
    trained = configuration(None, {"plan.alpha": 0.1})
    search: Any = SimpleNamespace(proposed={trained.name: trained}, total=2)
    shown = LiveTable(job, search, Console(file=io.StringIO()), at_once=1)
    shown.begun(trained)
    leave_result(job, trained, 0, metrics={"mul": 0.5})
    shown.ended(trained)


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
