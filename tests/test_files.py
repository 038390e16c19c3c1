import errno
import os
from pathlib import Path

import pytest

from xlret.errors import UserError
from xlret.files import directory_beside, write_json, write_text


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail_half_way(target: Path) -> None:
    with directory_beside(target, replace=True) as fresh:
        (fresh / "a").write_text("2")
        raise RuntimeError


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with directory_beside(target) as fresh:
        (fresh / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    with pytest.raises(RuntimeError):
        fail_half_way(target)
    assert (target / "a").read_text() == "1"
    with directory_beside(target, replace=True) as fresh:
        (fresh / "b").write_text("3")
    assert [one.name for one in target.iterdir()] == ["b"]
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already"), directory_beside(tmp_path):
        pass


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(UserError, match="no space left on the disk"):
        write_text(tmp_path / "a", "text")
    with pytest.raises(UserError, match="no space left on the disk"), directory_beside(tmp_path / "b") as fresh:
        (fresh / "c").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "file" / "a", "text")
    with pytest.raises(UserError, match="cannot write"), directory_beside(tmp_path / "file" / "a"):
        pass


def test_json_refuses_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []
