"""No damaged, foreign or doctored file of a release gets as far as its reader."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xlret.artifacts import FileEntry
from xlret.data.manifest import file_entries
from xlret.errors import CorruptError, UserError
from xlret.release import list_releases, make_release, verify_release
from xlret.release.record import CHECKSUM, RECORD, checksum_line

FLIPS = 40
"""Bits turned in each file, one at a time."""


def files_of(release: Path) -> list[str]:
    return sorted(one.relative_to(release).as_posix() for one in release.rglob("*") if one.is_file())


def put(path: Path, content: bytes) -> None:
    """Other bytes under the name, in a file of its own: the one that is there may be a hard link or read-only."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def refused(release: Path, name: str) -> None:
    with pytest.raises(CorruptError) as error:
        verify_release(release)
    assert name in str(error.value), f"{error.value} does not name {name}"


def reseal(release: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes release.json and its checksum, as one who knows the format would."""
    content = json.loads((release / RECORD).read_text())
    change(content)
    put(release / RECORD, json.dumps(content).encode())
    put(release / CHECKSUM, checksum_line(release / RECORD))


def relist(content: dict[str, Any], release: Path) -> None:
    """Lists what is there now."""
    names = [name for name in files_of(release) if name not in (RECORD, CHECKSUM)]
    content["files"] = {name: entry.model_dump() for name, entry in file_entries(release, names).items()}


def test_every_turned_bit_is_found(copied: Path) -> None:
    rng = np.random.default_rng(0)
    tried = 0
    for name in files_of(copied):
        whole = (copied / name).read_bytes()
        bits = {0, len(whole) * 8 - 1, *(int(one) for one in rng.integers(len(whole) * 8, size=FLIPS))}
        for bit in bits:
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            put(copied / name, bytes(damaged))
            refused(copied, RECORD if name in (RECORD, CHECKSUM) else name)
            tried += 1
        put(copied / name, whole)
    assert tried >= 15 * FLIPS
    verify_release(copied)


def test_cut_grown_missing_and_foreign_files_are_found(copied: Path) -> None:
    for name in files_of(copied):
        whole, shown = (copied / name).read_bytes(), RECORD if name in (RECORD, CHECKSUM) else name
        for size in {0, 1, len(whole) // 2, len(whole) - 1, *range(4096, len(whole), 65536)}:
            put(copied / name, whole[:size])
            refused(copied, shown)
        put(copied / name, whole + b"\0")
        refused(copied, shown)
        (copied / name).unlink()
        refused(copied, shown)
        (copied / name).symlink_to(os.path.abspath(__file__))
        refused(copied, name)
        (copied / name).unlink()
        (copied / name).mkdir()
        refused(copied, name)
        (copied / name).rmdir()
        put(copied / name, whole)
        for extra in (f"{name}.bak", os.path.join(os.path.dirname(name), ".hidden")):
            put(copied / extra, b"")
            refused(copied, extra)
            (copied / extra).unlink()
    verify_release(copied)


def test_swapped_files_are_found(copied: Path) -> None:
    names = [name for name in files_of(copied) if name not in (RECORD, CHECKSUM)]
    content = {name: (copied / name).read_bytes() for name in names}
    for one, other in zip(names, names[1:] + names[:1], strict=True):
        if content[one] == content[other]:
            continue
        put(copied / one, content[other])
        put(copied / other, content[one])
        with pytest.raises(CorruptError):
            verify_release(copied)
        put(copied / one, content[one])
        put(copied / other, content[other])
    verify_release(copied)


def test_a_special_file_is_refused_at_once(copied: Path) -> None:
    os.mkfifo(copied / "index" / "pipe")
    began = time.monotonic()
    refused(copied, "pipe")
    assert time.monotonic() - began < 60, "it waited for somebody to write into the pipe"


@pytest.mark.parametrize(
    "name",
    ["../secret", "index/../../secret", "/etc/passwd", "encoder//x", "encoder/./x", "x", "index\\x", "index/a\x00", "", "."],
)
def test_paths_that_lead_elsewhere_are_refused(copied: Path, name: str) -> None:
    (copied.parent / "secret").write_text("")
    entry = FileEntry(size=0, sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").model_dump()
    reseal(copied, lambda content: content["files"].update({name: entry}))
    refused(copied, RECORD)


def _forged_weights(release: Path) -> None:
    put(release / "encoder" / "model.safetensors", b"\x80\x02}q\x00." * 100)


def _code(release: Path) -> None:
    put(release / "encoder" / "modeling.py", b"import os")


def _auto_map(release: Path) -> None:
    path = release / "encoder" / "tokenizer_config.json"
    put(path, json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["x.Y", None]}}).encode())


def _prompt(release: Path) -> None:
    path = release / "encoder" / "xlret.json"
    put(path, json.dumps(json.loads(path.read_text()) | {"query_prompt": "query: "}).encode())


def _shard(release: Path) -> None:
    put(release / "index" / "shard-0000.arrow", b"ARROW1")


def _more(release: Path) -> None:
    put(release / "index" / "shard-0009.arrow", b"ARROW1")


def _no_shard(release: Path) -> None:
    (release / "index" / "shard-0000.arrow").unlink()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_forged_weights, "encoder/model.safetensors is not safetensors"),
        (_code, "encoder/modeling.py may not be in a release"),
        (_auto_map, "encoder/tokenizer_config.json has auto_map"),
        (_prompt, "whose xlret.json is another than this one's"),
        (_shard, "index/shard-0000.arrow is not the file that manifest.json tells of"),
        (_more, "index/shard-0009.arrow does not belong to the index"),
        (_no_shard, "index/shard-0000.arrow is not the file that manifest.json tells of"),
    ],
)
def test_files_that_are_listed_but_do_not_belong_are_refused(copied: Path, change: Callable[[Path], None], named: str) -> None:
    change(copied)
    reseal(copied, lambda content: relist(content, copied))
    refused(copied, named)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(dimension=33),
        lambda content: content["languages"].update(de=11),
        lambda content: content["index"].update(passages=21),
        lambda content: content["index"].update(version="0" * 12),
        lambda content: content.update(reranker=True),
        lambda content: content.update(files={}),
    ],
)
def test_a_record_that_tells_of_something_else_is_refused(copied: Path, change: Callable[[dict[str, Any]], None]) -> None:
    reseal(copied, change)
    with pytest.raises(CorruptError):
        verify_release(copied)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(schema_version=2),
        lambda content: content.update(more=1),
        lambda content: content.pop("files"),
        lambda content: content.update(name="../x"),
        lambda content: content["quality"].update(x={"mul": None}),
        lambda content: content["files"].update({"encoder/x": {"size": -1, "sha256": "0" * 64}}),
        lambda content: content["files"].update({"encoder/x": {"size": 1, "sha256": "0"}}),
    ],
)
def test_a_record_of_another_form_is_refused(copied: Path, change: Callable[[dict[str, Any]], None]) -> None:
    reseal(copied, change)
    refused(copied, RECORD)


def test_a_release_has_its_own_name(copied: Path) -> None:
    other = shutil.copytree(copied, copied.parent / "other")
    with pytest.raises(CorruptError, match="is the release 'whole' under another name"):
        verify_release(other)
    (copied.parent / "link").symlink_to(copied)
    with pytest.raises(UserError, match="there is no release"):
        verify_release(copied.parent / "link")
    for nowhere in ("nowhere", ".", "../.."):
        with pytest.raises(UserError, match="no release"):
            verify_release(copied.parent / nowhere)


def test_a_release_can_be_moved(copied: Path, tmp_path: Path) -> None:
    elsewhere = shutil.move(copied, tmp_path / "elsewhere" / "whole")
    assert verify_release(Path(elsewhere)).encoder == tmp_path / "elsewhere" / "whole" / "encoder"


def test_a_damaged_release_does_not_spoil_the_list(copied: Path, encoder: Path, index: Path) -> None:
    root = copied.parent
    make_release(root, "zz-newer", encoder, index)
    put(copied / RECORD, b"{")
    (root / "notes.txt").write_text("mine")
    (root / ".left.over").mkdir()
    (root / "not-a-release").mkdir()
    found = {one.name: one for one in list_releases(root)}
    assert set(found) == {"whole", "zz-newer", "not-a-release"}
    assert "release.json is damaged" in str(found["whole"].damage)
    assert found["zz-newer"].record is not None
    with pytest.raises(UserError, match="there is no directory of releases"):
        list_releases(root / "nowhere")
