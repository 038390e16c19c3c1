import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xlret import files
from xlret.errors import UserError
from xlret.files import directory_beside, remove_abandoned, write_json, write_text


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
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


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


HOLD = """
import sys
from pathlib import Path
from xlret.files import directory_beside
with directory_beside(Path(sys.argv[1]), replace=True) as fresh:
    (fresh / "half").write_text("")
    print("in work", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    target = tmp_path / "out"
    (tmp_path / ".out.mine").mkdir()  # not ours, whatever it is called
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLD, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"in work\n"
        assert len(list(tmp_path.glob(".out.building.*"))) == 2
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        with directory_beside(target) as fresh:
            (fresh / "a").write_text("1")
            assert len(list(tmp_path.glob(".out.building.*"))) == 2  # this one and the living one's
        processes[1].communicate()  # the end of its input: it ends well, and what it wrote takes the place
        assert [path.name for path in target.iterdir()] == ["half"]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.mine", "out"]


def test_an_old_directory_gets_its_name_back_if_its_successor_never_came(tmp_path: Path) -> None:
    target, old = tmp_path / "out", tmp_path / f".out.building.{files._machine()}.abcd_123.old"
    old.mkdir()
    (old / "a").write_text("1")
    with pytest.raises(UserError, match="exists already"), directory_beside(target):
        pass
    assert (target / "a").read_text() == "1"
    old.mkdir()
    remove_abandoned(target)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    other = tmp_path / ".out.building.0123abcd.abcd_123"
    other.mkdir()
    remove_abandoned(target)
    assert other.exists()  # another machine may be writing it, whose locks some disks do not show to this one
    os.utime(other, (0, 0))
    remove_abandoned(target)
    assert not other.exists()
