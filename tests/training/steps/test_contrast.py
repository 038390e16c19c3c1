"""Objective contrast from a recipe to a trained encoder, and the report that a run leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from xlret.commands.app import main
from xlret.model.encoder import Encoder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, corpora: Path, lexicon: Path) -> Path:
    """Two runs that differ in the added loss alone: English pairs, from the same start."""
    storage = tmp_path_factory.mktemp("runs")
    for name, changes in (("clean", {}), ("contrast", {"objective": "contrast", "contrast_weight": 1.0})):
        recipe = {
            "name": name,
            "storage": str(storage),
            "corpora": [str(corpora / "train")],
            "steps": 60,
            "log_every": 20,
            "plan": {"batch_size": 16, "regime": "mono", "languages": ["en"]},
            "switch": {"policy": "ml", "p": 1.0, "side": "query", "lexicons": [str(lexicon)], **changes} if changes else {},
            "encoder": {
                "fresh": {"vocabulary": 1500, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}
                | {"languages": ["en", "de", "fr"]}
            },
            "optimiser": {"learning_rate": 3e-3},
            "dev": {"corpora": [str(corpora / "dev")], "every": 30, "metric": "mo", "languages": ["en"]},
            "ray": {"workers": 0},
        }
        (storage / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        assert main(["train", str(storage / f"{name}.yaml")]) == 0
    return storage


def test_contrast_pulls_translations_of_words_together(runs: Path, lexicon: Path) -> None:
    """A question and the same question word for word in German are nearer than with the clean loss alone."""
    pairs = [line.split("\t") for line in (lexicon / "en-de.txt").read_text(encoding="utf-8").splitlines()]
    questions = {
        lang: [f"{pairs[row][side]} {pairs[row + 1][side]} ?" for row in range(0, 299, 3)]
        for side, lang in enumerate(("en", "de"))
    }
    margin = {}
    for name in ("clean", "contrast"):
        encoder = Encoder.load(runs / name / "model")
        scores = encoder.encode(questions["en"], "query") @ encoder.encode(questions["de"], "query").T
        margin[name] = float(np.mean(np.diag(scores)) - np.mean(scores))
    assert margin["contrast"] > margin["clean"] + 0.1, margin


def test_the_report_shows_curves_texts_and_settings(runs: Path) -> None:
    page = (runs / "contrast" / "report.html").read_text(encoding="utf-8")
    best = json.loads((runs / "contrast" / "run.json").read_text())["finished"]["best_metric"]
    assert "60 of 60 steps" in page
    assert f"{best:.4f}" in page
    assert "<polyline" in page
    assert "objective: contrast" in page
    assert '<b lang="de"' in page
    assert "step 0, mono, row 0, query" in page
    assert "nothing was switched" in (runs / "clean" / "report.html").read_text(encoding="utf-8")
