import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.modules import Pooling

from xlret.model.pooling import pool

MODES = {"mean": "mean", "cls": "cls", "last": "lasttoken"}


@pytest.mark.parametrize("mode", MODES)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), left=st.booleans(), seed=st.integers(0, 9))
def test_equals_sentence_transformers_and_ignores_padding(mode: str, lengths: list[int], left: bool, seed: int) -> None:
    width = max(lengths) + 1
    places = torch.arange(width)
    length = torch.tensor(lengths)[:, None]
    mask = (places >= width - length) if left else (places < length)
    hidden = torch.randn(len(lengths), width, 3, generator=torch.Generator().manual_seed(seed))
    found = pool(mode, hidden, mask.long())
    theirs = Pooling(3, pooling_mode=MODES[mode])({"token_embeddings": hidden, "attention_mask": mask.long()})
    torch.testing.assert_close(found, theirs["sentence_embedding"], atol=1e-6, rtol=1e-6)
    noisy = torch.where(mask[:, :, None], hidden, 1e3)
    torch.testing.assert_close(pool(mode, noisy, mask.long()), found, atol=0, rtol=0)
