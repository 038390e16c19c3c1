"""Texts of different lengths through a transformer in one row, one after the other, so that no padding is computed.

All that a transformer does to a token by itself (embeddings, linear layers, norms) does not care which text the token is of;
attention does, and goes text by text here. The transformer's own code runs as it is, with a row of all tokens in place of a
batch: what is ours is an attention function that `transformers` calls in place of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from xlret.errors import UserError

PACKABLE = ("bert", "camembert", "gemma3_text", "modernbert", "qwen3", "roberta", "xlm-roberta")
"""Kinds of transformers (`model_type`) of which tests hold that packed and padded passes are equal."""
_ATTENTION = "xlret_packed"


@dataclass(frozen=True)
class Packing:
    """Where the texts of a row of tokens stand."""

    blocks: tuple[tuple[int, int], ...]
    """(texts, tokens of each), for each stretch of texts of one length, in the row's order."""
    ends_B1: Tensor
    """Where each text ends and the next begins, from 0 to the number of tokens, int32."""

    @classmethod
    def of_lengths(cls, lengths_B: Tensor) -> "Packing":
        """The packing of B texts of these lengths, in this order.

        >>> Packing.of_lengths(torch.tensor([4, 2, 2])).blocks
        ((1, 4), (2, 2))
        """
        ends_B1 = torch.nn.functional.pad(lengths_B.cumsum(0), (1, 0)).int()
        return cls(tuple((len(list(texts)), length) for length, texts in groupby(lengths_B.tolist())), ends_B1)


def is_packable(backbone: nn.Module) -> bool:
    """Whether texts can go through a transformer in one row."""
    config = getattr(backbone, "config", None)
    return getattr(config, "model_type", None) in PACKABLE and _attention_of(config) in ("sdpa", _ATTENTION)


def check_packable(backbone: nn.Module) -> None:
    """That texts can go through a transformer in one row.

    Raises:
        UserError: they cannot.
    """
    if not is_packable(backbone):
        kind = getattr(getattr(backbone, "config", None), "model_type", type(backbone).__name__)
        raise UserError(
            f"encoder.packed is true, and a {kind} is not packed; {', '.join(PACKABLE)} are: set it to auto or false"
        )


def packed_hidden(backbone: Any, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """What a transformer makes of each token, [B, T, H], with zeros for padding; equal to a padded pass up to rounding.

    Linear layers see the sum of the texts' lengths and not B * T tokens, and attention has no scores of padding: what it costs
    is what the texts cost. Texts of one length that stand together go through attention together, so sorted texts are best.
    On a GPU in half precision, without dropout in attention, one kernel (flash attention) takes texts of all lengths.

    Args:
        backbone: a transformer for which `is_packable`; its attention function is set to ours, which leaves padded passes as
            they are.
        ids_BT: token ids, padded on the right.
        mask_BT: 1 for tokens, 0 for padding.
    """
    if backbone.config._attn_implementation != _ATTENTION:
        backbone.set_attn_implementation(_ATTENTION)
    is_token_BT = mask_BT.bool()
    hidden_1TH = backbone(
        input_ids=ids_BT[is_token_BT][None],
        position_ids=_positions(backbone, ids_BT, mask_BT)[is_token_BT][None],
        packing=Packing.of_lengths(mask_BT.sum(1)),
        use_cache=False,
    ).last_hidden_state
    hidden_BTH: Tensor = hidden_1TH.new_zeros(*mask_BT.shape, hidden_1TH.shape[2])
    hidden_BTH[is_token_BT] = hidden_1TH[0]
    return hidden_BTH


def _positions(backbone: Any, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The position of each token in its text, as the transformer counts them."""
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    if padding is None:
        return (mask_BT.cumsum(1) - 1).clamp(min=0)
    counted_BT: Tensor = (ids_BT != padding).long()  # RoBERTa begins behind the padding's number and does not count its token
    positions_BT: Tensor = counted_BT.cumsum(1) * counted_BT + padding
    return positions_BT


def _attention_of(config: Any) -> str:
    return str(config._attn_implementation)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """As transformers calls it: query, key, value [B, heads, T, d] to [B, T, heads, d]; B is 1 for a packed row."""
    if packing is None:
        padded: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return padded
    causal = bool(getattr(module, "is_causal", False))
    window = options.pop("sliding_window", None)
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and not options.get("dropout"):
        return _in_one_kernel((query, key, value), packing, window, causal, options.get("scaling")), None
    sizes = [texts * length for texts, length in packing.blocks]
    parts = zip(packing.blocks, *(torch.split(tensor[0], sizes, dim=1) for tensor in (query, key, value)), strict=True)
    outputs = []
    for (texts, length), *of_block in parts:
        q, k, v = (tensor.unflatten(1, (texts, length)).transpose(0, 1) for tensor in of_block)
        mask = None if window is None or window >= length else _band(length, window, causal, query.device)
        output, _ = sdpa_attention_forward(module, q, k, v, mask, is_causal=causal and mask is None, **options)
        outputs.append(output.flatten(0, 1))
    return torch.cat(outputs)[None], None


def _in_one_kernel(
    tensors: Sequence[Tensor], packing: Packing, window: int | None, causal: bool, scale: float | None
) -> Tensor:
    """Attention over texts of all lengths by torch's variable-length kernel, [1, T, heads, d]."""
    query, key, value = (tensor[0].transpose(0, 1) for tensor in tensors)
    reach = -1 if window is None else window - 1
    longest = max(length for _, length in packing.blocks)
    output = varlen_attn(
        query,
        key,
        value,
        packing.ends_B1,
        packing.ends_B1,
        longest,
        longest,
        scale=scale,
        window_size=(reach, 0 if causal else reach),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(output, Tensor), "no second result was asked for"
    return output[None]


def _band(length: int, window: int, causal: bool, device: torch.device) -> Tensor:
    """Who may look at whom where tokens look less than `window` tokens away, [length, length]."""
    at = torch.arange(length, device=device)
    distance = at[:, None] - at[None]
    return (distance >= 0) & (distance < window) if causal else distance.abs() < window


def _mask(*arguments: Any, attention_mask: Tensor | None = None, **options: Any) -> Tensor | None:
    """The mask of a padded pass; none of a packed one, which is told by having no padding to mask."""
    return None if attention_mask is None else sdpa_mask(*arguments, attention_mask=attention_mask, **options)


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, _mask)
