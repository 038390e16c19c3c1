"""A small training run on several machines: started, looked at while it goes on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from machines import Cluster, Program

CHECKPOINT_EVERY = 20


def small_run(corpora: Path, lexicon: Path) -> dict[str, Any]:
    """A recipe of two workers without its `storage`: seconds of training, long enough for something to happen to it."""
    return {
        "name": "run",
        "corpora": [str(corpora / "train")],
        "steps": 200,
        "log_every": 2,
        "checkpoint_every": CHECKPOINT_EVERY,
        "plan": {"batch_size": 16, "alpha": 0.5},
        "switch": {"policy": "ml", "lexicons": [str(lexicon)]},
        "encoder": {"fresh": {"vocabulary": 400, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
        "optimiser": {"learning_rate": 1e-3},
        "ray": {"steps_per_block": 8, "workers": 2},
    }


@dataclass
class Training:
    """A run of two workers, which need a machine of one CPU each."""

    machines: Cluster
    storage: Path
    recipe: dict[str, Any]

    def start(self, **settings: Any) -> Program:
        """Starts it, with other settings such as `ray.least_workers`."""
        path = self.storage / "recipe.yaml"
        path.write_text(yaml.safe_dump({**self.recipe, "storage": str(self.storage)}), encoding="utf-8")
        more = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        return self.machines.start("-m", "jobs.train", str(path), *more)

    @property
    def directory(self) -> Path:
        return self.storage / "run"

    def steps(self) -> int:
        """How far it has reported."""
        path = self.directory / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)

    def on(self, name: str) -> list[int]:
        """Its workers on a machine."""
        return self.machines.machines[name].workers("RayTrainWorker")
