from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from xlret.errors import UserError
from xlret.model.layers import keep_lowest_layers

SMALL = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
IDS_BT = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])


def backbones() -> list[torch.nn.Module]:
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    return [
        BertModel(BertConfig(**SMALL)),
        ModernBertModel(ModernBertConfig(**SMALL, **tokens)),
        Qwen3Model(Qwen3Config(**SMALL, num_key_value_heads=1, head_dim=8)),
        T5EncoderModel(T5Config(vocab_size=60, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2)),
    ]


@pytest.mark.parametrize("backbone", backbones(), ids=lambda backbone: type(backbone).__name__)
def test_what_is_left_is_the_lowest_layers_and_is_saved_so(backbone: torch.nn.Module, tmp_path: Path) -> None:
    backbone.eval()
    layers: list[torch.nn.Module] = next(
        list(module) for module in backbone.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == 3
    )
    after_second: list[torch.Tensor] = []
    handle = layers[1].register_forward_hook(lambda _, __, out: after_second.append(out[0] if isinstance(out, tuple) else out))
    backbone(input_ids=IDS_BT)
    handle.remove()
    into_norm: list[torch.Tensor] = []
    keep_lowest_layers(backbone, 2)
    kept = layers[1].register_forward_hook(lambda _, __, out: into_norm.append(out[0] if isinstance(out, tuple) else out))
    whole_BTD = backbone(input_ids=IDS_BT).last_hidden_state
    kept.remove()
    torch.testing.assert_close(into_norm[0], after_second[0], rtol=0, atol=0)

    backbone.save_pretrained(tmp_path)
    again, report = type(backbone).from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(again.eval()(input_ids=IDS_BT).last_hidden_state, whole_BTD)


def test_more_layers_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match=r"encoder\.layers is 4, and the start has 3 layers; allowed are 1 to 3"):
        keep_lowest_layers(BertModel(BertConfig(**SMALL)), 4)
