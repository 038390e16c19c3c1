"""What every result says of itself: read from the machine, the same words for every job."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from xlret.data.corpus import ParallelCorpus
from xlret.provenance import commit, data_fingerprints, hardware, versions


def test_versions_are_those_of_the_installed_packages() -> None:
    assert versions(["torch"]) == {"python": sys.version.split()[0], "torch": version("torch")}


def test_hardware_is_this_machine() -> None:
    about = hardware()
    assert about["cpus"] >= 1
    assert sys.platform in about["machine"].lower()


def test_a_corpus_is_named_by_path_fingerprint_and_size(corpora: Path) -> None:
    corpus = ParallelCorpus.open(corpora / "dev")
    facts = data_fingerprints([corpus])
    assert facts == [{"path": str(corpora / "dev"), "fingerprint": corpus.fingerprint, "groups": 40}]


@pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")
def test_the_commit_is_that_of_the_working_tree_and_none_of_an_installed_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x"]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.setattr("xlret.provenance.__file__", str(tmp_path / "xlret" / "provenance.py"))
    assert commit() == head[:12]
    installed = tmp_path / ".venv" / "site-packages"  # inside somebody's own repository, whose commit it must not give
    monkeypatch.setattr("xlret.provenance.__file__", str(installed / "xlret" / "provenance.py"))
    assert commit() is None
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("xlret.provenance.__file__", str(tmp_path / "xlret" / "provenance.py"))
    assert commit() is None
