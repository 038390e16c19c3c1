"""A run in this process: without Ray, the weights of one Ray worker, the same however often it was interrupted."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.distributed as dist
from huggingface_hub import ModelCard, ModelCardData
from ray.train import RunConfig
from ray.train.v2.api.callback import UserCallback

from xlret.batches.assemble import Assembler, Batch, Inputs
from xlret.batches.plan import BatchPlan
from xlret.batches.settings import PlanSettings
from xlret.data.corpus import ParallelCorpus
from xlret.errors import DataError, UserError
from xlret.files import sha256_of
from xlret.model.card_facts import read_training
from xlret.model.processor import slow_bfloat16
from xlret.training import trackers
from xlret.training.card import training_of
from xlret.training.in_process import ahead
from xlret.training.kinds import load_step
from xlret.training.run import TrainResult, train
from xlret.training.settings import TrainJob
from xlret.training.steps.retriever import RetrieverStep

STEPS = 12


def job(storage: Path, corpora: Path, lexicon: Path, **changes: Any) -> TrainJob:
    values = {
        "name": "run",
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": STEPS,
        "log_every": 4,
        "checkpoint_every": 4,
        "accumulate": 2,
        "plan": {"batch_size": 8},
        "switch": {"policy": "ml", "lexicons": [str(lexicon)]},
        "encoder": {"fresh": {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
        "optimiser": {"learning_rate": 1e-3},
        "dev": {"corpora": [corpora / "dev"], "every": 6, "groups": 10},
        "ray": {"workers": 0, "steps_per_block": 8},
    }
    return TrainJob.model_validate(values | changes)


class Told:
    """Remembers what it is told; stops the run at a step where it has one."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.reports: list[dict[str, Any]] = []
        self.checkpoints: list[tuple[int, str]] = []
        self.lines: list[str] = []

    def on_report(self, step: int, metrics: Mapping[str, Any]) -> None:
        self.reports.append(dict(metrics))
        if step == self.stop:
            raise KeyboardInterrupt

    def on_checkpoint(self, step: int, directory: Path) -> None:
        assert (directory / "module.safetensors").exists()
        self.checkpoints.append((step, directory.name))


def untimed(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reports without what depends on the clock and the process."""
    timed = ("pairs_per_second", "tokens_per_second", "data_wait_share", "peak_memory_mb", "seconds")
    return [{key: value for key, value in report.items() if key not in timed} for report in reports]


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def trained_on() -> list[Batch]:
    """The batches that the run of `result` took its gradients from."""
    return []


@pytest.fixture(scope="module")
def result(
    tmp_path_factory: pytest.TempPathFactory, corpora: Path, lexicon: Path, told: Told, trained_on: list[Batch]
) -> TrainResult:
    """A run that nothing happened to."""
    run_step = RetrieverStep.run

    def observed(step: RetrieverStep, batch: Batch, **options: Any) -> dict[str, float]:
        trained_on.append(batch)
        return run_step(step, batch, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RetrieverStep, "run", observed)
        return train(job(tmp_path_factory.mktemp("plain"), corpora, lexicon), show=told.lines.append, callbacks=[told])


def test_the_model_says_how_it_was_made(result: TrainResult, corpora: Path) -> None:
    card = ModelCard.load(result.model / "README.md")
    assert isinstance(card.data, ModelCardData)
    assert (card.data.license, card.data.base_model, card.data.language) == ("other", None, ["de", "en", "fr", "tr"])
    corpus = ParallelCorpus.open(corpora / "train")
    assert f"| made up | 1 | none | 160 | `{corpus.fingerprint[:16]}` |" in card.text
    assert "| code-switching | ml, words of queries and passages with chance 0.5 in 100% of the rows, into all" in card.text
    assert result.best_metric is not None
    assert f"| steps | {STEPS}; the best on dev (mul mAP {result.best_metric:.4f}) is of step {result.best_step} |" in card.text
    training = read_training(result.model)
    assert training == training_of(result.run_directory)
    assert str(result.run_directory.parent) not in (result.model / "training.json").read_text() + card.content


@pytest.mark.ray
def test_weights_and_reports_are_those_of_one_ray_worker(
    tmp_path: Path, corpora: Path, lexicon: Path, result: TrainResult, told: Told
) -> None:
    over_ray, here = job(tmp_path, corpora, lexicon, ray={"workers": 1, "steps_per_block": 8}), Told()

    class ToldByRay(UserCallback):  # in here, so that it travels to Ray's controller by value
        def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
            with path.open("a") as file:
                file.write(f"{metrics[0]['step']} {metrics[0]['mul']:.6f} {checkpoint is not None}\n")

    def extended(ours: RunConfig) -> RunConfig:
        ours.callbacks = [ToldByRay()]
        return ours

    path = tmp_path / "told"
    one_worker = train(over_ray, show=None, callbacks=[here], run_config=extended)
    assert one_worker.weights_sha256 == result.weights_sha256
    assert sha256_of(one_worker.model / "model.safetensors") == sha256_of(result.model / "model.safetensors")
    assert untimed(here.reports) == untimed(told.reports)
    assert (tmp_path / "run" / "batches.json").read_text() == (result.run_directory / "batches.json").read_text()
    assert {step for step, _ in here.checkpoints} >= {STEPS}
    dev = {report["step"]: report["mul"] for report in told.reports if report["group"] == "dev"}
    newest = {0: 0, 4: 0, 6: 6, 8: 6, 12: 12}  # step: that of the dev metrics it comes with
    evaluations = [f"{step} {dev[step]:.6f} False" for step in (0, 6, 12)]
    saved = [f"{step} {dev[newest[step]]:.6f} True" for step in (4, 8, 12)]
    assert sorted(path.read_text().splitlines()) == sorted(evaluations + saved)


def test_callbacks_hear_of_every_report_and_checkpoint(result: TrainResult, told: Told) -> None:
    assert [(report["group"], report["step"]) for report in told.reports] == [
        *(("dev", 0), ("train", 4), ("dev", 6), ("train", 8), ("train", 12), ("dev", 12))
    ]
    assert told.checkpoints == [(step, f"step-{step:09d}") for step in (4, 8, 12)]
    assert told.reports == [*result.history("dev")[:1], *told.reports[1:]]
    assert result.history() == [report for report in told.reports if report["group"] == "train"]
    assert [path.name for path in sorted((result.run_directory / "checkpoints").iterdir())] == [
        f"step-{step:09d}" for step in (8, 12)
    ]


def test_the_mean_loss_is_that_of_its_kinds_of_batch(result: TrainResult) -> None:
    mono = 0.0
    for report in result.history():
        now = report["alpha"] * report["step"]
        share = (now - mono) / 4
        mono = now
        parts = [share * report.get("loss_mono", 0.0), (1 - share) * report.get("loss_cross", 0.0)]
        assert report["loss"] == pytest.approx(sum(parts), rel=1e-9)


def test_planned_shares_are_told_at_the_start_and_realised_ones_kept(
    corpora: Path, result: TrainResult, told: Told, trained_on: list[Batch]
) -> None:
    assert told.lines[:3] == [
        "planned: 24 batches of 8 pairs: 50.0% cross, 50.0% mono",
        "  mono: 4 languages, each 25.0%",
        "  cross: 12 pairs, each 8.3%; queries and passages: 4 languages, each 25.0%",
    ]
    corpus = ParallelCorpus.open(corpora / "train")
    plan = BatchPlan([corpus], PlanSettings(batch_size=8))
    rows: dict[str, Counter[str]] = {"mono": Counter(), "cross": Counter()}
    for number, batch in enumerate(trained_on):
        step = plan.step(number)
        assert (batch.kind, batch.clusters.tolist()) == (step.kind, corpus.clusters(step.group).tolist())
        rows[step.kind].update(f"{query}>{passage}" for query, passage in zip(step.query_lang, step.passage_lang, strict=True))
    assert len(trained_on) == 2 * STEPS
    kept = json.loads((result.run_directory / "batches.json").read_text())
    for kind, counts in rows.items():
        pairs = {pair: values for pair, values in kept["pairs"][kind].items() if values["count"]}
        assert {pair: values["count"] for pair, values in pairs.items()} == counts
        assert all(values["realised"] == pytest.approx(counts[pair] / counts.total()) for pair, values in pairs.items())
    assert kept["alpha"] == {"planned": 0.5, "realised": result.history()[-1]["alpha"]}


class Recorded:
    """A tracker that remembers, for all runs, what it was told."""

    told: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self, settings: TrainJob, config: Mapping[str, Any], directory: Path, run_id: str | None) -> None:
        self.run_id = run_id or "r1"
        self.told.append(("begun", (run_id, config["plan.batch_size"])))

    def report(self, step: int, group: str, values: Mapping[str, float]) -> None:
        self.told.append((group, (step, values["loss" if group == "train" else "mul"])))

    def end(self, *, finished: bool) -> None:
        self.told.append(("ended", finished))


@pytest.mark.parametrize("stop", [4, 6])
def test_an_interrupted_run_goes_on_to_the_same_weights(
    tmp_path: Path, corpora: Path, lexicon: Path, result: TrainResult, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as one run in a tracker, which is told what the log is told."""
    monkeypatch.setattr(trackers, "check_trackers", lambda names: None)
    monkeypatch.setattr("xlret.training.run.check_trackers", lambda names: None)
    monkeypatch.setattr(trackers, "_KINDS", {"mlflow": Recorded})
    monkeypatch.setattr(Recorded, "told", [])
    settings, shown = job(tmp_path, corpora, lexicon), list[str]()
    with pytest.raises(KeyboardInterrupt):
        train(settings.model_copy(update={"track": ("mlflow",)}), show=None, callbacks=[Told(stop)])
    again = train(settings.model_copy(update={"track": ("mlflow",)}), show=shown.append)
    assert [event for event in Recorded.told if event[0] in ("begun", "ended")] == [
        ("begun", (None, 8)), ("ended", False), ("begun", ("r1", 8)), ("ended", True),
    ]  # fmt: skip
    for group, name in (("train", "loss"), ("dev", "mul")):
        logged = {(line["step"], line[name]) for line in again.history(group)}
        assert logged == {value for kind, value in Recorded.told if kind == group}, "what came twice was the same"
    assert again.weights_sha256 == result.weights_sha256
    assert untimed(again.history()) == untimed(result.history())
    assert untimed(again.history("dev")) == untimed(result.history("dev"))
    assert ("going on from step-000000004" in shown) == (stop == 6)


def test_training_here_imports_no_ray_and_leaves_torch_as_it_was(tmp_path: Path, corpora: Path, lexicon: Path) -> None:
    (tmp_path / "job.json").write_text(job(tmp_path, corpora, lexicon, steps=1).model_dump_json())
    script = """
import sys, pathlib, torch
from xlret.training.run import train
from xlret.training.settings import TrainJob
torch.manual_seed(3)
torch.set_num_threads(2)
first = torch.rand(1)
torch.manual_seed(3)
train(TrainJob.model_validate_json(pathlib.Path(sys.argv[1]).read_text()), show=None)
assert torch.rand(1) == first and torch.get_num_threads() == 2 and not torch.are_deterministic_algorithms_enabled()
assert "ray" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "job.json")], capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_ddp_of_one_worker_changes_no_bit_of_a_gradient(
    tmp_path: Path, corpora: Path, lexicon: Path, result: TrainResult
) -> None:
    settings, start = job(tmp_path, corpora, lexicon), result.run_directory / "start"
    assemble = Assembler(Inputs(settings.corpora, settings.plan, settings.switch, start))
    gradients = []
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        for distributed in (False, True):
            step = load_step(settings, start, torch.device("cpu"))
            if distributed:
                step.distribute()
            torch.manual_seed(0)
            for number in range(2):
                step.run(assemble(number, 0, 1), batches=2, sync=number == 1)
            gradients.append([weight.grad for weight in step.parameters() if weight.requires_grad])
    finally:
        dist.destroy_process_group()
    for alone, averaged in zip(*gradients, strict=True):
        assert torch.equal(alone, averaged)


def test_a_run_keeps_the_precision_that_auto_meant_where_it_began(
    result: TrainResult, corpora: Path, lexicon: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = job(result.run_directory.parent, corpora, lexicon, precision="auto")
    monkeypatch.setattr("xlret.model.processor.computes_bfloat16", lambda: False)
    assert train(same, show=None) == result
    monkeypatch.setattr("xlret.model.processor.computes_bfloat16", lambda: True)
    with pytest.raises(UserError, match="precision was 'float32' and is now 'bfloat16'"):
        train(same, show=None)
    assert slow_bfloat16("bfloat16", "precision", gpu=False) is None
    monkeypatch.setattr("xlret.model.processor.computes_bfloat16", lambda: False)
    assert "precision is bfloat16" in str(slow_bfloat16("bfloat16", "precision", gpu=False))


def test_what_needs_ray_or_a_gpu_is_refused_without(tmp_path: Path, corpora: Path, lexicon: Path) -> None:
    with pytest.raises(UserError, match=r"a RunConfig is Ray Train's, and ray\.workers is 0"):
        train(job(tmp_path, corpora, lexicon), run_config=lambda ours: ours)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"ray\.gpu is true, but there is no GPU"):
            train(job(tmp_path, corpora, lexicon, ray={"workers": 0, "gpu": True}), show=None)


def test_an_error_in_a_thread_that_works_ahead_comes_in_its_turn() -> None:
    def halved(value: int) -> int:
        if value == 2:
            raise DataError("odd")
        return value

    values = ahead(halved, range(100), 4)
    assert [next(values), next(values)] == [0, 1]
    with pytest.raises(DataError, match="odd"):
        next(values)
