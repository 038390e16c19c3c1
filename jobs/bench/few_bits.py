"""Moments in 8 bits and frozen weights in 4: their bytes, the time of an update, and what 4 bits do to vectors."""

import time

import numpy as np
import torch
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.data.corpus import ParallelCorpus
from xlret.model.adapters import add_adapters
from xlret.model.encoder import Encoder
from xlret.model.settings import LoraSettings
from xlret.training.optimiser import make_optimiser, moments_of
from xlret.training.settings import OptimiserSettings

TEXTS = 64
UPDATES = 3


def run(bench: Bench, console: Console) -> None:
    """Bytes and update time of AdamW's moments in 32 and in 8 bits, and vectors of an encoder kept in 4 bits."""
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
        size = sum(moment.numel() * moment.element_size() for moment in moments_of(optimiser).values())
        console.print(f"{kind}: moments of {size / 1e6:,.1f} MB, an update takes {min(seconds):.2f} s of the processor")
    corpus = ParallelCorpus.open((bench.corpora or bench.job.corpora)[0], verify=False)
    lang = corpus.languages[0]
    passages = corpus.passages(lang, corpus.side("passage", lang).take(np.arange(TEXTS)))
    whole, few = Encoder.load(source), Encoder.load(source)
    add_adapters(few.backbone, LoraSettings(rank=8, four_bit=True), 0)
    sizes = [
        sum(weight.numel() * weight.element_size() for name, weight in encoder.named_parameters() if "lora_" not in name)
        for encoder in (whole, few)
    ]
    cosines = (whole.encode(passages, "passage") * few.encode(passages, "passage")).sum(1)
    console.print(
        f"four_bit: weights of {sizes[1] / 1e6:,.1f} MB, {sizes[0] / 1e6:,.1f} MB in float32 (embeddings stay); cosine of a "
        f"passage's vectors in both {cosines.mean():.4f}, at least {cosines.min():.4f}, of {len(passages)} in {lang}"
    )
