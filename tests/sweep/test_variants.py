"""`xlret variants` from a recipe to its table, and that what is there is not made again."""

import json
from pathlib import Path

import pytest
import yaml

from xlret.commands.app import main
from xlret.errors import UserError


@pytest.fixture
def recipe(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> Path:
    """Two ways of training a tiny encoder, and none."""
    base = {
        "name": "base",
        "corpora": [str(corpora / "train")],
        "steps": 4,
        "plan": {"batch_size": 16, "regime": "mono", "languages": ["en"]},
        "switch": {"policy": "none", "lexicons": [str(lexicon)]},
        "encoder": {"start": str(encoder), "max_query_tokens": 16, "max_passage_tokens": 24},
        "optimiser": {"learning_rate": 1.0e-3},
        "ray": {"workers": 1},
    }
    job = {
        "name": "tiny",
        "base": str(tmp_path / "base.yaml"),
        "out": str(tmp_path / "out"),
        "seeds": [0, 1],
        "evaluation": {"corpus": str(corpora / "dev"), "run_depth": 0},
        "groups": {"near": ["de"], "distant": ["tr", "fr"]},
        "variants": {"start": {"untrained": True}, "ml": {"switch.policy": "ml", "switch.p": 1.0}},
    }
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base, sort_keys=False), encoding="utf-8")
    path = tmp_path / "variants.yaml"
    path.write_text(yaml.safe_dump(job, sort_keys=False), encoding="utf-8")
    return path


def test_variants_are_trained_evaluated_and_laid_side_by_side_once(recipe: Path, tmp_path: Path) -> None:
    assert main(["variants", str(recipe)]) == 0
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    head, _, start, ml = table.splitlines()
    assert head == "| variant | seeds | Mo | Cr | Mul | rank distance | en-near | en-distant |"
    cells = [cell.strip() for cell in start.strip("|").split("|")]
    found = json.loads((tmp_path / "out" / "start" / "evaluation.json").read_text(encoding="utf-8"))
    matrix = found["sets"][0]["matrix"]
    near = (matrix["en"]["de"] + matrix["de"]["en"]) / 2
    distant = (matrix["en"]["fr"] + matrix["fr"]["en"] + matrix["en"]["tr"] + matrix["tr"]["en"]) / 4
    assert cells[:3] == ["start", "1", f"{found['mo']:.4f} (0.0000)"]
    assert cells[-2:] == [f"{near:.4f} (0.0000)", f"{distant:.4f} (0.0000)"]
    assert ml.startswith("| ml | 2 |")
    seeds = [json.loads((tmp_path / "out" / f"ml-{seed}" / "evaluation.json").read_text(encoding="utf-8")) for seed in (0, 1)]
    assert len({found["mo"], seeds[0]["mo"], seeds[1]["mo"]}) == 3  # trained, and each seed by itself
    assert f"{(seeds[0]['cr'] + seeds[1]['cr']) / 2:.4f}" in ml

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    assert main(["variants", str(recipe)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")} == made
    with pytest.raises(UserError, match="no language 'sw'; it has de, en, fr, tr"):
        main(["variants", str(recipe), "--set", "groups={far: [sw]}"])
