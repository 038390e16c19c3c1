"""A reranker's run through `xlret train`: killed and started again, used by `xlret evaluate`, and by sentence-transformers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from sentence_transformers import CrossEncoder

from xlret.model.reranker import Reranker
from xlret.training.checkpoint import kept_checkpoints

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
STEPS = 24
FRESH = {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}


def start(storage: Path, corpora: Path, lexicon: Path, **changes: object) -> "subprocess.Popen[str]":
    recipe = {
        "name": "run",
        "storage": str(storage),
        "model": "reranker",
        "corpora": [str(corpora / "train")],
        "steps": STEPS,
        "log_every": 4,
        "checkpoint_every": 4,
        "plan": {"batch_size": 8, "alpha": 0.5},
        "switch": {"policy": "ml", "lexicons": [str(lexicon)]},
        "encoder": {"fresh": FRESH},
        "optimiser": {"learning_rate": 1e-3},
        "dev": {"corpora": [str(corpora / "dev")], "every": 12, "groups": 8},
        "ray": {"steps_per_block": 4},
        **changes,
    }
    storage.mkdir(parents=True, exist_ok=True)
    (storage / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.train", str(storage / "recipe.yaml")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", storage: Path) -> tuple[dict[str, object], str]:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return json.loads((storage / "run" / "run.json").read_text())["finished"], output


def reports(storage: Path) -> list[dict[str, object]]:
    """What the run reported, without what depends on the clock."""
    timed = ("pairs_per_second", "tokens_per_second", "data_wait_share", "peak_memory_mb", "seconds")
    lines = [json.loads(line) for line in (storage / "run" / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in timed} for line in lines]


def has_checkpoint(storage: Path) -> bool:
    return bool(kept_checkpoints(storage / "run"))


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, corpora: Path, lexicon: Path) -> None:
    finished, output = finish(start(tmp_path / "undisturbed", corpora, lexicon), tmp_path / "undisturbed")
    assert re.search(rf"step {STEPS}/{STEPS}  dev mAP: Mo 0\.\d+  Cr 0\.\d+  Mul 0\.\d+", output), output
    assert f"reranker in {tmp_path}/undisturbed/run/model" in output
    process = start(tmp_path / "killed", corpora, lexicon)
    end = time.monotonic() + 240
    while not has_checkpoint(tmp_path / "killed"):
        assert process.poll() is None, "it ended before there was a checkpoint"
        assert time.monotonic() < end, "there was no checkpoint to go on from"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert "finished" not in json.loads((tmp_path / "killed" / "run" / "run.json").read_text()), "it was over already"
    again, _ = finish(start(tmp_path / "killed", corpora, lexicon), tmp_path / "killed")
    assert again == finished
    assert reports(tmp_path / "killed") == reports(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_trained_reranker_reranks_in_jobs_evaluate_and_elsewhere(tmp_path: Path, corpora: Path, lexicon: Path) -> None:
    retriever = {"name": "retriever", "model": "retriever", "steps": 2, "dev": {}}
    for changes in (retriever, {"steps": 12, "ray": {"workers": 1}}):
        process = start(tmp_path, corpora, lexicon, **changes)
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
    model = tmp_path / "run" / "model"
    pairs = [("ba be ?", "ba be bi bo bu."), ("ba be ?", "do di da."), ("", "x")]
    ours = Reranker.load(model).score(pairs)
    assert CrossEncoder(str(model), device="cpu").predict(pairs) == pytest.approx(ours, abs=1e-5)
    command = ["jobs.evaluate", "--encoder", str(tmp_path / "retriever" / "model"), "--corpus", str(corpora / "dev")]
    command += ["--groups", "10", "--reranker", str(model), "--rerank-depth", "6", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reranked" in done.stdout
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    before, after = (values["reranker"]["effects"]["corpora0/dev"][name] for name in ("encoder alone", "reranked"))
    assert after["recall@10"] == before["recall@10"], "the first six change places among themselves"
    assert after["mul"] == values["mul"] != before["mul"]
    odd = [*command, "--balance", "quota"]
    refused = subprocess.run([sys.executable, "-m", *odd], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert refused.returncode == 2
    assert "choose balance or reranker" in refused.stderr
