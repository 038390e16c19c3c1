"""FAISS files that would exhaust whoever reads them, with right checksums: refused in a child, and the server has not grown."""

import asyncio
import json
import resource
import struct
from pathlib import Path

import pytest
from index_building import build
from made_up import make_store, make_vectors

from xlret.errors import CorruptError
from xlret.search import trial_reading as trial
from xlret.search.index import SearchIndex
from xlret.search.manifest import MANIFEST, IndexManifest, file_entry, read_manifest
from xlret.search.query import SearchOptions


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trial")
    return build(make_store(directory / "store", 120), directory / "index", shards=2, factory="IVF4,SQ8")


@pytest.fixture
def doctor(version: Path, tmp_path: Path) -> object:
    """Puts other bytes in the place of shard 1's index, with a manifest that lists them."""

    def doctored(content: bytes) -> Path:
        for path in version.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        name = "shard-0001.faiss"
        (tmp_path / name).write_bytes(content)
        values = json.loads((version / MANIFEST).read_text())
        values["shards"][1]["index"] = file_entry(tmp_path / name).model_dump()
        (tmp_path / MANIFEST).write_text(IndexManifest.model_validate(values).sealed().model_dump_json())
        return tmp_path

    return doctored


def heads(whole: bytes) -> dict[str, bytes]:
    """Files whose head promises more than they hold."""

    def with_number(at: int, number: int) -> bytes:
        return whole[:at] + struct.pack("<Q", number) + whole[at + 8 :]

    lists = whole.index(b"ilar")
    rows, list_count, code_size = 8, 37, lists + 12
    table = whole[:lists] + b"ilar" + struct.pack("<QQ4sQ", 1 << 24, 16, b"sprs", 0)
    return {
        "16 million lists, all empty": table[:list_count] + struct.pack("<Q", 1 << 24) + table[list_count + 8 :],
        "a trillion lists": with_number(list_count, 1 << 40),
        "a trillion rows": with_number(rows, 1 << 40),
        "codes of a terabyte": with_number(code_size, 1 << 40),
        "a hundred thousand indexes in each other": (b"IxPT" + whole[4:37] + struct.pack("<i", 0)) * 100_000 + whole,
    }


def test_heads_that_promise_too_much(version: Path, doctor) -> None:  # type: ignore[no-untyped-def]
    """The first of them is read without a word where nothing limits it, into 2.7 GB: without the child this test fails."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusals = {
        "16 million lists, all empty": r"shard-0001\.faiss is refused: it wants more than the 64 MiB",
        "a trillion rows": r"shard-0001\.faiss does not fit the manifest",
    }
    for what_it_is, content in heads((version / "shard-0001.faiss").read_bytes()).items():
        with pytest.raises(CorruptError, match=refusals.get(what_it_is, r"shard-0001\.faiss is damaged")):
            SearchIndex.open(doctor(content))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10, f"the process that asked grew by {grown} KiB"


def test_a_server_refuses_its_shard(version: Path, doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from xlret.serve.engine import local
    from xlret.serve.settings import ServeSettings

    content = next(iter(heads((version / "shard-0001.faiss").read_bytes()).values()))
    doctored = doctor(content)
    monkeypatch.setattr(local, "INDEX", ".")  # the version stands for a release
    monkeypatch.setattr(local, "verify_files", lambda *args: None)
    for group, refused in ((0, False), (1, True)):
        shards = local.LocalShards(ServeSettings(), group, 2)
        load = shards.load("r", str(doctored))
        if refused:
            with pytest.raises(CorruptError, match=r"shard-0001\.faiss is refused: it wants more than"):
                asyncio.run(load)
        else:
            assert asyncio.run(load) == (0,)


def test_one_child_for_all_files_and_once(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(version)
    started: list[str] = []
    run = trial.subprocess.run
    monkeypatch.setattr(trial.subprocess, "run", lambda *args, **more: (started.append(more["input"]), run(*args, **more))[1])
    SearchIndex.open(version)
    assert started == [], "this process made the files itself"
    monkeypatch.setattr(trial, "_known", set())
    index = SearchIndex.open(version)
    SearchIndex.open(version)
    assert [len(task.splitlines()) for task in started] == [4], "two files of each of two shards"
    assert "SECRET" not in json.dumps(trial._environment(1.0))
    assert len(index.search(make_vectors(1), SearchOptions(top_k=3)).ids[0]) == 3
    assert trial.most_bytes(manifest, manifest.shards[0], 1 << 40) < 66 << 20


def test_a_child_that_dies_or_takes_too_long(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_known", set())
    monkeypatch.setattr(trial, "_START_S", 0.0)
    with pytest.raises(CorruptError, match=r"shard-0000\.vectors\.faiss is refused: a process .* took longer than 0 s"):
        SearchIndex.open(version)
    monkeypatch.setattr(trial.sys, "executable", "/bin/false")
    monkeypatch.setattr(trial, "_START_S", 60.0)
    with pytest.raises(CorruptError, match=r"shard-0000\.vectors\.faiss is refused: a process .* ended with status 1"):
        SearchIndex.open(version)
    monkeypatch.setattr(trial.sys, "executable", "/nowhere")
    with pytest.raises(CorruptError, match="no process could be started"):
        SearchIndex.open(version)


def test_what_is_allowed_grows_with_the_passages_alone(version: Path) -> None:
    manifest = read_manifest(version)
    entry = manifest.shards[0]
    million = entry.model_copy(update={"count": 1_000_000})
    by_rows = trial.most_bytes(manifest, million, 0) - trial.most_bytes(manifest, entry, 0)
    assert by_rows == pytest.approx((1_000_000 - entry.count) * 1.25 * 2 * manifest.dimension, rel=0.05)  # float16, stored
    lists = manifest.model_copy(update={"nlist": 1 << 30, "count": 1 << 31})
    assert trial.most_bytes(lists, entry, 4096) < 65 << 20, "no more lists than a file can hold centroids of"
    with pytest.raises(CorruptError, match="factory is 'LSH'"):
        trial.most_bytes(manifest.model_copy(update={"factory": "LSH"}), entry, 0)


def test_honest_files_of_another_kind_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no slack at all: what is allowed follows from what the file may hold."""
    directory = build(make_store(tmp_path / "store", 700), tmp_path / "index", factory="OPQ4,IVF4_HNSW8,PQ4x4")
    monkeypatch.setattr(trial, "_known", set())
    monkeypatch.setattr(trial, "_SLACK", 1 << 20)
    SearchIndex.open(directory)
    assert len(trial._known) == 2
