"""A small sweep in this process, over a tiny encoder and a made-up corpus; and results of trials that nobody trained."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xlret.config import settings_from
from xlret.files import write_json
from xlret.sweep.configuration import Configuration, configuration, trial_directory
from xlret.sweep.result import TrialResult, write_result
from xlret.sweep.settings import SweepJob

LANGUAGES = ("de", "en")
QUESTIONS = 40
"""Of trials that `leave_evaluated` makes up."""
ML = configuration("ml", {"switch.policy": "ml", "switch.p": 1.0})


def sweep_job(tmp_path: Path, corpora: Path, lexicon: Path, encoder: Path, **settings: Any) -> SweepJob:
    """Two points, one of them untrained; `settings` in place of its own."""
    base = {
        "name": "base",
        "corpora": [os.path.relpath(corpora / "train")],  # which must mean the same in every process
        "steps": 6,
        "log_every": 2,
        "checkpoint_every": 2,
        "plan": {"batch_size": 16, "regime": "mono", "languages": ["en"]},
        "switch": {"policy": "none", "lexicons": [str(lexicon)]},
        "encoder": {"start": str(encoder), "max_query_tokens": 16, "max_passage_tokens": 24},
        "optimiser": {"learning_rate": 1.0e-3},
        "dev": {"corpora": [str(corpora / "dev")], "every": 2, "groups": 10},
        "ray": {"workers": 0},
    }
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base, sort_keys=False), encoding="utf-8")
    values = {
        "name": "tiny",
        "base": str(tmp_path / "base.yaml"),
        "out": str(tmp_path / "out"),
        "evaluation": {"corpus": str(corpora / "dev"), "run_depth": 0},
        "points": {"start": {"untrained": True}, "ml": dict(ML.settings)},
    }
    return settings_from(SweepJob, {**values, **settings})


def leave_result(job: SweepJob, config: Configuration, seed: int, **facts: Any) -> Path:
    """Writes what a trial would have left, with `facts` such as its status and metrics; returns the trial's directory."""
    directory = trial_directory(job, config, seed)
    told = {"configuration": config.name, "label": config.label, "point": config.point, "seed": seed}
    write_result(directory, TrialResult(**{**told, "settings": config.settings, "status": "finished", **facts}))
    return directory


def made_sweep(tmp_path: Path, **values: Any) -> SweepJob:
    """A sweep whose trials nobody trains; `values` in place of its own."""
    given = {
        "name": "made",
        "base": "real",
        "evaluation": {"corpus": "dev"},
        "out": str(tmp_path),
        "seeds": [0, 1, 2],
        **values,
    }
    return settings_from(SweepJob, given)


def leave_evaluated(
    job: SweepJob, config: Configuration, seed: int, ap: np.ndarray, status: str = "finished", distance: float = 9
) -> None:
    """Writes what a trial that was evaluated would have left: AP of each question (a row) in each language."""
    mul = float(ap.mean())
    metrics = {"mo": 0.5, "cr": 0.25, "mul": mul, "rank_distance": distance} if status == "finished" else {}
    directory = leave_result(
        job,
        config,
        seed,
        status=status,
        error=None if status == "finished" else "it | broke",
        metrics=metrics,
        fingerprints={"corpus corpora/x": "f00"},
    )
    out = directory / "evaluations" / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    means = {lang: {"mul": float(ap[:, column].mean())} for column, lang in enumerate(LANGUAGES)}
    write_json(out / "evaluation.json", {"sets": [{"name": "dev", "by_language": means}]})
    with open(out / "queries.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lang", "group", "average_precision", "rank_distance"])
        for question in range(QUESTIONS):
            for column, lang in enumerate(LANGUAGES):
                writer.writerow([f"dev {question}:{lang}", lang, question, repr(float(ap[question, column])), 1])
