"""Adapters beside frozen weights (LoRA, through `peft`) against training all weights of the same encoder."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from safetensors.torch import load_file

from jobs.bench.watched import Setting, watched
from xlret.data.corpus import ParallelCorpus
from xlret.model.adapters import ADAPTER
from xlret.model.encoder import Encoder
from xlret.training.checkpoint import WEIGHTS, newest_checkpoint
from xlret.training.dev import DevSets
from xlret.training.settings import DevSettings
from xlret.training.shares import Shares

LEARNING_RATE = 3e-5
"""Of all weights; adapters have ten times as much, as is usual."""
RANK = 16
GROUPS = 20
TEXTS = 32


def adapters(setting: Setting, console: Console) -> None:
    """Adapters against all weights on the same batches: what is kept, memory, time, and Mul on the first corpus's dev."""
    dev = DevSets.open(DevSettings(corpora=(setting.corpora[0].with_name("dev"),), groups=GROUPS))
    forms: dict[str, tuple[float, dict[str, Any]]] = {
        "all-weights": (LEARNING_RATE, {}),
        "adapters": (10 * LEARNING_RATE, {"lora": {"rank": RANK, "keep": True}}),
    }
    runs = {
        name: watched(setting.job(name, encoder=encoder, optimiser={"learning_rate": rate}))
        for name, (rate, encoder) in forms.items()
    }
    whole = runs["all-weights"]
    weights = _checkpoint(whole.run_directory)[0]
    for name, cost in runs.items():
        kept, size = _checkpoint(cost.run_directory)
        console.print(
            f"{name}: {kept:,} weights in a checkpoint ({kept / weights:.1%}) of {size / 1e6:,.1f} MB, memory "
            f"{cost.memory_mb:,.0f} MB ({cost.memory_mb / whole.memory_mb:.2f} times), {cost.held_mb:,.0f} MB between steps, "
            f"a step {cost.seconds:.2f} s of the processor ({cost.seconds / whole.seconds:.2f} times)"
        )
    adapted = runs["adapters"].run_directory
    difference = _merged_from_kept(adapted, _passages(setting.corpora[0]))
    console.print(f"merged weights against the start with kept adapters: {TEXTS} vectors differ by at most {difference:.1e}")
    models = {"the start": adapted / "start", **{name: cost.run_directory / "model" for name, cost in runs.items()}}
    for name, directory in models.items():
        metrics = dev.evaluate(Encoder.load(directory), Shares(1, 0), "float32")
        assert metrics is not None, "this process is the first"
        console.print(f"dev with {name}: Mul {metrics['mul']:.4f}, Cr {metrics['cr']:.4f}")


def _checkpoint(run_directory: Path) -> tuple[int, int]:
    """Weights in a run's last checkpoint, and its bytes."""
    checkpoint = newest_checkpoint(run_directory)
    assert checkpoint is not None, "a run ends with a checkpoint"
    weights = sum(weight.numel() for weight in load_file(checkpoint / WEIGHTS).values())
    return weights, sum(path.stat().st_size for path in checkpoint.iterdir())


def _passages(directory: Path) -> list[str]:
    corpus = ParallelCorpus.open(directory, verify=False)
    lang = corpus.languages[0]
    return corpus.passages(lang, corpus.side("passage", lang).take(np.arange(TEXTS)))


def _merged_from_kept(run_directory: Path, passages: list[str]) -> float:
    """How far vectors of a run's model are, in any number, from those of its start with the adapters that were kept."""
    from peft import PeftModel

    kept = Encoder.load(run_directory / "start")
    kept.backbone = PeftModel.from_pretrained(kept.backbone, str(run_directory / "model" / ADAPTER)).eval()
    merged = Encoder.load(run_directory / "model")
    return float(np.abs(merged.encode(passages, "passage") - kept.encode(passages, "passage")).max())
