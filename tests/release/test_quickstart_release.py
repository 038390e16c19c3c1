"""One command from a trained encoder to a release that is current."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xlret.commands import quickstart, quickstart_release
from xlret.commands.app import main
from xlret.errors import UserError
from xlret.model.encoder import Encoder
from xlret.release import make_release, promote, resolve, verify_release
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.search.vectors.fingerprint import encoder_files


@pytest.fixture
def run(tmp_path: Path, corpora: Path, encoder: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained quickstart in a home of its own; what would be indexed on Ray is the small index."""
    monkeypatch.setenv("XLRET_HOME", str(tmp_path))
    for name in ("train", "test", "dev"):
        shutil.copytree(corpora / "dev", tmp_path / "corpora" / "atlas" / name)
    shutil.copytree(encoder, tmp_path / "runs" / "quickstart" / "model")
    monkeypatch.setattr(quickstart_release, "_index", lambda *paths: shutil.copytree(index, paths[-1], dirs_exist_ok=True))
    return tmp_path / "runs" / "quickstart"


def test_an_index_that_was_interrupted_is_made_again(run: Path, tmp_path: Path) -> None:
    digest = encoder_files(run / "model")["model.safetensors"][:8]
    (run / f"index-{digest}" / "versions").mkdir(parents=True)
    assert main(["quickstart", "--release"]) == 0
    assert resolve(tmp_path / "runs" / "releases").name == "quickstart"


def test_a_better_release_stays_current(
    run: Path,
    tmp_path: Path,
    encoder: Path,
    index: Path,
    evaluation: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "runs" / "releases"
    better = evaluation(mul=1.5, sets=[{"name": "atlas/test", "queries": 160, "passages": 160}])
    make_release(root, "better", encoder, index, evaluations=[better])
    promote(root, "better")
    monkeypatch.setattr(quickstart_release, "_releases_with", lambda *_: [])  # as if it held another encoder
    assert main(["quickstart", "--release"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert f"{root / 'current'} still names better: quickstart is not promoted: mul on atlas/test is" in last
    assert resolve(root).name == "better"
    # where nothing would be served, it is an error
    shutil.rmtree(root / "better")
    shutil.rmtree(root / "quickstart")
    with pytest.raises(UserError, match="the standing release better is gone"):
        main(["quickstart", "--release"])


@pytest.mark.ray
def test_the_quickstart_becomes_a_release(
    tmp_path: Path,
    corpora: Path,
    encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XLRET_HOME", str(tmp_path))
    for name, source in (("train", "train"), ("test", "dev"), ("dev", "dev")):
        shutil.copytree(corpora / source, tmp_path / "corpora" / "atlas" / name)

    def trained(*_: object) -> None:
        shutil.copytree(encoder, tmp_path / "runs" / "quickstart" / "model")

    monkeypatch.setattr(quickstart, "train_and_ask", trained)  # minutes
    assert main(["quickstart", "--release"]) == 0
    root = tmp_path / "runs" / "releases"
    release = verify_release(resolve(root))
    assert release.name == "quickstart"
    assert release.languages == dict.fromkeys(("de", "en", "fr", "tr"), 200)
    assert release.record.index.shards == 2
    assert release.quality["atlas/test"]["mul"] > 0
    assert release.quality["index"]["recall@10"] > 0.9

    # what is served finds each text by itself
    index, served = SearchIndex.open(release.index), Encoder.load(release.encoder)
    some = index.shards[0].passages([0, 50, 90])
    hits = index.search(served.encode([one.text for one in some], "passage"), SearchOptions(top_k=1))
    np.testing.assert_allclose(np.concatenate(hits.scores), 1, atol=2e-3)

    # again: nothing to do; another encoder: another release, as good as the first
    capsys.readouterr()
    assert main(["quickstart", "--release"]) == 0
    assert "names a release with the encoder" in capsys.readouterr().out
    (root / "current").unlink()
    assert main(["quickstart", "--release"]) == 0
    assert resolve(root).name == "quickstart"
    assert [one.name for one in root.iterdir() if one.is_dir()] == ["quickstart"]
