"""Moments in 8 bits and frozen weights in 4, on CPUs: against AdamW, resumed, and merged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_big_encoders import Stop, job, saved
from torch import nn

from xlret.model.encoder import Encoder
from xlret.training.checkpoint import WEIGHTS, load_checkpoint, load_progress, newest_checkpoint
from xlret.training.kinds import load_step
from xlret.training.optimiser import load_moments, make_optimiser, moments_of
from xlret.training.run import train
from xlret.training.settings import OptimiserSettings, TrainJob

pytest.importorskip("bitsandbytes")


def trained(kind: Any, steps: int, halfway: bool = False) -> tuple[nn.Module, int]:
    """A matrix and a bias that learn to be others, after so many steps, and the bytes of their moments; gone on from a copy."""
    target = torch.randn(64, 128, generator=torch.Generator().manual_seed(1))
    module = nn.Linear(128, 64)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    settings = OptimiserSettings(kind=kind)
    optimiser = make_optimiser(module, settings)
    for step in range(steps):
        if halfway and step == steps // 2:
            moments = {name: moment.clone() for name, moment in moments_of(optimiser).items()}
            optimiser = make_optimiser(module, settings)
            load_moments(optimiser, moments)
        for group in optimiser.param_groups:
            group["lr"] = 0.05
        loss = (module.weight - target).square().mean() + (module.bias - 1).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return module, sum(moment.numel() * moment.element_size() for moment in moments_of(optimiser).values())


def test_moments_in_8_bits_learn_as_adamw_does_and_are_restored() -> None:
    exact, large = trained("adamw", 30)
    mine, small = trained("adamw8bit", 30)
    assert small < large / 3.5
    assert 0 < (mine.weight - exact.weight).abs().max() < 0.1 * exact.weight.abs().max()
    again, _ = trained("adamw8bit", 30, halfway=True)
    assert torch.equal(again.weight, mine.weight)
    assert torch.equal(again.bias, mine.bias)


def test_frozen_weights_in_4_bits_are_trained_beside_resumed_and_merged(tmp_path: Path, corpora: Path) -> None:
    start = saved("Qwen3-Embedding", tmp_path)
    settings: dict[str, object] = {"four_bit": True, "keep": True}
    changes: dict[str, Any] = {"optimiser": {"learning_rate": 0.05, "kind": "adamw8bit"}}

    def run(name: str) -> TrainJob:
        return job(tmp_path / name, start, corpora, settings, **changes)

    whole = train(run("whole"), show=None)
    with pytest.raises(KeyboardInterrupt):
        train(run("stopped"), show=None, callbacks=[Stop()])
    assert train(run("stopped"), show=None).weights_sha256 == whole.weights_sha256
    checkpoint = newest_checkpoint(whole.run_directory)
    assert checkpoint is not None
    assert all("lora_" in name for name in load_file(checkpoint / WEIGHTS))

    step: Any = load_step(run("whole"), whole.run_directory / "start", torch.device("cpu"))
    bytes_of = {name: weight.numel() * weight.element_size() for name, weight in step.named_parameters()}
    assert bytes_of["encoder.backbone.layers.0.mlp.up_proj.base_layer.weight"] == 16 * 32 // 2
    load_checkpoint(checkpoint, step, make_optimiser(step, run("whole").optimiser), load_progress(checkpoint).fingerprint)
    texts = ["rome is a city", "paris"]
    merged = Encoder.load(whole.model)
    np.testing.assert_allclose(merged.encode(texts, "query"), step.encoder.encode(texts, "query"), rtol=0, atol=1e-5)
    before, after = (load_file(directory / "model.safetensors") for directory in (whole.run_directory / "start", whole.model))
    assert before.keys() == after.keys()
    assert (whole.model / "adapter/adapter_config.json").is_file()
