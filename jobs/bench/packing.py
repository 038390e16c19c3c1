"""Packed passes (texts in one row) against padded ones: a training step and bulk encoding, of the same batches, in turns."""

import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console

from jobs.bench.setup import Bench
from xlret.batches.assemble import Assembled, Assembler, Inputs
from xlret.batches.settings import PlanSettings
from xlret.config import settings_from
from xlret.model.encoder import Encoder
from xlret.model.settings import PackedSetting
from xlret.switch.settings import SwitchSettings
from xlret.training.kinds import load_step
from xlret.training.settings import TrainJob
from xlret.training.steps.base import Step
from xlret.training.steps.retriever import joined

PAIRS = 32
ROUNDS = 3


def run(bench: Bench, console: Console) -> None:
    """Training steps of 32 pairs and bulk encoding, with padding and without, on one thread."""
    torch.set_num_threads(1)
    directory = bench.directory / "packing" / "encoder"
    Encoder.load(bench.encoder or bench.start, max_query_tokens=48, max_passage_tokens=64).save(directory, replace=True)
    corpora = bench.corpora or bench.job.corpora
    plan = PlanSettings(batch_size=PAIRS, regime="mixed", small_pools="drop")
    assemble = Assembler(Inputs(corpora, plan, SwitchSettings(), directory))
    steps = {setting: _step(bench, setting) for setting in (False, True)}
    optimisers = {setting: torch.optim.AdamW(step.parameters(), lr=1e-6, fused=True) for setting, step in steps.items()}
    batches = [batch for number in range(ROUNDS + 1) if isinstance(batch := assemble(number, 0, 1), Assembled)]
    tokens, padded = (
        sum(count(batch) for batch in batches) for count in (lambda batch: batch.tokens, steps[False].padded_tokens)
    )
    console.print(
        f"{PAIRS} pairs a batch, {tokens / len(batches):,.0f} tokens, with padding {padded / tokens:.2f} times as many"
    )

    def train(setting: bool, batch: Assembled) -> None:
        steps[setting].train().run(batch)
        torch.nn.utils.clip_grad_norm_(steps[setting].parameters(), 1.0)
        optimisers[setting].step()
        optimisers[setting].zero_grad(set_to_none=True)

    def encode(setting: bool, batch: Assembled) -> None:
        encoder: Encoder = steps[setting].encoder  # type: ignore[assignment]
        encoder.encode_ragged(*joined(batch.texts), tokens_per_batch=8192)

    _compare("training", "pairs", PAIRS, train, batches, console)
    _compare("encoding", "tokens", tokens / len(batches), encode, batches, console)


def _step(bench: Bench, packed: PackedSetting) -> Step:
    values = {"name": "packing", "corpora": bench.job.corpora, "encoder": {"packed": packed}, "ray": {"workers": 0}}
    return load_step(settings_from(TrainJob, values), bench.directory / "packing" / "encoder", torch.device("cpu"))


def _compare(
    name: str,
    unit: str,
    units: float,
    call: Callable[[bool, Assembled], None],
    batches: list[Assembled],
    console: Console,
) -> None:
    """Prints how much of a batch either way gets done in a second of the processor, the first batch not counted."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for batch in batches:
        for setting, measured in seconds.items():
            began = time.process_time()
            call(setting, batch)
            measured.append(time.process_time() - began)
    padded, packed = (units / statistics.mean(measured[1:]) for measured in seconds.values())
    ratio = packed / padded
    console.print(
        f"{name}: {padded:,.1f} {unit} a second of the processor with padding, {packed:,.1f} packed ({ratio:.2f} times)"
    )
