"""The page of a run shows its curves, its best step and its texts, and what comes from outside is escaped."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plan_facts import CORPORA, plan

from xlret.batches.plan import BatchPlan
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.settings import SwitchSettings
from xlret.switch.show import Sample
from xlret.switch.switched import Switched
from xlret.switch.switcher import Switcher
from xlret.training.report import write_report
from xlret.training.settings import TrainJob

if TYPE_CHECKING:
    from browsing import Browser


def training_plan(job: TrainJob) -> BatchPlan:
    return plan(CORPORA["two languages"], batch_size=job.plan.batch_size)


def write_metrics(directory: Path, job: TrainJob, steps: int = 2000) -> None:
    """Reports of a run that went as runs go, a tenth of it each, with evaluations at its beginning, middle and end."""
    lines: list[dict[str, Any]] = []
    for step in range(0, steps + 1, steps // 10):
        if step:
            loss = {"loss": 3.0 - step / steps, "loss_mono": 2.0 - step / steps, "loss_cross": 4.0 - step / steps}
            rates = {"pairs_per_second": 1000.0 + step, "data_wait_share": 0.25, "switch_ratio": 0.1, "seconds": 2.0}
            lines.append({"step": step, "group": "train", **loss, **rates, "alpha": 0.5, "learning_rate": 1e-3})
        if step % (steps // 2) == 0:
            metrics = {"mo": 0.25 + step / steps / 2, "cr": 0.125, "mul": 0.125 + step / steps / 2, "rank_distance": 90.0}
            lines.append({"step": step, "group": "dev", **metrics, "best": True})
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_page_of_a_run(tmp_path: Path) -> None:
    job = TrainJob.model_validate({"name": "r", "corpora": ["a&b"], "steps": 2000, "plan": {"batch_size": 8}})
    write_metrics(tmp_path, job)
    samples = [Sample("1 <b>", "en", Switched("a \ud800<i>", 2, 0))]
    text = write_report(tmp_path, job, training_plan(job), samples, ended=True).read_text(encoding="utf-8")
    assert "<h1>Run r</h1>" in text
    assert "2,000 of 2,000 steps, batches of 8 pairs" in text
    assert re.findall(r"<figcaption>(.*)</figcaption>", text) == [
        *("Loss by kind of batch", "Held-out groups", "Rank distance on held-out groups", "Alpha", "Code-switching", "Speed"),
        *("Waiting for batches", "Learning rate"),
    ]
    assert '<th scope="row">2,000 (best)</th><td>0.7500</td><td>0.1250</td><td>0.6250</td>' in text
    assert text.count("(best)") == 1
    assert "<td>at most 50%</td>" not in text  # nothing is switched
    assert '<th scope="row">mono batches</th><td>50.0%</td><td>50.0%</td>' in text
    assert '<th scope="row">time spent waiting for batches</th><td>–</td><td>25.0%</td>' in text
    assert "1 &lt;b&gt;" in text
    assert "a \ufffd&lt;i&gt;" in text
    assert "a&amp;b" in text
    assert "nothing was switched" in text
    kept = json.loads((tmp_path / "batches.json").read_text())
    assert f"{kept['query_languages']['cross']['th']['realised']:.1%}</b>" in text


def test_a_run_that_has_not_begun_has_no_chart(tmp_path: Path) -> None:
    job = TrainJob.model_validate(
        {"name": "r", "corpora": ["a"], "switch": {"policy": "ml", "lexicons": ["l"], "p": [0.2, 0.5], "rows": 0.5}}
    )
    text = write_report(tmp_path, job, training_plan(job), [], ended=False).read_text(encoding="utf-8")
    assert "<svg" not in text
    assert "Held-out" not in text
    assert '<th scope="row">cross batches</th><td>50.0%</td><td>–</td>' in text
    assert "<td>at most 25%</td><td>–</td>" in text


def test_a_reader_sees_every_chart_and_each_text_in_its_direction(tmp_path: Path, browser: "Browser") -> None:
    pairs = {("en", "ar"): [Entry("cat", "قطة", 1.0)], ("ar", "en"): [Entry("قطة", "cat", 1.0)]}
    switcher = Switcher(Lexicon.from_entries(pairs), SwitchSettings(policy="ml", lexicons=(Path("x"),), p=1.0))
    english, arabic = switcher.switch("cat on the mat", "en", (1,)), switcher.switch("هذه قطة جميلة", "ar", (1,))
    assert [english.text, arabic.text] == ["قطة on the mat", "هذه cat جميلة"]
    job = TrainJob.model_validate({"name": "r", "corpora": ["a"], "steps": 2000, "plan": {"batch_size": 8}})
    write_metrics(tmp_path, job)
    samples = [Sample("step 3, cross, row 2, query", "en", english), Sample("step 3, cross, row 2, passage", "ar", arabic)]
    path = write_report(tmp_path, job, training_plan(job), samples, ended=True)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text))
    page.on("request", lambda request: problems.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    paragraphs = page.locator("td p")
    assert paragraphs.evaluate_all("ps => ps.map(p => getComputedStyle(p).direction)") == ["ltr", "rtl"]
    marked = page.locator("td p b")
    assert marked.evaluate_all("bs => bs.map(b => [b.innerText, b.title])") == [["قطة", "ar: cat"], ["cat", "en: قطة"]]
    middle = "e => {const [b, p] = [e.getBoundingClientRect(), e.parentElement.getBoundingClientRect()]; return b.x - p.x}"
    assert marked.nth(0).evaluate(middle) < 5, "the first word of an English sentence is on the left, whatever its script"
    charts = page.locator("svg")
    assert charts.count() == 8
    inside = """svg => { const frame = svg.getBoundingClientRect(), near = (low, high) => low <= high + 1;
        return [...svg.querySelectorAll('text, polyline, circle')].map(part => part.getBoundingClientRect()).every(box =>
            near(frame.x, box.x) && near(box.right, frame.right) && near(frame.y, box.y) && near(box.bottom, frame.bottom)
        ) }"""
    assert charts.evaluate_all(f"charts => charts.map({inside})") == [True] * 8
    assert page.locator("svg").first.locator("polyline").count() == 3, "all, mono, cross"
    for width in (1280, 420):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    page.close()
    assert problems == []
