"""The files of a release are read once on a machine, however many processes of a service open it."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xlret import artifacts
from xlret.errors import CorruptError, UserError
from xlret.release import make_release
from xlret.release.once import VerifiedOnce
from xlret.release.record import read_record
from xlret.release.verify import verify_files, verify_release


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp" / f"xlret-verified-{os.geteuid()}"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read for their checksums."""
    read: list[Path] = []
    plain = artifacts.sha256_of

    def counted(path: Path) -> str:
        read.append(path)
        return plain(path)

    monkeypatch.setattr(artifacts, "sha256_of", counted)
    return read


@pytest.fixture
def whole(tmp_path: Path, encoder: Path, index: Path) -> Path:
    return make_release(tmp_path, "whole", encoder, index, link=False)


@pytest.fixture
def once() -> Iterator[VerifiedOnce]:
    once = VerifiedOnce()
    yield once
    once.forget()


def bytes_of(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def test_a_service_of_many_parts_reads_every_byte_once(whole: Path, once: VerifiedOnce, hashed: list[Path]) -> None:
    record, hashed[:] = read_record(whole), []
    total = sum(entry.size for entry in record.files.values())
    for _ in range(5):
        part = pickle.loads(pickle.dumps(once))
        assert verify_release(whole, part).record == record
        assert verify_files(whole, ["index/"], part) == record
    assert bytes_of(hashed) == total
    code = """
import sys
from pathlib import Path
from xlret import artifacts, files
from xlret.release.once import VerifiedOnce
from xlret.release.verify import verify_release
def refuse(path): raise AssertionError(path)
artifacts.sha256_of = refuse
verify_release(Path(sys.argv[2]), VerifiedOnce(sys.argv[1]))
"""
    environment = os.environ | {"TMPDIR": str(Path(once._directory() or "").parents[1])}
    subprocess.run([sys.executable, "-c", code, once.service, str(whole)], check=True, env=environment)
    verify_release(whole, VerifiedOnce())  # another service reads for itself
    assert bytes_of(hashed) == 2 * total


def test_a_part_reads_its_own_files_alone(whole: Path, once: VerifiedOnce, hashed: list[Path]) -> None:
    verify_files(whole, ["index/manifest.json"], once)
    verify_files(whole, ["index/manifest.json"], once)
    assert [path.name for path in hashed] == ["manifest.json"]
    with pytest.raises(UserError, match="has no index/nothing"):
        verify_files(whole, ["index/nothing"], once)


def test_whatever_changed_is_read_again(whole: Path, once: VerifiedOnce, hashed: list[Path]) -> None:
    verify_release(whole, once)
    path = whole / "index" / "shard-0000.vectors.faiss"
    times, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # a program can set this time back, but not the other
    for _ in range(2):
        with pytest.raises(CorruptError, match=r"shard-0000\.vectors\.faiss is damaged: its checksum"):
            verify_release(whole, once)
    content[-1] ^= 1
    path.write_bytes(content)
    hashed.clear()
    verify_release(whole, once)
    assert hashed == [path]
    fresh = path.with_name("fresh")
    shutil.copyfile(path, fresh)
    os.replace(fresh, path)
    verify_release(whole, once)
    assert hashed == [path, path]
    path.unlink()
    with pytest.raises(CorruptError, match=r"shard-0000\.vectors\.faiss is missing"):
        verify_release(whole, once)


def test_notes_that_others_could_write_are_not_believed(
    whole: Path, once: VerifiedOnce, hashed: list[Path], notes: Path
) -> None:
    verify_release(whole, once)
    count = len(hashed)
    verify_release(whole, once)
    assert len(hashed) == count
    notes.chmod(0o777)
    verify_release(whole, once)
    assert len(hashed) == 2 * count
    notes.chmod(0o700)
    once.forget()
    assert list(notes.iterdir()) == []
    os.utime(notes)
    old = VerifiedOnce("killed")
    verify_release(whole, old)
    os.utime(notes / "killed", (0, 0))
    verify_release(whole, once)  # a new service clears what killed ones left long ago
    assert [path.name for path in notes.iterdir()] == [once.service]
