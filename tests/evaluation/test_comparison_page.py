"""The page of a comparison, as a reader sees it in Chromium."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlret.commands.app import main
from xlret.evaluation.evaluate import evaluate
from xlret.evaluation.report import as_json
from xlret.evaluation.save import write_evaluation
from xlret.evaluation.shown_rankings import RANKINGS, read_rankings

if TYPE_CHECKING:
    from browsing import Browser


def test_a_reader_compares_systems_by_language_and_query(tmp_path: Path, made: Callable[..., Any], browser: "Browser") -> None:
    retrieval_set, queries, passages = made(3, languages=("ar", "en"), ties=False)
    texts = ["ما هي العاصمة؟" if lang == "ar" else "<b>what</b>" for lang in retrieval_set.query_langs]
    retrieval_set = replace(retrieval_set, query_texts=texts)
    for name, vectors in (("plain", queries), ("ours", -queries)):
        evaluation = evaluate(retrieval_set, vectors, passages, depth=10)
        about = {"encoder": name, "encoder_files": {"model.safetensors": "ab" * 32}, "sets": [as_json(evaluation)]}
        write_evaluation(tmp_path / name, [(retrieval_set, evaluation)], about, title=name, settings="")
    first = next(iter(read_rankings(tmp_path / "plain" / RANKINGS).values()))
    assert [passage["rank"] for passage in first["passages"]] == [1, 2, 3, 4, 5]
    assert (
        first["passages"][0]["id"]
        == retrieval_set.passage_ids[evaluate(retrieval_set, queries, passages, depth=1).retrieved.top_QK[0, 0]]
    )
    assert main(["compare", str(tmp_path / "plain"), str(tmp_path / "ours"), "--out", str(tmp_path / "out")]) == 0
    path = tmp_path / "out" / "comparison.html"
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text))
    page.on("request", lambda request: problems.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    assert page.locator("h1").inner_text() == "plain against ours"
    assert page.locator("table").first.locator("tbody tr").count() == 2
    assert page.locator(".heat").count() == 2
    charts = page.locator("figure figcaption").all_inner_texts()
    assert charts[0] == "mul"
    assert {"Rank distance (lower is better)", "Recall@10 of passages in other languages"} <= set(charts)
    assert page.locator("svg").first.locator("circle").count() == 4, "two systems, two languages"
    details = page.locator("details.query")
    assert details.count() == len(read_rankings(tmp_path / "plain" / RANKINGS))
    arabic = details.locator("summary bdi[lang=ar]")
    assert arabic.evaluate_all("es => [...new Set(es.map(e => getComputedStyle(e).direction))]") == ["rtl"]
    assert details.locator("summary bdi[lang=en]").first.inner_text() == "<b>what</b>"
    details.first.locator("summary").click()
    assert details.first.locator("section").count() == 2
    assert details.first.locator("section").first.locator("li").count() == 5
    assert details.first.locator("h4").first.is_visible()
    assert "ab" * 32 in page.locator("pre").first.text_content()
    assert json.loads(page.locator("pre").nth(1).text_content())["encoder"] == "ours"
    for width in (1280, 420):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    path = tmp_path / "plain" / "report.html"
    page.goto(path.as_uri())
    assert page.locator("figure figcaption").first.inner_text() == "mul"
    assert page.locator("svg").first.locator("circle").count() == 2, "one system, two languages"
    assert page.locator("details.query").count() == details.count() == len(read_rankings(tmp_path / "plain" / RANKINGS))
    assert page.locator("details.query bdi[lang=ar]").first.evaluate("e => getComputedStyle(e).direction") == "rtl"
    page.locator("details.query summary").first.click()
    shown = page.locator("details.query").first.locator("li p").all_inner_texts()
    assert shown == [passage["text"] for passage in first["passages"]]
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    page.close()
    assert problems == []
