"""`python -m jobs.bench.gpu`: what it counts, what it refuses, and the whole of it on a CPU, small."""

from pathlib import Path

import pytest
import torch

from jobs.bench.gpu import app, training_flops
from xlret.commands.frame import call
from xlret.errors import UserError
from xlret.model.encoder import Encoder


def test_operations_are_those_counted_by_hand(encoder: Path) -> None:
    """One layer of 32 with 64 between: four square maps and two others, their biases, four norms' numbers and attention."""
    layer = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 2 * 2 * 32
    norm_of_embeddings = 2 * 32
    assert training_flops(Encoder.load(encoder), 10.0) == 3 * (2 * (layer + norm_of_embeddings) + 4 * 10 * 32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, and this is what is said without one")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(UserError, match="there is no GPU; --device cpu"):
        call(app, ["--steps", "4"])


@pytest.mark.slow  # it trains with sentence-transformers too
def test_all_of_it_on_a_cpu(tmp_path: Path, corpora: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"--encoder {encoder} --corpora {corpora / 'train'} --directory {tmp_path}"
    arguments = f"--device cpu {where} --lengths 16/24 --pairs 8 --cached-pairs 16 --steps 4"
    assert call(app, arguments.split()) == 0
    printed = capsys.readouterr().out
    for said in ("padded: ", "packed: ", "of the peak", "data wait", "sentence-transformers", "cached gradients, 16 pairs"):
        assert said in printed, printed
