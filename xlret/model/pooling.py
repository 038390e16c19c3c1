"""From one vector a token to one vector a text. Padding may stand on either side."""

from typing import assert_never

import torch
from torch import Tensor

from xlret.tokens.card import PoolingMode


def pool(mode: PoolingMode, hidden_BTD: Tensor, attention_mask_BT: Tensor) -> Tensor:
    """The vectors of texts, [B, D].

    mean: of all tokens that are no padding; cls: the first of them; last: the last of them.

    >>> hidden = torch.tensor([[[1.0], [2.0], [9.0]], [[9.0], [3.0], [4.0]]])
    >>> mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    >>> [pool(mode, hidden, mask).flatten().tolist() for mode in ("mean", "cls", "last")]
    [[1.5, 3.5], [1.0, 3.0], [2.0, 4.0]]
    """
    match mode:
        case "mean":
            weight_BT1 = attention_mask_BT[:, :, None].to(hidden_BTD.dtype)
            return (hidden_BTD * weight_BT1).sum(1) / weight_BT1.sum(1).clamp(min=1)
        case "cls":
            position_B = attention_mask_BT.argmax(1)
        case "last":
            position_B = attention_mask_BT.shape[1] - 1 - attention_mask_BT.flip(1).argmax(1)
        case _:
            assert_never(mode)
    return hidden_BTD[torch.arange(len(hidden_BTD), device=hidden_BTD.device), position_B]
