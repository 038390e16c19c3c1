"""Several encoders in one evaluation: what they share is made once, and each has the numbers that it has alone."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xlret.commands.app import main
from xlret.errors import UserError
from xlret.evaluation import measure as measuring
from xlret.evaluation import run as running
from xlret.model.encoder import Encoder
from xlret.tokens.texts import Tokeniser


@pytest.fixture(scope="module")
def moved(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder with other weights and the same tokeniser."""
    other, directory = Encoder.load(encoder), tmp_path_factory.mktemp("moved") / "model"
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in other.parameters():
            weight += 0.5 * weight.std(correction=0) * torch.randn_like(weight)
    other.save(directory)
    return directory


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: Counter[str]) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def counting(*arguments: Any, **keywords: Any) -> Any:
        calls[name] += 1
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, name, counting)


def test_what_encoders_share_is_made_once(
    tmp_path: Path,
    corpora: Path,
    encoder: Path,
    moved: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = ["--corpus", str(corpora / "dev"), "--groups", "17", "--baseline", "bm25-pooled", "--run-depth", "5"]
    calls: Counter[str] = Counter()
    for owner, name in ((Tokeniser, "ragged"), (running, "from_corpus"), (measuring, "bm25")):
        counted(monkeypatch, owner, name, calls)
    out = tmp_path / "out"
    assert main(["evaluate", "--encoder", f"start={encoder}", f"new={moved}", *corpus, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert calls == {"ragged": 2, "from_corpus": 1, "bm25": 1}, "queries and passages once each"
    assert "every pair" in shown
    for name, alone in (("start", encoder), ("new", moved)):
        assert main(["evaluate", "--encoder", str(alone), *corpus, "--out", str(tmp_path / name)]) == 0
        theirs, ours = (json.loads((path / name / "evaluation.json").read_text()) for path in (tmp_path, out))
        assert {key: ours[key] for key in ("encoder", "mo", "cr", "mul", "sets", "encoder_files")} == {
            key: theirs[key] for key in ("encoder", "mo", "cr", "mul", "sets", "encoder_files")
        }
        assert (out / name / "run.trec").read_bytes() == (tmp_path / name / "run.trec").read_bytes()
    assert main(["compare", str(out / "start"), str(out / "new"), "--out", str(tmp_path / "compared")]) == 0
    for kind in ("md", "csv", "tex"):
        assert (out / f"comparison.{kind}").read_text() == (tmp_path / "compared" / f"comparison.{kind}").read_text()
    assert "<html" in (out / "comparison.html").read_text()


def test_several_encoders_need_a_directory_of_their_own(tmp_path: Path, corpora: Path, encoder: Path, moved: Path) -> None:
    both = ["evaluate", "--corpus", str(corpora / "dev"), "--groups", "5", "--run-depth", "0", "--encoder"]
    with pytest.raises(UserError, match=r"compared from what is written; say where with --out"):
        main([*both, str(encoder), str(moved)])
    with pytest.raises(UserError, match=r"two systems are called a; name them, as in a-2="):
        main([*both, f"a={encoder}", f"a={moved}", "--out", str(tmp_path / "out")])
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(UserError, match="is an evaluation itself"):
        main([*both, f"a={encoder}", f"b={moved}", "--out", str(tmp_path)])
    (tmp_path / "out" / "b").mkdir(parents=True)
    with pytest.raises(UserError, match=r"b exists already; choose another place, or add --replace"):
        main([*both, f"a={encoder}", f"b={moved}", "--out", str(tmp_path / "out")])
