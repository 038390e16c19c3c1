"""One command from a trained encoder to a release that is current."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from jobs import quickstart
from jobs.quickstart_release import main
from xlret.model.encoder import Encoder
from xlret.release import resolve, verify_release
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions


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

    def trained(_: Sequence[str] | None = None) -> int:
        shutil.copytree(encoder, tmp_path / "runs" / "quickstart" / "model")
        return 0

    monkeypatch.setattr(quickstart, "main", trained)  # minutes
    assert main([]) == 0
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
    assert main([]) == 0
    assert "names a release with the encoder" in capsys.readouterr().out
    (root / "current").unlink()
    assert main([]) == 0
    assert resolve(root).name == "quickstart"
    assert [one.name for one in root.iterdir() if one.is_dir()] == ["quickstart"]
