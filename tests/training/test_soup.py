"""Model soups: exactly the mean of the weights, greedily chosen by dev, and what cannot be averaged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from xlret.commands.app import main
from xlret.data.corpus import ParallelCorpus, Row, write_corpus
from xlret.errors import UserError
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.settings import EncoderSettings, FreshEncoder
from xlret.training.run import train
from xlret.training.settings import DevSettings, TrainJob
from xlret.training.soup import make_soup


def changed(encoder: Path, directory: Path, seed: int, size: float) -> Path:
    """A copy of an encoder whose weights are moved at random."""
    model = Encoder.load(encoder)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(size * torch.randn(weight.shape, generator=random))
    model.save(directory / f"model-{seed}")
    return directory / f"model-{seed}"


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def test_a_soup_is_the_mean_of_the_weights(tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [changed(encoder, tmp_path, seed, 0.1) for seed in (1, 2, 3)]
    made = make_soup(tmp_path / "soup", models, say=lambda line: None)
    assert made.taken == [str(model) for model in models]
    states = [weights(model) for model in models]
    for name, tensor in weights(tmp_path / "soup").items():
        expected = torch.stack([state[name].double() for state in states]).mean(dim=0)
        torch.testing.assert_close(tensor.double(), expected, atol=1e-7, rtol=0)
    told = ["--shares", "3", "--shares", "1", "--start", str(encoder), "--start-share", "0.5"]
    assert main(["soup", str(tmp_path / "mixed"), *map(str, models[:2]), *told]) == 0
    assert "a soup of 2 in" in capsys.readouterr().out
    start = weights(encoder)
    for name, tensor in weights(tmp_path / "mixed").items():
        torch.testing.assert_close(tensor, 0.375 * states[0][name] + 0.125 * states[1][name] + 0.5 * start[name])


def test_greedy_takes_what_does_not_harm_the_dev_metric(tmp_path: Path, encoder: Path, corpora: Path) -> None:
    """Two good models and one of noise: the noise is left out, whatever the order in which they are named."""
    good = [changed(encoder, tmp_path, seed, 0.001) for seed in (1, 2)]
    noise = changed(encoder, tmp_path, 3, 5.0)
    lines: list[str] = []
    dev = DevSettings(corpora=(corpora / "dev",), metric="mul", groups=20)
    made = make_soup(tmp_path / "soup", [noise, *good], dev=dev, say=lines.append)
    assert str(noise) not in made.taken
    assert made.metric is not None
    alone = [float(line.split("mul ")[1].split()[0]) for line in lines]
    assert alone == sorted(alone, reverse=True), "from the best on"
    assert made.metric >= max(alone) - 1e-4
    assert any("left out" in line for line in lines)


def test_a_run_stands_for_its_checkpoints(tmp_path: Path, encoder: Path, corpora: Path) -> None:
    values = {
        "name": "run",
        "storage": tmp_path,
        "corpora": [corpora / "train"],
        "steps": 4,
        "checkpoint_every": 2,
        "plan": {"batch_size": 8},
        "encoder": {"start": str(encoder)},
        "loss": {"learned_temperature": True},
        "ray": {"workers": 0},
    }
    result = train(TrainJob.model_validate(values), show=None)
    make_soup(tmp_path / "soup", [result.run_directory], say=lambda line: None)
    kept = [load_file(path / "module.safetensors") for path in sorted((result.run_directory / "checkpoints").iterdir())]
    assert len(kept) == 2
    name = next(name for name in kept[0] if name.startswith("encoder.") and kept[0][name].ndim == 2)
    ours = Encoder.load(tmp_path / "soup").state_dict()[name.removeprefix("encoder.")]
    torch.testing.assert_close(ours, (kept[0][name] + kept[1][name]) / 2)
    assert not torch.equal(kept[0][name], kept[1][name])


def test_what_cannot_be_averaged_is_refused(tmp_path: Path, encoder: Path, corpora: Path) -> None:
    corpus = ParallelCorpus.open(corpora / "train")
    texts = [text for lang in corpus.languages for text in corpus.passages(lang, np.arange(corpus.n_groups))]
    wide = FreshEncoder(vocabulary=300, layers=1, hidden=48, heads=2, feed_forward=64)
    settings = EncoderSettings(fresh=wide, max_query_tokens=16, max_passage_tokens=24)
    start_encoder(settings, lambda: texts, 0).save(tmp_path / "wide")
    Encoder.load(encoder, query_prompt="ask: ").save(tmp_path / "asking")
    with pytest.raises(UserError, match="wide is of another architecture than"):
        make_soup(tmp_path / "soup", [encoder, tmp_path / "wide"])
    other = shutil.copytree(encoder, tmp_path / "other")
    backend = json.loads((other / "tokenizer.json").read_text())
    backend["normalizer"] = {"type": "Lowercase"}
    (other / "tokenizer.json").write_text(json.dumps(backend))
    with pytest.raises(UserError, match="other has another tokenizer than"):
        make_soup(tmp_path / "soup", [encoder, other])
    with pytest.raises(UserError, match="other has another tokenizer than"):
        make_soup(tmp_path / "soup", [encoder, encoder], start=other, start_share=0.5)
    english = (Row(f"g{group}", "en", f"ba {group}", None, f"be {group}") for group in range(4))
    write_corpus(tmp_path / "dev", english, source="made up", licence="none", revision="1", made_by="tests")
    with pytest.raises(UserError, match="cr has no queries to stand on"):
        make_soup(tmp_path / "soup", [encoder, encoder], dev=DevSettings(corpora=(tmp_path / "dev",), metric="cr"))
    for share in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="2 shares for 2 models; give each one, 0 or more"):
            make_soup(tmp_path / "soup", [encoder, encoder], shares=[1, share])
    with pytest.raises(UserError, match="query_prompt is 'ask: ' there"):
        make_soup(tmp_path / "soup", [encoder, tmp_path / "asking"])
    with pytest.raises(UserError, match="two models or more"):
        make_soup(tmp_path / "soup", [encoder])
    with pytest.raises(UserError, match="3 shares for 2 models"):
        make_soup(tmp_path / "soup", [encoder, encoder], shares=[1, 1, 1])
    with pytest.raises(UserError, match="give a directory and a share"):
        make_soup(tmp_path / "soup", [encoder, encoder], start=encoder)
    with pytest.raises(UserError, match="exists already"):
        make_soup(tmp_path / "asking", [encoder, encoder])
    with pytest.raises(UserError, match="there is no"):
        make_soup(tmp_path / "soup", [encoder, tmp_path / "nowhere"])
