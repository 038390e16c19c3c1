"""The loss over the beginnings of vectors: by hand, from a recipe to vectors that still find when cut, and refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from xlret.errors import UserError
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.losses.base import Embeddings
from xlret.model.losses.infonce import InfoNCE
from xlret.model.losses.matryoshka import Matryoshka
from xlret.model.losses.settings import LossSettings
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.training.settings import TrainJob

ROWS, FEATURES, NEGATIVES = 6, 8, 2
FRESH = FreshEncoder(vocabulary=300, layers=1, hidden=16, heads=2, feed_forward=32)


def by_hand(query: np.ndarray, passage: np.ndarray, negative: np.ndarray, temperature: float) -> float:
    """InfoNCE over cosines, one row after the other."""
    losses = []
    for row in range(ROWS):
        others = np.concatenate([passage, negative.reshape(-1, negative.shape[-1])])
        cosines = others @ query[row] / np.linalg.norm(others, axis=1) / np.linalg.norm(query[row])
        losses.append(np.log(np.exp(cosines / temperature).sum()) - cosines[row] / temperature)
    return float(np.mean(losses))


def test_it_is_the_mean_of_the_losses_of_vectors_cut_short() -> None:
    random = np.random.default_rng(0)
    query, passage = random.normal(size=(2, ROWS, FEATURES))
    negative = random.normal(size=(ROWS, NEGATIVES, FEATURES))
    loss = Matryoshka(InfoNCE(LossSettings(temperature=0.2)), (2, 5))
    clusters, others = torch.arange(ROWS), 100 + torch.arange(ROWS * NEGATIVES).reshape(ROWS, NEGATIVES)
    vectors = torch.from_numpy(query).requires_grad_()
    parts = loss.from_embeddings(Embeddings(vectors, torch.from_numpy(passage), clusters, torch.from_numpy(negative), others))
    expected = np.mean([by_hand(query[:, :d], passage[:, :d], negative[..., :d], 0.2) for d in (2, 5, FEATURES)])
    assert parts["loss"].item() == pytest.approx(expected, abs=1e-12)
    assert parts["loss_2"].item() == pytest.approx(by_hand(query[:, :2], passage[:, :2], negative[..., :2], 0.2), abs=1e-12)
    parts["loss"].backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert vectors.grad[:, :2].abs().mean() > 2 * vectors.grad[:, 5:].abs().mean()  # the beginnings are in all three


def test_a_recipe_trains_short_vectors_and_the_card_keeps_their_lengths(tmp_path: Path, corpora: Path) -> None:
    """After the same steps from the same start, the first numbers alone find better than those of plain training."""
    from xlret.commands.app import main
    from xlret.data.corpus import ParallelCorpus
    from xlret.tokens.card import read_card

    for name, dimensions in (("plain", "[]"), ("short", "[4]")):
        settings = {
            "name": name,
            "storage": tmp_path,
            "corpora": f"[{corpora / 'train'}]",
            "steps": 80,
            "log_every": 80,
            "plan.batch_size": 16,
            "encoder.fresh": "{vocabulary: 1500, layers: 1, hidden: 32, heads: 2, feed_forward: 64}",
            "encoder.dimensions": dimensions,
            "optimiser.learning_rate": 3e-3,
            "ray.workers": 0,
        }
        assert main(["train", *(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))]) == 0
    assert read_card(tmp_path / "short" / "model").dimensions == (4,)
    corpus = ParallelCorpus.open(corpora / "train")
    groups = np.arange(60)
    ranks = {}
    for name in ("plain", "short"):
        encoder = Encoder.load(tmp_path / name / "model")
        query, passage = (
            encoder.encode(fetch("en", groups), side)[:, :4]
            for fetch, side in ((corpus.queries, "query"), (corpus.passages, "passage"))
        )
        query, passage = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (query, passage))
        scores = query @ passage.T
        ranks[name] = float(np.mean((scores > np.diag(scores)[:, None]).sum(1)))
    assert ranks["short"] < 0.8 * ranks["plain"], ranks


def test_lengths_that_cannot_be(tmp_path: Path) -> None:
    for wrong in ((0, 4), (4, 4), (8, 4)):
        with pytest.raises(ValidationError, match="ascending"):
            EncoderSettings(dimensions=wrong)
    for wrong in ((16,), (4, 17)):
        with pytest.raises(UserError, match="16 numbers"):
            start_encoder(EncoderSettings(fresh=FRESH, dimensions=wrong), lambda: ["some text"], 0)
    with pytest.raises(ValidationError, match="no vectors to cut"):
        TrainJob(name="x", corpora=(tmp_path,), model="reranker", encoder=EncoderSettings(fresh=FRESH, dimensions=(4,)))
