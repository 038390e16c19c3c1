"""Damaged, truncated, foreign and doctored files are refused by name before any reader sees them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from index_building import build, quiet
from made_up import make_store

from xlret.errors import CorruptError, UserError
from xlret.keys import generator
from xlret.search.edit import append, delete
from xlret.search.faiss_files import read_index, write_index
from xlret.search.index import SearchIndex
from xlret.search.manifest import CURRENT_FILE, MANIFEST, IndexManifest, current_version, file_entry, read_manifest, verify
from xlret.search.vectors.store import VectorStore


@pytest.fixture(scope="module")
def version(small_store: VectorStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with files of every kind: two shards, one appended, tombstones, lists, a sample, a calibration."""
    place = tmp_path_factory.mktemp("manifest") / "index"
    build(small_store, place, shards=2, factory="IVF8,SQ8")
    append(place, make_store(place.with_name("more"), 40, prefix="x"), say=quiet)
    return delete(place, ["p1", "p2", "p3", "p4", "x1"], say=quiet)


@pytest.fixture
def copy(version: Path, tmp_path: Path) -> Path:
    shutil.copytree(version, tmp_path / "copy")
    for path in (tmp_path / "copy").iterdir():
        path.chmod(0o644)
    return tmp_path / "copy"


def test_every_kind_of_file_is_there(version: Path) -> None:
    names = {path.name for path in version.iterdir()}
    assert {"manifest.json", "trained.faiss", "lists.npy", "sample.arrow", "queries.arrow", "calibration.json"} <= names
    assert {"shard-0002.arrow", "shard-0002.faiss", "shard-0002.vectors.faiss", "shard-0002.tombstones"} <= names
    SearchIndex.open(version)


def places(size: int, name: str) -> Iterator[int]:
    """Some bits of a file: the first ones, the last one, and others."""
    yield from (0, 7, 33, 8 * size - 1)
    yield from generator(0, "bits", name).integers(8 * size, size=14).tolist()


def test_a_flipped_bit_anywhere_is_found(copy: Path) -> None:
    flipped = 0
    for path in sorted(copy.iterdir()):
        whole = path.read_bytes()
        for bit in places(len(whole), path.name):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << (bit % 8)
            path.write_bytes(damaged)
            with pytest.raises(CorruptError) as caught:
                SearchIndex.open(copy)
            assert path.name in str(caught.value)
            flipped += 1
        path.write_bytes(whole)
    assert flipped > 250
    SearchIndex.open(copy)


def test_a_truncated_missing_or_swapped_file_is_found(copy: Path) -> None:
    for path in sorted(copy.iterdir()):
        whole = path.read_bytes()
        for size in {0, 1, len(whole) // 2, len(whole) - 2, *range(4096, len(whole), 4096)}:
            path.write_bytes(whole[:size])
            with pytest.raises(CorruptError, match=path.name.replace(".", r"\.")):
                SearchIndex.open(copy)
        path.unlink()
        with pytest.raises(UserError, match=path.name.replace(".", r"\.")):
            SearchIndex.open(copy)
        path.write_bytes(whole)
    one, other = copy / "shard-0000.faiss", copy / "shard-0001.faiss"
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)
    with pytest.raises(CorruptError, match=r"shard-0000\.faiss"):
        SearchIndex.open(copy)


def test_foreign_files_and_links_are_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "extra.pickle").write_bytes(b"")
    with pytest.raises(CorruptError, match=r"extra\.pickle does not belong"):
        verify(copy)
    (copy / "extra.pickle").unlink()
    for name in ("shard-0000.arrow", "trained.faiss", MANIFEST):
        shutil.move(copy / name, tmp_path / name)
        (copy / name).symlink_to(tmp_path / name)
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            verify(copy)
        (copy / name).unlink()
        shutil.move(tmp_path / name, copy / name)
    verify(copy)


def doctored(copy: Path, change: object) -> None:
    """A manifest that somebody changed and sealed again."""
    values = json.loads((copy / MANIFEST).read_text())
    change(values)  # type: ignore[operator]
    manifest = IndexManifest.model_validate(values)
    (copy / MANIFEST).write_text(manifest.sealed().model_dump_json())


@pytest.mark.parametrize("name", ["../trained.faiss", "/etc/passwd", "a/b", "..", "", "x" * 70, "con\n"])
def test_paths_out_of_the_directory_are_refused(name: str, copy: Path) -> None:
    values = json.loads((copy / MANIFEST).read_text())
    values["files"]["trained"]["file"] = name
    (copy / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(CorruptError, match=r"manifest\.json is damaged or foreign"):
        verify(copy)


def test_a_sealed_manifest_whose_numbers_do_not_agree(copy: Path) -> None:
    whole = (copy / MANIFEST).read_text()
    changes = (
        lambda one: one.update(count=5),
        lambda one: one.update(kind="flat"),
        lambda one: one.update(shards=one["shards"][:2]),
        lambda one: one["shards"][0]["languages"].update(de=[0, 5]),
        lambda one: one["shards"][0].update(number=1),
        lambda one: one["files"].pop("lists"),
        lambda one: one["files"].update(other=one["files"]["trained"]),
    )
    for change in changes:
        doctored(copy, change)
        with pytest.raises(CorruptError, match="do not agree"):
            verify(copy)
        (copy / MANIFEST).write_text(whole)
    doctored(copy, lambda one: one.update(dimension=17))
    with pytest.raises(CorruptError, match=r"shard-0000\.vectors\.faiss does not fit"):
        SearchIndex.open(copy)


def put_in_place(copy: Path, name: str) -> None:
    """Makes the manifest agree with what `name` holds now."""

    def change(values: dict) -> None:
        for entry in values["shards"]:
            for role in ("index", "vectors", "rows"):
                if entry[role] and entry[role]["file"] == name:
                    entry[role] = file_entry(copy / name).model_dump()

    doctored(copy, change)


def test_a_foreign_index_with_right_checksums(copy: Path) -> None:
    """As a person might offer it who can write the manifest too."""
    path = copy / "shard-0000.faiss"
    count = read_manifest(copy).shards[0].count
    vectors = np.eye(16, dtype=np.float32)[np.arange(count) % 16]

    def offered(factory: str) -> None:
        index = faiss.index_factory(16, factory, faiss.METRIC_L2 if factory == "LSH" else faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
        index.add_with_ids(vectors, np.arange(count)) if "IDMap" in factory else index.add(vectors)
        faiss.write_index(index, str(path))
        put_in_place(copy, path.name)

    for factory in ("IDMap,Flat", "LSH", "Flat,RFlat", "PCA8,Flat"):
        offered(factory)
        with pytest.raises(CorruptError, match=r"shard-0000\.faiss"):
            SearchIndex.open(copy)
    offered("Flat")
    with pytest.raises(CorruptError, match="not of the kind"):
        SearchIndex.open(copy)
    offered("IVF4,Flat")
    with pytest.raises(CorruptError, match="does not fit"):
        SearchIndex.open(copy)
    path.write_bytes(b"\x80\x04pickle")
    put_in_place(copy, path.name)
    with pytest.raises(CorruptError, match="no index of a kind that is read here"):
        SearchIndex.open(copy)
    path.write_bytes(b"IwSq" + b"\xff" * 5000)
    put_in_place(copy, path.name)
    with pytest.raises(CorruptError, match="FAISS cannot read it"):
        SearchIndex.open(copy)


def test_lists_stored_elsewhere_are_refused(tmp_path: Path) -> None:
    vectors = np.eye(8, dtype=np.float32)
    index = faiss.index_factory(8, "IVF2,Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    index.train(vectors)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    lists = faiss.OnDiskInvertedLists(2, index.code_size, str(elsewhere / "lists"))
    index.replace_invlists(lists)
    index.add(vectors)
    (tmp_path / "here").mkdir()
    faiss.write_index(index, str(tmp_path / "here/index.faiss"))
    with pytest.raises(CorruptError, match=r"index\.faiss"):
        read_index(tmp_path / "here/index.faiss")
    shutil.copy(elsewhere / "lists", tmp_path / "here/lists")
    with pytest.raises(CorruptError, match="OnDiskInvertedLists"):
        read_index(tmp_path / "here/index.faiss")


def test_a_full_disk_is_an_error_also_at_the_end_of_a_file() -> None:
    for count in (0, 20_000):
        index = faiss.IndexFlatIP(64)
        index.add(np.zeros((count, 64), np.float32))
        with pytest.raises(OSError, match="No space left"):
            write_index(index, Path("/dev/full"))


def test_current(version: Path, tmp_path: Path) -> None:
    index = version.parent.parent
    assert current_version(index) == version == current_version(version)
    (tmp_path / "versions").mkdir()
    for text in ("", "../../etc", "0" * 12, "\x00", "é" * 12, version.name[:-1]):
        (tmp_path / CURRENT_FILE).write_text(text)
        with pytest.raises(CorruptError, match="CURRENT"):
            current_version(tmp_path)
    os.unlink(tmp_path / CURRENT_FILE)
    with pytest.raises(UserError, match="no index at"):
        current_version(tmp_path)


def test_what_the_endpoint_imports_is_light() -> None:
    code = (
        "import sys; import xlret.search.query, xlret.search.filters, xlret.search.manifest, xlret.search.merge;"
        "print([name for name in ('faiss', 'torch', 'ray', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
