"""A small sweep in this process, over a tiny encoder and a made-up corpus; and results of trials that nobody trained."""

import os
from pathlib import Path
from typing import Any

import yaml

from xlret.config import settings_from
from xlret.sweep.configuration import Configuration, configuration, trial_directory
from xlret.sweep.result import TrialResult, write_result
from xlret.sweep.settings import SweepJob

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
