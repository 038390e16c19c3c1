"""An encoder on the hub: the real `huggingface_hub` against a hub on this machine."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_hub import FakeHub, fake_hub
from huggingface_hub import ModelCard, ModelCardData, constants

from xlret.commands.app import main
from xlret.errors import CorruptError, UserError
from xlret.model.card_facts import TRAINING, TrainingData
from xlret.model.card_facts import Training as HowTrained
from xlret.model.encoder import Encoder
from xlret.search.vectors.fingerprint import encoder_files

SECRET = "hf_ThisIsNoTokenOfAnybody"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that `SECRET` may write to; large files go to it the way that needs no storage of chunks (LFS)."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with fake_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as served:
        served.token = SECRET
        yield served


@pytest.fixture
def trained(tmp_path: Path, encoder: Path) -> Path:
    """An encoder that a run made, with things beside it that are not its own."""
    directory = shutil.copytree(encoder, tmp_path / "trained")
    training = HowTrained(
        run="tiny",
        base=None,
        base_on_hub=False,
        start_weights_sha256="0" * 64,
        languages=("de", "en"),
        corpora=(TrainingData(source="made up", licence="CC0-1.0", fingerprint="f" * 64, groups=160),),
        how={"batches": "hybrid"},
        commit=None,
    )
    (directory / TRAINING).write_text(training.model_dump_json())
    (directory / "optimizer.pt").write_bytes(b"pickled")
    (directory / ".env").write_text(f"HF_TOKEN={SECRET}")
    (directory / "notes.txt").write_text("mine")
    (directory / "chat_template.jinja").symlink_to(directory / "notes.txt")
    return directory


@pytest.fixture
def measured(tmp_path: Path, trained: Path) -> Path:
    """An evaluation of it."""
    directory = tmp_path / "measured"
    directory.mkdir()
    evaluated = {"name": "made/dev", "languages": ["de", "en"], "queries": 4, "passages": 8, "mo": 0.75, "cr": 0.5}
    content = {"encoder": str(trained), "encoder_files": encoder_files(trained), "settings": {}, "benchmark": None}
    (directory / "evaluation.json").write_text(json.dumps(content | {"sets": [evaluated], "mul": 0.6}))
    rows = [f"made/dev {lang}/{group},{lang},{group},{0.5 + group / 4}" for lang in ("de", "en") for group in (0, 1)]
    (directory / "queries.csv").write_text("\n".join(["id,lang,group,average_precision", *rows]) + "\n")
    return directory


def head_of(repository: Path) -> ModelCardData:
    """What the hub's own client reads at the head of a card."""
    data = ModelCard((repository / "README.md").read_text(encoding="utf-8")).data
    assert isinstance(data, ModelCardData)
    return data


def test_what_is_pushed_is_what_others_load(
    tmp_path: Path, trained: Path, measured: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["push", str(trained), "--to", "me/tiny", "--evaluation", str(measured), "--private"]
    assert main([*argv, "--dry-run"]) == 0
    foreseen = capsys.readouterr().out
    assert not hub.root.exists()
    assert main(argv) == 0
    output = capsys.readouterr().out
    assert foreseen.startswith(output.partition("pushed: ")[0])
    assert re.search(r"pushed: http://127\.0\.0\.1:\d+/me/tiny/commit/[0-9a-f]{40}$", output.strip())

    repository = hub.root / "me" / "tiny"
    sizes = {path.relative_to(repository).as_posix(): path.stat().st_size for path in repository.rglob("*") if path.is_file()}
    listed = re.findall(r"^ *([\d,]+)  (\S+)$", output, re.MULTILINE)
    assert sizes == {file: int(size.replace(",", "")) for size, file in listed}
    (sent,) = hub.uploads  # one commit
    assert sent["lfsFile"] == ["model.safetensors"]
    assert set(sent["file"]) == sizes.keys() - {"model.safetensors"} >= {"README.md", "tokenizer.json", "1_Pooling/config.json"}
    left_out = re.findall("^left out: (.*)$", output, re.MULTILINE)
    assert left_out == [".env", "chat_template.jinja", "notes.txt", "optimizer.pt"]
    for path in map(repository.joinpath, sizes):
        assert SECRET.encode() not in path.read_bytes()
        assert str(tmp_path).encode() not in path.read_bytes(), "a path of this machine"
    assert "me/tiny" in hub.private
    assert SECRET not in foreseen + output

    pulled = Encoder.load("me/tiny").encode(["ba be", "ko"], "query")
    np.testing.assert_array_equal(pulled, Encoder.load(trained).encode(["ba be", "ko"], "query"))
    data = head_of(repository)
    assert (data.license, data.language, data.model_name) == ("cc0-1.0", ["de", "en"], "me/tiny")
    assert data.eval_results is not None
    assert [(each.metric_type, each.metric_value) for each in data.eval_results] == [("map", 62.5)]
    assert data.eval_results[0].metric_args == {"interval_95": [50.0, 75.0]}


def test_a_repository_that_is_there_gets_another_commit(
    encoder: Path, whole: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(encoder), "--to", "me/tiny"]) == 0
    assert main(["push", str(whole), "--to", "me/tiny", "--license", "mit"]) == 0  # of a release, the encoder alone
    assert len(hub.uploads) == 2
    assert not any(file.startswith(("index", "release")) for sent in hub.uploads[1].values() for file in sent)
    assert head_of(hub.root / "me" / "tiny").license == "mit"
    with pytest.raises(UserError, match="me/tiny is on the hub already and public; make it private there"):
        main(["push", str(encoder), "--to", "me/tiny", "--private"])
    assert len(hub.uploads) == 2


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (None, "pushing needs a token that may write, in the environment variable HF_TOKEN; see --dry-run"),
        ("", "pushing needs a token"),
        (f"{SECRET}\nX-Evil: 1", "HF_TOKEN holds blanks or characters that no token has"),
        ("hf_Another", r"the hub does not let the token of HF_TOKEN write there \(401\)"),
    ],
)
def test_tokens_that_cannot_write(
    encoder: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None, says: str
) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=says) as refused:
        main(["push", str(encoder), "--to", "me/tiny"])
    assert "hf_" not in str(refused.value)
    assert not hub.root.exists()


def test_what_cannot_be_pushed(tmp_path: Path, trained: Path, measured: Path, encoder: Path, hub: FakeHub) -> None:
    def refused(*argv: str, kind: type[UserError] = UserError) -> str:
        with pytest.raises(kind) as error:
            main(["push", *argv])
        return str(error.value)

    assert "--to is 'tiny'; allowed is USER/NAME" in refused(str(encoder), "--to", "tiny")
    assert "--license is 'My own'" in refused(str(encoder), "--to", "me/tiny", "--license", "My own")
    assert "no such directory" in refused(str(tmp_path / "nothing"), "--to", "me/tiny")
    assert "holds no xlret.json" in refused(str(measured), "--to", "me/tiny")
    written = json.loads((measured / "evaluation.json").read_text())
    (measured / "evaluation.json").write_text(json.dumps(written | {"encoder_files": {"model.safetensors": "0"}}))
    assert "whose files are not those of" in refused(str(trained), "--to", "me/tiny", "--evaluation", str(measured))
    (trained / TRAINING).write_text("{}")
    assert "training.json is not what a training run writes" in refused(str(trained), "--to", "me/tiny")
    (trained / "model.safetensors").write_bytes(b"\x80\x04pickled")
    assert "is not safetensors" in refused(str(trained), "--to", "me/tiny", kind=CorruptError)
    assert not hub.root.exists()


def test_no_hub(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with pytest.raises(UserError, match=r"^me/tiny was not pushed: .*(refused|[Cc]onnect)") as refused:
        main(["push", str(encoder), "--to", "me/tiny"])
    assert SECRET not in str(refused.value)
