"""The page of a sweep, as a reader sees it in Chromium."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sweeps import LANGUAGES, QUESTIONS, leave_evaluated, made_sweep

from xlret.sweep.comparison import compared
from xlret.sweep.ranking import ranking
from xlret.sweep.report import write_report
from xlret.sweep.search import search_of

if TYPE_CHECKING:
    from browsing import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OVERLAPS = """() => [...document.querySelectorAll("svg")].flatMap(svg => {
  const upright = [...svg.querySelectorAll("text:not([transform])")].filter(text => text.textContent.trim());
  const boxes = upright.map(text => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).flatMap(([b, q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2 ? [a + " on " + b] : []));
})"""
"""Pairs of texts of a drawing that lie on each other."""
OUTSIDE = """() => [...document.querySelectorAll("svg text")].filter(text => {
  const [a, b] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
  return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
}).map(text => text.textContent)"""
"""Texts that are cut off at the edge of their drawing."""
SWEPT: dict[str, dict[str, Any]] = {
    "settings of the space": {
        "space": {
            "plan.alpha": [0.0, 0.1, 0.11, 1.0],
            "optimiser.learning_rate": [1e-5, 1e-3],
            "encoder.start": ["models/multilingual-e5-small", "models/multilingual-e5-base"],
        },
    },
    "many named points": {"points": {f"hybrid-with-a-long-name-{number}": {"steps": number + 1} for number in range(14)}},
}


@pytest.mark.parametrize("swept", SWEPT.values(), ids=SWEPT)
def test_a_reader_sees_what_each_setting_does(swept: dict[str, Any], tmp_path: Path, browser: "Browser") -> None:
    job = made_sweep(tmp_path, seeds=[0, 1], goals=["mul", "rank_distance"], **swept)
    search, rng = search_of(job), np.random.default_rng(0)
    while (configuration := search.ask()) is not None:
        for seed in job.seeds:
            ap = rng.uniform(0.2, 0.6, (QUESTIONS, len(LANGUAGES)))
            leave_evaluated(job, configuration, seed, ap, distance=float(rng.uniform(20, 90)))
    rows = ranking(job, search.proposed.values())
    path = write_report(job, rows, compared(job, rows))

    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    titles = page.locator("figcaption").all_inner_texts()
    names = list(job.space) or ["point"]
    assert [title.partition(" (")[0] for title in titles if "mul over" in title] == [f"mul over {name}" for name in names]
    assert {"rank_distance against mul", "Mul by query language on dev"} <= set(titles)
    assert ({"Mo, Cr and Mul over alpha", "rank distance over alpha"} <= set(titles)) == ("plan.alpha" in names)
    assert page.locator("svg[aria-label='parallel coordinates'] polyline").count() == len(rows)
    if job.space:
        assert page.locator("svg").first.locator("polygon").count() == 4, "a band for each line over alpha"
    [front] = page.locator("p", has_text="No other is better in both:").all_inner_texts()
    assert f"{rows[0].configuration.label}: mul {rows[0].metrics['mul'].mean:.4f}" in front
    costs = page.locator("h2:has-text('Cost and origin of each trial') + *")
    assert costs.locator("tbody tr").count() == len(rows) * len(job.seeds)
    assert page.locator("h2:has-text('Training data') + *").locator("tbody tr").inner_text().split() == ["corpora/x", "f00"]
    assert "name: made" in page.locator("pre").inner_text()
    assert not page.evaluate(OVERLAPS)
    assert not page.evaluate(OUTSIDE)
    page.set_viewport_size({"width": 420, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert not problems
    page.close()
