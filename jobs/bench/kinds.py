"""Transformers of other kinds than BERT, of random weights and BERT's size: whether they learn, and how fast a step is."""

from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.console import Console

from jobs.bench.watched import Setting, Watched, watched
from xlret.files import remove_tree
from xlret.model.backbone import quiet
from xlret.model.encoder import Encoder

LEARNING_RATE = 5e-4
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "BERT, packed": ("bert", {"pooling": "mean"}),
    "Qwen3, packed": ("qwen3", {"pooling": "last"}),
    "BERT, padded": ("bert", {"pooling": "mean", "packed": False}),
    "T5, padded": ("t5", {"pooling": "mean"}),
}


def kinds(setting: Setting, console: Console) -> None:
    """A decoder (Qwen3, last token) and T5's encoder against BERT, of random weights and equal size, on the same batches."""
    starts = _starts(setting)
    runs: dict[str, Watched] = {}
    half = setting.steps // 2
    for number, (name, (kind, encoder)) in enumerate(KINDS.items()):
        start = {"start": str(starts[kind]), **encoder}
        cost = runs[name] = watched(setting.job(f"kind-{number}", encoder=start, optimiser={"learning_rate": LEARNING_RATE}))
        bert = runs[f"BERT, {name.rpartition(' ')[2]}"]
        weights = sum(weight.numel() for weight in Encoder.load(starts[kind]).parameters())
        console.print(
            f"{name}: {weights / 1e6:.1f} million weights, {setting.pairs / cost.seconds:.2f} pairs a second of the processor "
            f"({bert.seconds / cost.seconds:.2f} times BERT), memory {cost.memory_mb:,.0f} MB; mean losses of the first "
            f"and the last half of {setting.steps} steps: {fmean(cost.losses[:half]):.3f} {fmean(cost.losses[half:]):.3f}"
        )


def _starts(setting: Setting) -> dict[str, Path]:
    """Transformers of random weights with the sizes and the tokenizer of an encoder.

    Qwen3's and T5's feed-forward layers have three maps where BERT's have two: theirs are as much narrower.
    """
    from transformers import (
        AutoTokenizer,
        BertConfig,
        BertModel,
        MT5Config,
        MT5EncoderModel,
        PreTrainedModel,
        Qwen3Config,
        Qwen3Model,
    )

    size: Any = Encoder.load(setting.encoder).backbone.config
    hidden, layers, heads, between = (
        size.hidden_size,
        size.num_hidden_layers,
        size.num_attention_heads,
        size.intermediate_size,
    )
    shape = {"vocab_size": size.vocab_size, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    narrow = between * 2 // 3
    torch.manual_seed(0)
    models: dict[str, PreTrainedModel] = {
        "bert": BertModel(BertConfig(**shape, intermediate_size=between), add_pooling_layer=False),
        "qwen3": Qwen3Model(
            Qwen3Config(**shape, intermediate_size=narrow, num_key_value_heads=heads, head_dim=hidden // heads)
        ),
        "t5": MT5EncoderModel(
            MT5Config(
                vocab_size=size.vocab_size,
                d_model=hidden,
                d_kv=hidden // heads,
                d_ff=narrow,
                num_layers=layers,
                num_heads=heads,
            )
        ),
    }
    tokenizer = AutoTokenizer.from_pretrained(setting.encoder)
    starts = {}
    for kind, model in models.items():
        starts[kind] = setting.directory / "starts" / kind
        if starts[kind].exists():
            remove_tree(starts[kind])
        with quiet():
            model.save_pretrained(starts[kind])
        tokenizer.save_pretrained(starts[kind])
    return starts
