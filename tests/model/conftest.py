"""An encoder in the layout of sentence-transformers, whole and as a copy to change."""

import shutil
from pathlib import Path

import pytest
import torch
from layouts import WORDS, save_tokenizer, tokenizer_of, write
from safetensors.torch import save_file
from transformers import BertConfig, BertModel


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder in sentence-transformers layout, with positions for 64 tokens and weights large enough to tell texts apart."""
    directory = tmp_path_factory.mktemp("layout") / "encoder"
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, initializer_range=0.5, pad_token_id=0, **size)
        BertModel(config, add_pooling_layer=False).save_pretrained(directory)
        (directory / "2_Dense").mkdir()
        save_file({"linear.weight": torch.randn(8, 16), "linear.bias": torch.randn(8)}, directory / "2_Dense/model.safetensors")
    save_tokenizer(directory, tokenizer_of(WORDS), model_max_length=512)
    modules = ["Transformer", "Pooling", "Normalize"]
    paths = ["", "1_Pooling", "2_Normalize"]
    write(
        directory / "modules.json",
        [
            {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for row, (kind, path) in enumerate(zip(modules, paths, strict=True))
        ],
    )
    write(directory / "1_Pooling/config.json", {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True})
    write(directory / "2_Dense/config.json", {"in_features": 16, "out_features": 8})
    return directory


@pytest.fixture
def theirs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "theirs"))
