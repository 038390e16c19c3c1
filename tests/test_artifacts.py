import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from xlret.artifacts import check_entry, copy_read_only, entry_of, link_or_copy, locked, open_table, write_table
from xlret.errors import CorruptError, UserError


def test_a_file_is_what_its_entry_says(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    path.write_bytes(b"content")
    entry, words = entry_of(path), {"listed_in": "manifest.json", "remedy": "make it again"}
    check_entry(path, entry, plain=True, **words)
    path.write_bytes(b"c0ntent")
    check_entry(path, entry, checksum=False, **words)
    with pytest.raises(
        CorruptError, match=r"a\.arrow is damaged: its checksum is not the one in manifest\.json; make it again"
    ):
        check_entry(path, entry, **words)
    path.write_bytes(b"")
    with pytest.raises(CorruptError, match=r"a\.arrow is damaged: 0 bytes, manifest\.json says 7; make it again"):
        check_entry(path, entry, checksum=False, **words)
    path.unlink()
    with pytest.raises(CorruptError, match=r"a\.arrow is missing; make it again"):
        check_entry(path, entry, **words)
    (tmp_path / "b").write_bytes(b"content")
    path.symlink_to(tmp_path / "b")
    check_entry(path, entry, **words)
    with pytest.raises(CorruptError, match="is missing or not a plain file"):
        check_entry(path, entry, plain=True, **words)


HOLD = """
import sys
from pathlib import Path
from xlret.artifacts import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with (
            pytest.raises(UserError, match=f"it is at work; wait \\(it is process {process.pid} on "),
            locked(path, "it is at work; wait"),
        ):
            pass
        process.kill()
        with locked(path):  # waits
            pass
    with locked(path, "it is at work; wait"):
        pass
    with pytest.raises(UserError, match="cannot write"), locked(path / "below"):
        pass


def test_a_link_is_the_file_and_a_copy_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"content")
    link_or_copy(source, tmp_path / "b")
    copy_read_only(source, tmp_path / "c")

    def refused(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refused)
    link_or_copy(source, tmp_path / "d")
    assert (tmp_path / "b").samefile(source)
    assert {(tmp_path / name).read_bytes() for name in "bcd"} == {b"content"}
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in "cd"} == {0o444}


def test_a_table_comes_back_and_damage_is_named(tmp_path: Path) -> None:
    path, table = tmp_path / "a.arrow", pa.table({"id": ["x", "y"]})
    write_table(path, pa.concat_tables([table, table]))
    assert open_table(path, "make it again").to_pylist() == 2 * table.to_pylist()
    assert [path.name for path in tmp_path.iterdir()] == ["a.arrow"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorruptError, match=r"a\.arrow is damaged: .*; make it again"):
        open_table(path, "make it again")
