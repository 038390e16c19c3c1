"""The page of a run shows its curve, its best step and its texts, and what comes from outside is escaped."""

import json
from pathlib import Path

from plan_facts import CORPORA, plan

from xlret.switch.show import Sample
from xlret.switch.switched import Switched
from xlret.training.report import line_chart, write_report
from xlret.training.settings import TrainJob


def test_the_page_of_a_run(tmp_path: Path) -> None:
    job = TrainJob.model_validate({"name": "r", "corpora": ["a&b"], "steps": 2000})
    lines = [
        {"step": 500, "group": "train", "loss": 2.0},
        {"step": 500, "group": "dev", "mo": 0.25, "mul": 0.125},
        {"step": 1000, "group": "train", "loss": 0.5},
        {"step": 1000, "group": "dev", "mo": 0.5, "mul": 0.25, "best": True},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    samples = [Sample("1 <b>", "en", Switched("a \ud800<i>", 2, 0))]
    text = write_report(tmp_path, job, samples, plan(CORPORA["two languages"]).explain(64)).read_text(encoding="utf-8")
    assert "<h1>Run r</h1>" in text
    assert f"1,000 of 2,000 steps, batches of {job.plan.batch_size} pairs" in text
    assert 'points="44.0,44.0 596.0,176.0"' in text
    assert '<th scope="row">1,000 (best)</th><td>0.5000</td><td>0.2500</td>' in text
    assert '<th scope="col">Cr</th>' not in text
    assert "1 &lt;b&gt;" in text
    assert "a \ufffd&lt;i&gt;" in text
    assert "a&amp;b" in text
    assert "nothing was switched" in text


def test_a_run_that_has_not_begun_has_no_chart(tmp_path: Path) -> None:
    job = TrainJob.model_validate({"name": "r", "corpora": ["a"]})
    planned = plan(CORPORA["two languages"]).explain(1000, walk=False)
    text = write_report(tmp_path, job, [], planned).read_text(encoding="utf-8")
    assert "Planned: 1,000 batches of 32 pairs; 50.0% cross, 50.0% mono." in text
    assert "<svg" not in text
    assert "Held-out" not in text


def test_a_flat_line_lies_at_the_bottom() -> None:
    assert line_chart([(1, 3.0), (2, 3.0)]).points == "44.0,176.0 596.0,176.0"
