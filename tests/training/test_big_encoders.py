"""Decoders and their kin of random weights: trained with adapters, checkpointed, merged, as sentence-transformers has them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from layouts import WORDS, equal, save_tokenizer, tokenizer_of
from peft import PeftModel
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from torch import nn
from transformers import (
    AutoModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    ModernBertConfig,
    ModernBertModel,
    MT5Config,
    MT5Model,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from xlret.errors import UserError
from xlret.model.encoder import Encoder
from xlret.model.export.make import export_encoder
from xlret.model.reranker import Reranker
from xlret.training.checkpoint import newest_checkpoint
from xlret.training.kinds import load_step
from xlret.training.run import train
from xlret.training.settings import TrainJob
from xlret.training.steps.reranker import RerankerStep

SIZE: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
    "initializer_range": 0.5,
}
DECODER = {"num_key_value_heads": 1, "head_dim": 8}
SLIDING = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"], "use_bidirectional_attention": True}
MARKS = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
KINDS = {
    "Qwen3-Embedding": (lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE, **DECODER)), "lasttoken"),
    "EmbeddingGemma": (lambda: Gemma3TextModel(Gemma3TextConfig(**SIZE, **DECODER, **SLIDING)), "mean"),
    "mmBERT": (lambda: ModernBertModel(ModernBertConfig(**SIZE, **MARKS, local_attention=8)), "mean"),
    "XLM-R": (lambda: XLMRobertaModel(XLMRobertaConfig(**SIZE)), "cls"),
    "mT5": (
        lambda: MT5Model(MT5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)),
        "mean",
    ),
}


def saved(kind: str, directory: Path) -> Path:
    """A sentence-transformers directory of a small random model of a kind, with instructions before queries."""
    make, pooling = KINDS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PreTrainedModel = make()
        model.save_pretrained(directory / "transformer")
    save_tokenizer(directory / "transformer", tokenizer_of(WORDS), model_max_length=64)
    modules = [Transformer(str(directory / "transformer")), Pooling(16, pooling_mode=pooling), Normalize()]
    if kind == "EmbeddingGemma":
        with torch.random.fork_rng():
            torch.manual_seed(1)
            modules[2:2] = [Dense(16, 40, activation_function=nn.Identity()), Dense(40, 16, bias=False)]
    SentenceTransformer(modules=modules, device="cpu", prompts={"query": "find: ", "document": ""}).save(str(directory / kind))
    return directory / kind


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_sentence_transformers_before_and_after_saving(kind: str, tmp_path: Path) -> None:
    encoder = equal(saved(kind, tmp_path), ("query", "document"))
    assert encoder.card.pooling == {"lasttoken": "last"}.get(KINDS[kind][1], KINDS[kind][1])
    encoder.save(tmp_path / "again")
    again = equal(tmp_path / "again", ("query", "document"))
    assert again.encode(["rome"], "query").tobytes() == encoder.encode(["rome"], "query").tobytes()


def job(storage: Path, start: Path, corpora: Path, lora: dict[str, object], **changes: Any) -> TrainJob:
    values = {
        "name": "adapted",
        "storage": storage,
        "corpora": [corpora / "train"],
        "steps": 4,
        "log_every": 2,
        "checkpoint_every": 2,
        "plan": {"batch_size": 8},
        "encoder": {"start": str(start), "lora": {"rank": 2, **lora}},
        "optimiser": {"learning_rate": 0.05},
        "ray": {"workers": 0},
    }
    return TrainJob.model_validate(values | changes)


class Stop:
    """Ends a run after its second step's checkpoint."""

    def on_report(self, step: int, metrics: object) -> None:
        pass

    def on_checkpoint(self, step: int, directory: Path) -> None:
        if step == 2:
            raise KeyboardInterrupt


def test_adapters_are_trained_resumed_and_merged(tmp_path: Path, corpora: Path) -> None:
    start = saved("Qwen3-Embedding", tmp_path)
    lora: dict[str, object] = {"keep": True, "dropout": 0.1}
    whole = train(job(tmp_path / "whole", start, corpora, lora), show=None)
    with pytest.raises(KeyboardInterrupt):
        train(job(tmp_path / "stopped", start, corpora, lora), show=None, callbacks=[Stop()])
    assert train(job(tmp_path / "stopped", start, corpora, lora), show=None).weights_sha256 == whole.weights_sha256

    checkpoint = newest_checkpoint(whole.run_directory)
    assert checkpoint is not None
    kept = load_file(checkpoint / "module.safetensors")
    assert kept
    assert all("lora_" in name for name in kept)
    before, after = (load_file(directory / "model.safetensors") for directory in (whole.run_directory / "start", whole.model))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj.weight" in name}

    merged = equal(whole.model, ("query", "document"))
    texts = ["rome is a city", "paris"]
    base = AutoModel.from_pretrained(whole.run_directory / "start")
    encoder = Encoder.load(whole.run_directory / "start")
    encoder.backbone = PeftModel.from_pretrained(base, str(whole.model / "adapter")).eval()
    np.testing.assert_allclose(encoder.encode(texts, "query"), merged.encode(texts, "query"), atol=1e-5)
    assert json.loads((whole.model / "adapter/adapter_config.json").read_text())["r"] == 2


@pytest.mark.parametrize("rank", [0, 2])
def test_t5_whose_vocabulary_has_two_names_is_trained_and_resumed(rank: int, tmp_path: Path, corpora: Path) -> None:
    start = saved("mT5", tmp_path)
    whole = train(job(tmp_path / "whole", start, corpora, {"rank": rank}), show=None)
    with pytest.raises(KeyboardInterrupt):
        train(job(tmp_path / "stopped", start, corpora, {"rank": rank}), show=None, callbacks=[Stop()])
    assert train(job(tmp_path / "stopped", start, corpora, {"rank": rank}), show=None).weights_sha256 == whole.weights_sha256
    before, after = (Encoder.load(directory) for directory in (whole.run_directory / "start", whole.model))
    assert np.abs(before.encode(["rome"], "query") - after.encode(["rome"], "query")).max() > 1e-3
    equal(whole.model, ("query", "document"))


def test_frozen_weights_may_be_halves(tmp_path: Path, corpora: Path) -> None:
    start = saved("mmBERT", tmp_path)
    halves = job(tmp_path, start, corpora, {"half": True, "layers": ["Wqkv"]}, precision="bfloat16", steps=2)
    trained = train(halves, show=None)
    before, after = (
        load_file(directory / "model.safetensors") for directory in (trained.run_directory / "start", trained.model)
    )
    for name, weight in before.items():
        if "Wqkv" in name:
            assert not torch.equal(after[name], weight)
        else:
            assert torch.equal(after[name], weight.bfloat16().float())
    with pytest.raises(UserError, match=r"encoder\.lora\.layers \['nothing'\]"):
        train(job(tmp_path / "none", start, corpora, {"layers": ["nothing"]}), show=None)


def test_adapters_of_a_reranker_are_trained_beside_its_head_and_merged(tmp_path: Path, corpora: Path, encoder: Path) -> None:
    trained = train(job(tmp_path, encoder, corpora, {}, model="reranker", steps=2), show=None)
    checkpoint = newest_checkpoint(trained.run_directory)
    assert checkpoint is not None
    kept = {name.removeprefix("reranker.classifier.") for name in load_file(checkpoint / "module.safetensors")}
    before, after = (
        load_file(directory / "model.safetensors") for directory in (trained.run_directory / "start", trained.model)
    )
    head = {name for name in before if "pooler" in name or name.startswith("classifier")}
    assert head == {name for name in kept if "lora_" not in name}
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == head | {name for name in before if "encoder.layer" in name and "dense.weight" in name} | {
        name for name in before if name.endswith(("query.weight", "key.weight", "value.weight"))
    }
    pairs = [("ba", "bo bi"), ("be bu", "ba")]
    recipe = job(tmp_path, encoder, corpora, {}, model="reranker")
    step = load_step(recipe, trained.run_directory / "start", torch.device("cpu"))
    assert isinstance(step, RerankerStep)
    assert not step.load_state_dict(load_file(checkpoint / "module.safetensors"), strict=False).unexpected_keys
    np.testing.assert_allclose(step.reranker.score(pairs), Reranker.load(trained.model).score(pairs), atol=1e-5)
    with pytest.raises(UserError, match="is a reranker; encoders alone are exported"):
        export_encoder(trained.model, tmp_path / "exported", "onnx", {"query": ["ba"]}, made_from={})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoder": {"lora": {"rank": 2}}}, "a fresh encoder has nothing to keep"),
        ({"encoder": {"start": "./x", "lora": {"alpha": 3}}}, "change nothing without lora.rank"),
        ({"encoder": {"start": "./x", "lora": {"rank": 2, "half": True}}}, "needs precision bfloat16"),
        ({"encoder": {"start": "./x", "lora": {"rank": 2, "keep": True}}, "model": "reranker"}, "lack a reranker's head"),
    ],
)
def test_settings_of_adapters_that_make_no_sense(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TrainJob.model_validate({"name": "run", "corpora": ["x"], **changes})
