"""Cached gradients (GradCache) are those of the plain step, in float64, with dropout; so are checkpointed ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from xlret.batches.assemble import Assembled
from xlret.model.encoder import start_encoder
from xlret.model.losses.infonce import InfoNCE
from xlret.model.losses.settings import LossSettings
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.tokens.ragged import Ragged
from xlret.training.kinds import load_step
from xlret.training.settings import TrainJob
from xlret.training.steps.cached import CachedRetrieverStep
from xlret.training.steps.retriever import RetrieverStep

QUERIES = ["ba", "be bi", "bo bu ba be", "bi bi", "bu", "ba bo"]
PASSAGES = ["ba ba be", "bo", "be bi bo bu ba be bi bo", "bo bo bo", "bu " * 20, "bi"]
NEGATIVES = ["bo bo", "be", "bu ba", "bi be ba", "ba " * 9, "be be"]
CLUSTERS = [0, 1, 2, 0, 4, 5]  # rows 0 and 3 answer each other, across workers too
FRESH = FreshEncoder(vocabulary=200, layers=2, hidden=16, heads=2, feed_forward=32, max_positions=64)


def step_of(kind: type[RetrieverStep], dropout: float = 0.0) -> RetrieverStep:
    encoder = start_encoder(EncoderSettings(fresh=FRESH), lambda: QUERIES + PASSAGES, 0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=random))
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    loss = InfoNCE(LossSettings(temperature=0.3, learned_temperature=True, symmetric=True))
    return kind(encoder, loss, tokens_per_forward=24, autocast=False).double().train()


def batch(step: RetrieverStep, rows: slice) -> Assembled:
    tokeniser = step.encoder.tokeniser
    queries = Ragged(*tokeniser.ragged(QUERIES[rows], "query"))
    passages = Ragged(*tokeniser.ragged(PASSAGES[rows] + NEGATIVES[rows], "passage"))
    clusters = np.array(CLUSTERS[rows])
    return Assembled(0, 0, "mono", queries, passages, clusters, 100 + np.arange(len(clusters)), 0, 0)


def gradient(module: nn.Module) -> list[float]:
    return [value for weight in module.parameters() if weight.requires_grad for value in weight.grad.flatten().tolist()]


def close(mine: list[float], wanted: list[float]) -> None:
    assert np.linalg.norm(wanted) > 0.01
    np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


def test_loss_and_gradients_are_those_of_the_plain_step() -> None:
    results = []
    for kind in (RetrieverStep, CachedRetrieverStep):
        step = step_of(kind, dropout=0.2)
        step.encoder.packed = False  # a packed batch that is not cached is one chunk, and dropout is drawn for each chunk
        losses = []
        for rows in (slice(0, 4), slice(2, 6)):  # two batches of one optimiser step
            torch.manual_seed(5)
            losses.append(step.run(batch(step, rows), batches=2)["loss"])
        results.append((losses, gradient(step)))
    (wanted_losses, wanted), (losses, mine) = results
    assert losses == pytest.approx(wanted_losses, rel=1e-12)
    close(mine, wanted)
    undropped = step_of(CachedRetrieverStep)
    assert undropped.run(batch(undropped, slice(0, 4)))["loss"] != pytest.approx(losses[0], rel=1e-3), "dropout does nothing"


def test_only_one_chunk_is_held_with_a_graph() -> None:
    step, held = step_of(CachedRetrieverStep), []
    step.encoder.register_forward_hook(lambda module, inputs, output: held.append((len(output), output.requires_grad)))
    step.run(batch(step, slice(None)))
    chunks = len(held) // 2
    assert chunks > 3
    assert [graph for _, graph in held] == [False] * chunks + [True] * chunks
    assert sum(rows for rows, _ in held[:chunks]) == 18


def test_checkpointed_layers_have_the_same_gradients_and_settings_reach_the_step(encoder: Path) -> None:
    def step(**encoder_settings: object) -> RetrieverStep:
        job = TrainJob.model_validate(
            {
                "name": "run",
                "corpora": ["x"],
                "encoder": encoder_settings,
                "cached": True,
                "tokens_per_forward": 64,
            }
        )
        return load_step(job, encoder, torch.device("cpu")).double().train()

    plain, checkpointed = step(), step(gradient_checkpointing=True)
    assert isinstance(plain, CachedRetrieverStep)
    assert checkpointed.encoder.backbone.is_activation_checkpointing
    assert plain.run(batch(plain, slice(None))) == checkpointed.run(batch(checkpointed, slice(None)))
    close(gradient(checkpointed), gradient(plain))
    with pytest.raises(ValueError, match="cached is for a retriever"):
        TrainJob.model_validate({"name": "run", "corpora": ["x"], "model": "reranker", "cached": True})
