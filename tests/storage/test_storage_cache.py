"""Fetching from a real S3 server: verified, once for a machine, again where a copy or an object is damaged."""

import gzip
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from xlret.errors import CorruptError, UserError
from xlret.files import directory_beside, local
from xlret.storage import cache as caching
from xlret.storage import remote
from xlret.storage.url import LISTING, Url, as_url

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def directory(request: pytest.FixtureRequest) -> Url:
    """A published directory of two files that this machine has no copy of."""
    url = as_url(f"s3://bucket/{sha256(request.node.name.encode()).hexdigest()[:8]}/mine/train")
    with directory_beside(url) as fresh:
        (fresh / "sides").mkdir()
        (fresh / "manifest.json").write_text("{}")
        (fresh / "sides" / "en.arrow").write_bytes(b"0123456789" * 1000)
    forget()
    return url


def forget() -> None:
    """What another process of this machine would find: nothing in use, and nothing in the cache."""
    release()
    shutil.rmtree(caching.cache_directory())


def release() -> None:
    for descriptor in caching._in_use.values():
        os.close(descriptor)
    caching._in_use.clear()


def test_a_directory_is_fetched_verified_and_found_again(directory: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = local(directory)
    assert copy.parts[-2:] == ("mine", "train"), "reports name a corpus by these"
    assert {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()} == {
        "manifest.json",
        "sides/en.arrow",
    }
    assert (copy / "sides" / "en.arrow").stat().st_mode & 0o222 == 0, "nobody may write to what others have mapped"
    monkeypatch.setattr(remote, "download", None)  # nothing is fetched again
    assert local(directory) == copy
    assert local(Path(str(directory))) == copy


@pytest.mark.parametrize("end", ["gz", "zst"])
def test_packed_files_are_fetched_as_they_are(end: str) -> None:
    """pyarrow unpacks what it reads by the end of its name, and packs what it writes, unless it is told not to."""
    content = gzip.compress(b"0123456789" * 1000)
    url = as_url(f"s3://bucket/packed/{end}")
    with directory_beside(url) as fresh:
        (fresh / f"x.{end}").write_bytes(content)
    forget()
    assert (local(url) / f"x.{end}").read_bytes() == content
    (url.parent / f"alone.{end}").write_bytes(content)
    assert local(url.parent / f"alone.{end}").read_bytes() == content, "what no listing names"
    assert (url.parent / f"alone.{end}").read_bytes() == content


def test_a_part_and_a_file_of_it_are_fetched_alone(directory: Url) -> None:
    assert [path.name for path in local(directory / "sides").iterdir()] == ["en.arrow"]
    assert local(directory / "manifest.json").read_text() == "{}"
    assert sorted(path.name for path in directory.rglob("*")) == ["en.arrow", "manifest.json"], "the listing is nobody's"
    assert [path.name for path in directory.glob("*.json")] == ["manifest.json"]
    assert directory.is_dir()
    assert not (directory / "nothing").exists()


@pytest.mark.parametrize("content", [b"9876543210" * 1000, b"short", None], ids=["changed", "cut", "gone"])
def test_a_damaged_object_is_refused_by_name(directory: Url, content: bytes | None) -> None:
    path = directory / "sides" / "en.arrow"
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(CorruptError, match=f"{path} is (damaged|missing)"):
        local(directory)
    assert not any(caching.cache_directory().glob("entries/*/content/mine/train/sides"))


def test_a_damaged_copy_is_fetched_again(directory: Url) -> None:
    path = local(directory) / "sides" / "en.arrow"
    path.chmod(0o644)
    path.write_bytes(b"9876543210" * 1000)
    assert (local(directory) / "sides" / "en.arrow").read_bytes() == b"0123456789" * 1000


FETCH = """
import sys, time
from pathlib import Path
from xlret.files import local
from xlret.storage import cache, remote

def slowly(url, target, tell, download=remote.download):
    print("fetched", flush=True)
    time.sleep(0.3)
    download(url, target, tell)

remote.download = slowly
print(sys.stdin.readline().strip(), flush=True)
local(Path(sys.argv[1]))
"""


def test_two_processes_fetch_it_once(directory: Url) -> None:
    command = [sys.executable, "-c", FETCH, str(directory)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:  # together, once both have imported
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    # Not lines: print writes the end of one by itself, and threads mix them.
    assert sorted(text.count("fetched") for text in printed) == [0, 2], "one fetched both files, the other waited for it"


def test_room_is_made_of_what_nobody_uses(directory: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = local(directory), local(directory / "sides"), local(directory / "manifest.json")
    monkeypatch.setenv("XLRET_CACHE_GB", "0.00001")
    (directory.parent / "other").write_bytes(b"x")
    local(directory.parent / "other")
    assert first.exists(), "this process was given it"
    assert second.exists()
    release()
    os.utime(third.parents[2] / "entry.json")  # used last
    caching._use(second.parents[2])
    (directory.parent / "another").write_bytes(b"x")
    local(directory.parent / "another")
    assert [first.exists(), second.exists(), third.exists()] == [False, True, False]


def test_what_another_program_uploaded_is_read_and_seen_to_change(store: dict[str, str]) -> None:
    url = as_url("s3://bucket/foreign")
    (url / "a.jsonl").write_bytes(b"1")
    assert [path.name for path in local(url).iterdir()] == ["a.jsonl"]
    (url / "a.jsonl").write_bytes(b"22")
    assert (local(url) / "a.jsonl").read_bytes() == b"22"
    assert local(url / "a.jsonl").read_bytes() == b"22"


def test_a_damaged_listing_is_refused(directory: Url) -> None:
    (directory / LISTING).write_bytes(b'{"files": {"../x": {"size": 1}}}')
    with pytest.raises(CorruptError, match=f"{LISTING} is damaged"):
        local(directory)


def test_nothing_at_a_url_is_one_line(store: dict[str, str]) -> None:
    for url in ("s3://bucket/nothing", "s3://no-such-bucket/x"):
        with pytest.raises(UserError, match=f"there is nothing at {url}; correct the bucket or the path"):
            local(Path(url))


def test_a_cache_that_cannot_be_written_is_one_line(directory: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XLRET_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="set XLRET_CACHE to a directory"):
        local(directory)
    monkeypatch.setenv("XLRET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLRET_CACHE_GB", "much")
    with pytest.raises(UserError, match="XLRET_CACHE_GB is 'much'"):
        local(directory)
