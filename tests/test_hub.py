"""Fetching data sets: the real `huggingface_hub` against a hub on this machine."""

from pathlib import Path

import pytest
from fake_hub import commit_of, fake_hub
from huggingface_hub import constants

from xlret.errors import UserError
from xlret.hub import HubRepository, cached_bytes, download


def repository(name: str, revision: str | None = None) -> HubRepository:
    return HubRepository(name, revision, lambda languages: [f"{lang}/*.txt" for lang in languages])


def test_files_of_some_languages_come_once_at_the_pinned_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("a/x/en/1.txt", "a/x/de/1.txt", "a/x/script.py", "a/y/en/sub.txt", "a/y/fr/2.txt"):
        (tmp_path / "hub" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hub" / file).write_text(file)
    with fake_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as hub:
        pinned = repository("a/x", commit_of("a/x"))
        files = download([pinned], ("en",))
        assert files.commits == {"a/x": commit_of("a/x")}
        assert (files.directory / "en" / "1.txt").read_text() == "a/x/en/1.txt"
        assert [path.name for path in files.directory.iterdir()] == ["en"]  # no other language, no code
        assert download([pinned], ("en",)).directory == files.directory
        assert len(hub.fetched) == 1
        assert cached_bytes(pinned) == len("a/x/en/1.txt")
        assert cached_bytes(repository("a/y")) == 0

        both = download([repository("a/x"), repository("a/y")], ("de", "fr"))  # two repositories: one folder
        assert {path.name for path in both.directory.iterdir()} == {"de", "en", "fr"}
        assert (both.directory / "fr" / "2.txt").read_text() == "a/y/fr/2.txt"
        assert both.commits == {name: commit_of(name) for name in ("a/x", "a/y")}

        with pytest.raises(UserError, match=r"no commit 0{40}; fetch the files by hand"):
            download([repository("a/x", "0" * 40)], ("en",))
        with pytest.raises(UserError, match=r"no data set 'a/nothing'.*check the name"):
            download([repository("a/nothing")], ("en",))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        fetched = len(hub.fetched)
        assert download([pinned], ("en",)) == files
        with pytest.raises(UserError, match="a/z cannot be had: HF_HUB_OFFLINE is set and the cache lacks it"):
            download([repository("a/z")], ("en",))
        assert len(hub.fetched) == fetched
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"a/z cannot be had: .*; give a directory instead"):
        download([repository("a/z")], ("en",))
