"""Steps in two processes, each with its share of a batch, have the loss and the gradient of one with the whole batch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_cached
import test_reranker_step
import torch
import torch.distributed as dist
from together import run_together

from xlret.training.steps.base import Step
from xlret.training.steps.cached import CachedRetrieverStep
from xlret.training.steps.retriever import RetrieverStep

FIRST = 8  # pairs, of two lists, of the first of two workers: as many for both, a wrong mean would not show


def worker(rank: int, place: str) -> None:
    """One of two training processes: rerankers of all losses, a retriever through DDP, and one with cached gradients."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/rendezvous", rank=rank, world_size=2)
    steps: list[tuple[Step, Any]] = []
    for loss in test_reranker_step.LOSSES:
        reranker = test_reranker_step.step_of(loss)
        pairs = test_reranker_step.batch(reranker.reranker, slice(FIRST) if rank == 0 else slice(FIRST, None))
        steps.append((reranker, pairs))
    for kind in (RetrieverStep, CachedRetrieverStep):
        retriever = test_cached.step_of(kind)
        steps.append((retriever, test_cached.batch(retriever, slice(3 * rank, 3 * rank + 3))))
    results = []
    for step, batch in steps:
        step.distribute()
        mean = torch.tensor(step.run(batch)["loss"], dtype=torch.float64)
        dist.all_reduce(mean)
        results.append((mean.item() / 2, test_cached.gradient(step)))
    if rank == 1:
        Path(place, "results.json").write_text(json.dumps(results))


def test_two_workers_have_the_gradient_of_one(tmp_path: Path) -> None:
    results = json.loads((run_together(worker, 2, (), tmp_path) / "results.json").read_text())
    retriever = test_cached.step_of(RetrieverStep)
    alone: list[tuple[float, Step, float]] = []
    for kind in test_reranker_step.LOSSES:
        reranker = test_reranker_step.step_of(kind)
        whole = test_reranker_step.batch(reranker.reranker, slice(None))
        alone.append((reranker.run(whole)["loss"], reranker, 1e-6))  # the mean over unequal numbers is taken in float32
    alone += [(retriever.run(test_cached.batch(retriever, slice(None)))["loss"], retriever, 1e-9)] * 2
    for (loss, mine), (wanted_loss, step, within) in zip(results, alone, strict=True):
        wanted = np.array(test_cached.gradient(step))
        assert loss == pytest.approx(wanted_loss, rel=within)
        assert np.linalg.norm(wanted) > 0.01
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=within * np.abs(wanted).max())
