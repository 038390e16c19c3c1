"""The other side of jobs/bench/training.py: MultipleNegativesRankingLoss by sentence-transformers' own trainer.

Run as `python -m jobs.bench.sentence_transformers_run MODEL CORPUS BATCH STEPS LENGTH [cpu|cuda]`, also under
torch.distributed.run; on a GPU in bfloat16, on a CPU in float32.
The texts are those of the plan's batches, fetched before the clock starts and without code-switching.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import MultipleNegativesRankingLoss
from transformers import TrainerCallback

from xlret.batches.assemble import fetch_texts
from xlret.batches.plan import BatchPlan
from xlret.batches.settings import PlanSettings
from xlret.data.corpus import ParallelCorpus


class Clock(TrainerCallback):  # type: ignore[misc]
    """The time at the end of every step."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.ends.append(time.perf_counter())


def main(model: str, corpus: str, batch: int, steps: int, length: int, device: str = "cpu") -> None:
    """Trains and prints `{"pairs_per_second": ...}` over the second half of the steps."""
    torch.set_num_threads(1)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    encoder = SentenceTransformer(model, device=device)
    encoder.max_seq_length = length
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=directory,
            per_device_train_batch_size=batch,
            max_steps=steps,
            learning_rate=1e-3,
            use_cpu=device == "cpu",
            bf16=device != "cpu",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_steps=10_000,
            ddp_backend="gloo" if world > 1 else None,
        )
        SentenceTransformerTrainer(
            model=encoder,
            args=arguments,
            train_dataset=_texts(Path(corpus), batch * world, steps),
            loss=MultipleNegativesRankingLoss(encoder, gather_across_devices=world > 1),
            callbacks=[clock],
        ).train()
    half = clock.ends[len(clock.ends) // 2 :]
    if int(os.environ.get("RANK", "0")) == 0:
        print(json.dumps({"pairs_per_second": batch * world * (len(half) - 1) / (half[-1] - half[0])}))


def _texts(path: Path, batch: int, steps: int) -> Dataset:
    corpus = ParallelCorpus.open(path, verify=False)
    plan = BatchPlan([corpus], PlanSettings(batch_size=batch))
    columns: dict[str, list[str]] = {"anchor": [], "positive": []}
    for t in range(steps):
        step = plan.step(t)
        columns["anchor"] += fetch_texts(corpus, "query", step.query_lang, step.group)
        columns["positive"] += fetch_texts(corpus, "passage", step.passage_lang, step.group)
    return Dataset.from_dict(columns)


if __name__ == "__main__":
    start, corpus, pairs, steps, length, *devices = sys.argv[1:]
    main(start, corpus, int(pairs), int(steps), int(length), *devices)
