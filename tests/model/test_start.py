import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id
from safetensors.torch import load_file, save_file
from transformers import (
    BartConfig,
    BartModel,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from xlret.errors import UserError
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings
from xlret.tokens.unigram import train_unigram

SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}


def start(directory: Path | str, **settings: object) -> Encoder:
    return start_encoder(EncoderSettings(start=str(directory), **settings), None, 0)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An encoder as transformers saves it, in float16."""
    directory = tmp_path / "plain"
    tokenizer = train_unigram(["a few words to learn from"] * 3, 200)
    named = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=40, **named).save_pretrained(directory)
    BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **SIZE)).half().save_pretrained(directory)
    return directory


def write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def as_sentence_transformers(directory: Path, pooling: dict[str, object], *modules: str) -> None:
    kinds = modules or ("Transformer", "Pooling")
    places = [("" if kind == "Transformer" else f"{place}_{kind}") for place, kind in enumerate(kinds)]
    named = [
        {"idx": i, "name": str(i), "path": p, "type": f"sentence_transformers.models.{k}"}
        for i, (k, p) in enumerate(zip(kinds, places, strict=True))
    ]
    write(directory / "modules.json", named)
    write(directory / "1_Pooling" / "config.json", pooling)


def test_a_plain_directory(plain: Path) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    encoder = start(plain, max_passage_tokens=300)
    assert torch.equal(torch.get_rng_state(), state)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    card = encoder.card
    assert (card.pooling, card.query_prompt, card.passage_prompt, card.max_passage_tokens) == ("mean", "", "", 40)
    stored = load_file(plain / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(encoder.backbone.embeddings.word_embeddings.weight, stored.float())
    assert encoder.encode(["a few words"], "query").shape == (1, 16)


@pytest.mark.parametrize(
    ("pooling", "mode"),
    [
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True, "include_prompt": True}, "mean"),
    ],
)
def test_pooling_and_prompts_of_the_directory(plain: Path, pooling: dict[str, object], mode: str) -> None:
    as_sentence_transformers(plain, pooling)
    write(plain / "config_sentence_transformers.json", {"prompts": {"query": "ask: ", "document": "tell: "}})
    card = start(plain).card
    assert (card.pooling, card.query_prompt, card.passage_prompt) == (mode, "ask: ", "tell: ")
    card = start(plain, pooling="mean", query_prompt="", passage_prompt="p: ").card
    assert (card.pooling, card.query_prompt, card.passage_prompt) == ("mean", "", "p: ")


def test_loading_takes_overrides_in_place_of_what_the_files_say(plain: Path) -> None:
    """One way in for what xlret, sentence-transformers and transformers saved."""
    as_sentence_transformers(plain, {"pooling_mode": "cls"})
    write(plain / "config_sentence_transformers.json", {"prompts": {"query": "ask: "}})
    own = Encoder.load(plain)
    assert (own.card.pooling, own.card.query_prompt, own.card.max_query_tokens, own.card.dimensions) == ("cls", "ask: ", 40, ())
    loaded = Encoder.load(str(plain), max_query_tokens=8, max_passage_tokens=900, query_prompt="", dimensions=[4])
    card = loaded.card
    assert (card.max_query_tokens, card.max_passage_tokens, card.query_prompt, card.dimensions) == (8, 40, "", (4,))
    loaded.save(plain.with_name("saved"))
    assert Encoder.load(plain.with_name("saved")).card == card
    again = Encoder.load(plain.with_name("saved"), pooling="mean", max_query_tokens=20, dimensions=())
    assert (again.card.pooling, again.card.max_query_tokens, again.card.dimensions) == ("mean", 20, ())
    assert start(plain.with_name("saved"), max_query_tokens=6).card.model_copy(update={"dimensions": (4,)}) == card.model_copy(
        update={"max_query_tokens": 6}
    )


def test_overrides_that_are_not_possible(plain: Path) -> None:
    with pytest.raises(UserError, match="max_query_tokens is 2"):
        Encoder.load(plain, max_query_tokens=2)
    with pytest.raises(UserError, match="prompt: unknown key"):
        Encoder.load(plain, prompt="ask: ")  # type: ignore[call-arg]
    with pytest.raises(UserError, match="no model at 'fresh'"):
        Encoder.load("fresh")


def test_lower_casing_of_the_directory(plain: Path) -> None:
    tokenizer = json.loads((plain / "tokenizer.json").read_text())
    write(plain / "tokenizer.json", {**tokenizer, "normalizer": None})
    before = start(plain)
    as_sentence_transformers(plain, {"pooling_mode": "mean"})
    write(plain / "sentence_bert_config.json", {"do_lower_case": True, "max_seq_length": 20})
    after = start(plain)
    ids = [one.tokeniser.ragged(["WORDS"], "query")[0].tolist() for one in (before, after)]
    assert ids[0] != ids[1] == before.tokeniser.ragged(["words"], "query")[0].tolist()


def test_positions_of_the_roberta_family(plain: Path) -> None:
    """Its table of positions has two rows that no token uses; a text of full length must not run over its end."""
    size = {**SIZE, "max_position_embeddings": 42}
    XLMRobertaModel(XLMRobertaConfig(vocab_size=60, pad_token_id=1, **size)).save_pretrained(plain)
    tokenizer = json.loads((plain / "tokenizer_config.json").read_text())
    write(plain / "tokenizer_config.json", {**tokenizer, "model_max_length": 512})
    encoder = start(plain)
    assert encoder.card.max_passage_tokens == 40
    assert encoder.encode(["words " * 100], "passage").shape == (1, 16)


@pytest.mark.parametrize(
    ("pooling", "modules", "message"),
    [
        ({"pooling_mode_max_tokens": True}, (), "pooling pooling_mode_max_tokens is not supported"),
        ({"pooling_mode": ["cls", "mean"]}, (), "pooling cls, mean is not supported"),
        ({"pooling_mode": "mean", "include_prompt": False}, (), "mean without the prompt"),
        ({}, (), "of no kind"),
        (
            {"pooling_mode": "mean"},
            ("Transformer", "Pooling", "WordWeights"),
            r"module .*models\.WordWeights is not",
        ),
        ({"pooling_mode": "mean"}, ("Transformer", "Pooling", "Dense", "Dense", "Dense"), "a third module Dense"),
        ({"pooling_mode": "mean"}, ("Transformer", "Pooling", "Pooling"), "a second module Pooling"),
        ({"pooling_mode": "mean"}, ("Pooling", "Transformer"), "are not Transformer, Pooling"),
    ],
)
def test_layouts_that_are_refused(plain: Path, pooling: dict[str, object], modules: tuple[str, ...], message: str) -> None:
    as_sentence_transformers(plain, pooling, *modules)
    with pytest.raises(UserError, match=message):
        start(plain)


@pytest.mark.parametrize("modules", [[{"path": ""}], {"a": 1}, [1]])
def test_damaged_module_lists(plain: Path, modules: object) -> None:
    write(plain / "modules.json", modules)
    with pytest.raises(UserError, match="not of sentence-transformers' form"):
        start(plain)


def test_pickled_weights_are_refused_unopened(plain: Path) -> None:
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin but no model\.safetensors; pickled weights can run code"):
        start(plain)
    (plain / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        start(plain)


def test_damaged_directories(plain: Path) -> None:
    weights = load_file(plain / "model.safetensors")
    gone = "encoder.layer.0.output.dense.weight"
    save_file({name: one for name, one in weights.items() if name != gone}, plain / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=f"its weights lack {gone}"):
        start(plain)
    (plain / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="cannot load the encoder"):
        start(plain)
    save_file(weights, plain / "model.safetensors", {"format": "pt"})
    (plain / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="cannot load the tokenizer"):
        start(plain)
    (plain / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds no config\.json"):
        start(plain)


def test_custom_code_is_refused(plain: Path) -> None:
    config = json.loads((plain / "config.json").read_text())
    write(
        plain / "config.json", {**config, "model_type": "odd", "auto_map": {"AutoModel": "odd.Odd", "AutoConfig": "odd.Config"}}
    )
    (plain / "odd.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(UserError, match="auto_map names code of the model's own"):
        start(plain)


def test_encoder_decoders_are_refused(plain: Path) -> None:
    shutil.rmtree(plain)
    BartModel(BartConfig(vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1)).save_pretrained(plain)
    with pytest.raises(UserError, match="is an encoder-decoder"):
        start(plain)


def test_neither_directory_nor_hub_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such directory"):
        start(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no such directory\. Names on the hub are for encoder\.start .* hf download NAME"):
        Encoder.load(Path("some-one/some-encoder"))


def test_hub_names_without_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match="'some-one/some-encoder': no such directory, and the Hugging Face hub cannot be reached"
    ):
        start("some-one/some-encoder")


@pytest.mark.slow
def test_hub_names_in_an_offline_environment(tmp_path: Path) -> None:
    """HF_HUB_OFFLINE is read when the hub's client is imported: another process."""
    script = """
from xlret.model.settings import EncoderSettings
from xlret.errors import UserError
from xlret.model.encoder import start_encoder
try:
    start_encoder(EncoderSettings(start="some-one/some-encoder"), None, 0)
except UserError as error:
    print(error)
"""
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=180)
    assert "hub cannot be reached" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("name", ["some-one/unknown", "a--b"])
def test_names_that_the_hub_does_not_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, allow_patterns: list[str]) -> str:
        validate_repo_id(name)
        raise RepositoryNotFoundError("404 Client Error", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(UserError, match=f"there is no model '{name}': no such directory, and the hub has no such model"):
        start(name)


def test_hub_names_come_from_the_hub(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(plain)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert start("some-one/some-encoder").dimension == 16
    [(name, patterns)] = asked
    assert name == "some-one/some-encoder"
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in patterns)
