"""Low-rank adapters (LoRA, through `peft`): a large transformer stays as it is, and small matrices beside it are trained."""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from xlret.errors import UserError
from xlret.keys import key_of
from xlret.model.layers import stack_of_layers
from xlret.model.settings import LoraSettings

ADAPTER = "adapter"
"""Directory of a saved encoder that holds its adapters by themselves, where they are kept."""
_PART = "lora_"  # of the names of adapters' weights in `peft`


def add_adapters(backbone: nn.Module, settings: LoraSettings, seed: int) -> None:
    """Puts adapters beside all linear layers of a transformer's blocks (or those named) and freezes all other weights.

    They begin as nothing: vectors are what they were. Weights that are frozen go to bfloat16 with `settings.half`, those of the
    blocks' linear layers to 4 bits with `settings.four_bit`, which changes vectors a little; adapters stay float32. Sources: Hu
    et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022; Dettmers et al., "QLoRA: Efficient Finetuning of
    Quantized LLMs", 2023.

    Args:
        backbone: a transformer of the `transformers` library; changed in place.
        settings: how many and how large.
        seed: of the adapters' first weights.

    Raises:
        UserError: `peft` or what 4 bits need is not installed, or none of the layers named is there.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UserError("encoder.lora needs peft: pip install 'xlret[lora]'") from error
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.layers) or "all-linear",
        exclude_modules=r".*pooler.*" if getattr(backbone, "pooler", None) is not None else None,
    )
    with torch.random.fork_rng(devices=[]):
        if settings.four_bit:
            _to_four_bits(backbone)
        torch.default_generator.manual_seed(key_of(seed, "lora") % 2**63)
        try:
            backbone.add_adapter(config)  # type: ignore[operator]
        except ValueError as error:
            raise UserError(
                f"encoder.lora.layers {list(settings.layers)}: {backbone.config.model_type} has no such linear layers; "  # type: ignore[union-attr]
                "leave them out to take all"
            ) from error
    for name, weight in backbone.named_parameters():
        if _PART not in name and settings.half and weight.is_floating_point():
            weight.data = weight.data.bfloat16()


def _to_four_bits(backbone: nn.Module) -> None:
    """Puts linear layers of 4-bit numbers (NF4) in place of all that a transformer's blocks have."""
    try:
        from bitsandbytes.nn import Linear4bit
    except ImportError as error:
        raise UserError("encoder.lora.four_bit needs bitsandbytes: pip install 'xlret[bits]'") from error
    for parent in list(stack_of_layers(backbone, "encoder.lora.four_bit")[2].modules()):
        for name, linear in list(parent.named_children()):
            if type(linear) is nn.Linear:
                small = Linear4bit(linear.in_features, linear.out_features, bias=linear.bias is not None, quant_type="nf4")
                small.load_state_dict(linear.state_dict())
                setattr(parent, name, small.to(linear.weight.device))
    backbone.is_loaded_in_4bit = True  # type: ignore[assignment]  # by which `peft` knows them


def has_adapters(module: nn.Module) -> bool:
    """Whether there are adapters anywhere in a module."""
    return any(_PART in name for name, _ in module.named_parameters())


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """What a run changes of a module's state: all of it, or where there are adapters only weights that are trained.

    A weight that a module has under two names (T5's vocabulary) is there under the first.
    """
    first = {name for name, _ in module.named_parameters()}
    again = {name for name, _ in module.named_parameters(remove_duplicate=False)} - first
    state: dict[str, Tensor] = {name: tensor for name, tensor in module.state_dict().items() if name not in again}
    if not has_adapters(module):
        return state
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
    return {name: tensor for name, tensor in state.items() if name in trained}


def save_merged(backbone: nn.Module, directory: Path, *, keep: bool) -> None:
    """Writes the transformer with its adapters added to its weights, as one without adapters; it stays as it is in memory.

    Args:
        backbone: with adapters.
        directory: to write to.
        keep: whether to write the adapters by themselves too, in `peft`'s form, into `adapter/`.
    """
    with torch.device("meta"):
        plain: Any = type(backbone)(backbone.config)
    plain.save_pretrained(directory, state_dict=_merged_state(backbone))
    if keep:
        cast(Any, backbone).save_pretrained(directory / ADAPTER)


def _merged_state(backbone: nn.Module) -> dict[str, Tensor]:
    changes = {
        f"{name}.base_layer.weight": cast(Any, module).get_delta_weight("default")
        for name, module in backbone.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    stored = backbone.state_dict()
    whole = _from_four_bits(backbone)
    state = {}
    for name, tensor in stored.items():
        if _PART not in name and name.rpartition(".weight.")[0] + ".weight" not in whole:
            weight = whole.get(name, tensor).float()
            merged = weight + changes[name].float() if name in changes else weight
            state[name.replace(".base_layer.", ".")] = merged.detach().cpu().contiguous()
    return state


def _from_four_bits(backbone: nn.Module) -> dict[str, Tensor]:
    """The weights that are kept in 4 bits, by name, as the numbers that they stand for."""
    if not any(getattr(module, "is_loaded_in_4bit", False) for module in backbone.modules()):  # a classifier's backbone too
        return {}
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    return {
        f"{name}.weight": dequantize_4bit(cast(Any, module).weight.data, cast(Any, module).weight.quant_state)
        for name, module in backbone.named_modules()
        if isinstance(module, Linear4bit)
    }
