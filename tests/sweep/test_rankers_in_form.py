"""The shipped question about rankers, on tiny data: every row of the published table is trained, evaluated and laid out."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from xlret.config import recipe_path, settings_from
from xlret.sweep.run import sweep
from xlret.sweep.settings import SweepJob


def tiny(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> SweepJob:
    """The recipe with other data, one start, one seed and two steps of training."""
    recipe: dict[str, Any] = yaml.safe_load(recipe_path("questions/5-rankers").read_text(encoding="utf-8"))
    base = {
        "name": "base",
        "corpora": [os.path.relpath(corpora / "train")],
        "steps": 2,
        "switch": {"lexicons": [str(lexicon)], "languages": ["de", "fr"]},
        "encoder": {"max_query_tokens": 16, "max_passage_tokens": 24},
        "optimiser": {"learning_rate": 1.0e-2},
        "ray": {"workers": 0},
    }
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base), encoding="utf-8")
    recipe["changes"]["plan.batch_size"] = 8
    recipe["points"]["wiki"]["switch.lexicons"] = [str(lexicon)]
    recipe["points"]["fine-tuned"]["plan.languages"] = ["en", "de", "fr"]
    on = {"corpus": str(corpora / "dev"), "groups": 6, "languages": ["en", "de", "fr"], "run_depth": 0, "rerank_depth": 4}
    return settings_from(
        SweepJob,
        {
            **recipe,
            "base": str(tmp_path / "base.yaml"),
            "out": str(tmp_path / "out"),
            "seeds": [0],
            "retriever": str(encoder),
            "space": {"encoder.start": [str(encoder)]},
            "evaluation": on,
            "also": {"afriqa": on, "translate_test": {**on, "translate_test": str(lexicon)}},
        },
    )


@pytest.mark.slow
def test_the_table_of_rankers_has_every_row_in_form(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path) -> None:
    job = tiny(tmp_path, corpora, lexicon, encoder)
    rows = sweep(job, Console(quiet=True), without_ray=True)
    assert {row.configuration.point: row.status for row in rows} == dict.fromkeys(
        ("zero-shot", "bl", "ml", "wiki", "fine-tuned"), "finished"
    )
    head, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in (job.out / "table.md").read_text().splitlines()
    ]
    assert head[2:7] == ["MoIR", "CLIR", "MLIR", "rank distance", "afriqa MLIR"]
    assert len(lines) == len(rows) + 1
    (translated,) = (line for line in lines if line[0].startswith("translate_test of zero-shot"))
    (evaluated,) = job.out.glob("trials/*/evaluations/translate_test/evaluation.json")
    assert evaluated.parents[2].name.startswith("zero-shot")
    numbers = json.loads(evaluated.read_text())
    assert translated[2:6] == [*(f"{numbers[name]:.4f}" for name in ("mo", "cr", "mul")), f"{numbers['rank_distance']:.1f}"]
    (zero_shot,) = (line for line in lines if line[0].startswith("zero-shot"))
    assert zero_shot[7] == "reference"
    assert zero_shot[2:6] != translated[2:6]
    weights = {path.read_bytes() for path in job.out.glob("trials/*/model/model.safetensors")}
    assert len(weights) == len(rows), "each row is trained on other text"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"only": {"translate_test": ["zero-shot"]}}, "there is no such further evaluation"),
        ({"also": {"x": {"corpus": "dev"}}, "only": {"x": ["zero"]}}, "only names zero, which is no point"),
    ],
)
def test_evaluations_of_some_points_name_what_there_is(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SweepJob.model_validate({"name": "x", "base": "real", "evaluation": {"corpus": "dev"}, "points": {"a": {}}, **settings})
