"""Moments in 8 bits, frozen weights in 16 and in 4: their bytes, the time of an update, and what fewer bits do to vectors."""

import time
from typing import Any

import numpy as np
import torch
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.data.corpus import ParallelCorpus
from xlret.model.adapters import add_adapters
from xlret.model.encoder import Encoder
from xlret.model.settings import LoraSettings
from xlret.training.dev import Precision
from xlret.training.optimiser import make_optimiser, moments_of
from xlret.training.settings import OptimiserSettings

TEXTS = 64
UPDATES = 3


def run(bench: Bench, console: Console) -> None:
    """Bytes and update time of AdamW's moments in 32 and in 8 bits, and vectors of an encoder kept in 16 and in 4."""
    torch.set_num_threads(1)
    source = bench.encoder or bench.start
    for kind in ("adamw", "adamw8bit"):
        encoder = Encoder.load(source)
        optimiser = make_optimiser(encoder, OptimiserSettings.model_validate({"kind": kind}))
        seconds = []
        for _ in range(UPDATES):
            for weight in encoder.parameters():
                weight.grad = torch.full_like(weight, 1e-3) if weight.requires_grad else None
            began = time.process_time()
            optimiser.step()
            seconds.append(time.process_time() - began)
        in_bytes = sum(moment.numel() * moment.element_size() for moment in moments_of(optimiser).values())
        console.print(f"{kind}: moments of {in_bytes / 1e6:,.1f} MB, an update takes {min(seconds):.2f} s of the processor")
    corpus = ParallelCorpus.open((bench.corpora or bench.job.corpora)[0], verify=False)
    lang = corpus.languages[0]
    passages = corpus.passages(lang, corpus.side("passage", lang).take(np.arange(TEXTS)))
    whole = Encoder.load(source)
    vectors_ND = whole.encode(passages, "passage")
    console.print(f"float32: weights of {_megabytes(whole):,.1f} MB; cosines with its vectors of {len(passages)} in {lang}:")
    forms: dict[str, tuple[dict[str, Any], Precision]] = {
        "precision bfloat16": ({}, "bfloat16"),
        "lora.half": ({"half": True}, "bfloat16"),
        "lora.four_bit": ({"four_bit": True}, "float32"),
    }
    for name, (lora, precision) in forms.items():
        smaller = Encoder.load(source)
        add_adapters(smaller.backbone, LoraSettings(rank=8, **lora), 0)
        cosines_N = (vectors_ND * smaller.encode(passages, "passage", precision=precision)).sum(1)
        size = _megabytes(smaller)
        console.print(f"{name}: weights of {size:,.1f} MB; {cosines_N.mean():.5f} in the mean, {cosines_N.min():.5f} at least")


def _megabytes(encoder: Encoder) -> float:
    """Of all weights but the adapters'."""
    sizes = (weight.numel() * weight.element_size() for name, weight in encoder.named_parameters() if "lora_" not in name)
    return sum(sizes) / 1e6
