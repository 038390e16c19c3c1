"""Texts in one row without padding: vectors and gradients are those of a padded pass of transformers' own attention."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layouts import TEXTS
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    CamembertConfig,
    CamembertModel,
    DistilBertConfig,
    DistilBertModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    Qwen3Config,
    Qwen3Model,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from xlret.errors import UserError
from xlret.model.encoder import Encoder
from xlret.model.packed import PACKABLE, check_packable, packed_hidden

SIZE: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
    "initializer_range": 0.3,
}
UNDROPPED = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MARKS = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
DECODER = {"num_key_value_heads": 2, "head_dim": 4}
WINDOW = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
KINDS: dict[str, Callable[[], PreTrainedModel]] = {
    "bert": lambda: BertModel(BertConfig(**SIZE, **UNDROPPED)),
    "camembert": lambda: CamembertModel(CamembertConfig(**SIZE, **UNDROPPED)),
    "roberta": lambda: RobertaModel(RobertaConfig(**SIZE, **UNDROPPED)),
    "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZE, **UNDROPPED)),
    "modernbert": lambda: ModernBertModel(ModernBertConfig(**SIZE, **MARKS, local_attention=8)),
    "qwen3": lambda: Qwen3Model(Qwen3Config(**SIZE, **DECODER)),
    "qwen3 that looks back a little": lambda: Qwen3Model(Qwen3Config(**SIZE, **DECODER, **WINDOW, use_sliding_window=True)),
    "gemma3_text": lambda: Gemma3TextModel(Gemma3TextConfig(**SIZE, **DECODER, **WINDOW, use_bidirectional_attention=True)),
}
LENGTHS = torch.tensor([9, 20, 9, 9, 2, 1])


def batch() -> tuple[Tensor, Tensor]:
    """Texts of several lengths, not in order, one with the padding's token in it."""
    random = torch.Generator().manual_seed(0)
    mask = (torch.arange(20) < LENGTHS[:, None]).long()
    ids = torch.where(mask.bool(), torch.randint(4, 50, mask.shape, generator=random), 1)
    ids[1, 3] = 1
    return ids, mask


def outcome(model: PreTrainedModel, hidden: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Token vectors without padding, and all gradients, of a loss that weighs every number of them differently."""
    ids, mask = batch()
    hidden_BTH = hidden(ids, mask) * mask[:, :, None]
    random = torch.Generator().manual_seed(1)
    weight = torch.randn(hidden_BTH.shape, generator=random, dtype=hidden_BTH.dtype)
    model.zero_grad()
    (hidden_BTH * weight).sum().backward()
    gradients = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    return hidden_BTH.detach(), torch.cat(gradients)


@pytest.mark.parametrize("checkpointed", [False, True], ids=["held", "checkpointed"])
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_and_gradients_are_those_of_a_padded_pass(kind: str, checkpointed: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = KINDS[kind]().train()
    if checkpointed:
        model.activation_checkpointing_enable()

    def padded(ids: Tensor, mask: Tensor) -> Tensor:
        return model(input_ids=ids, attention_mask=mask).last_hidden_state

    exact = 1e-6 if kind == "gemma3_text" else 1e-10  # its norms are computed in float32 whatever goes in
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, exact)):
        model.to(dtype)
        wanted = outcome(model, padded)
        packed = outcome(model, lambda ids, mask: packed_hidden(model, ids, mask))
        for mine, theirs in zip(packed, wanted, strict=True):
            assert theirs.abs().max() > 0.1
            torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance * float(theirs.abs().max()))
        for mine, theirs in zip(outcome(model, padded), wanted, strict=True):
            assert torch.equal(mine, theirs), "a padded pass is changed by the packed one before it"
        model.set_attn_implementation("sdpa")


def test_all_kinds_that_are_packed_are_tested() -> None:
    assert {kind.split()[0] for kind in KINDS} == set(PACKABLE)


def test_an_encoder_packs_by_itself_and_as_it_is_told(made: Path) -> None:
    encoders = {packed: Encoder.load(made, packed=packed) for packed in ("auto", True, False)}
    rows: dict[Any, list[int]] = {}
    vectors = {}
    for packed, encoder in encoders.items():
        seen = rows[packed] = []
        encoder.backbone.embeddings.register_forward_hook(lambda module, _, output, seen=seen: seen.append(len(output)))
        vectors[packed] = encoder.encode(TEXTS, "query")
        np.testing.assert_allclose(vectors[packed], vectors["auto"], rtol=0, atol=1e-6)
    assert rows == {"auto": [1], True: [1], False: [len(TEXTS)]}


def test_another_kind_is_refused_where_packing_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"a distilbert is not packed; bert, .*set it to auto or false"):
        check_packable(DistilBertModel(DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=24)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_for_all_lengths_gives_the_same_in_half_precision(kind: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = KINDS[kind]().cuda()
    ids, mask = (tensor.cuda() for tensor in batch())
    with torch.autocast("cuda", torch.bfloat16):
        padded = model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[:, :, None]
        packed = packed_hidden(model, ids, mask)
    torch.testing.assert_close(packed.float(), padded.float(), rtol=0, atol=0.05 * float(padded.abs().max()))
