"""Shards made each from its own part: the bytes of shards cut from the whole, few passes, going on after a kill."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from index_building import build, quiet
from made_up import make_passages, make_vectors

from xlret.search import partition, shard_task
from xlret.search.build import build_index
from xlret.search.edit import append, compact, delete
from xlret.search.factory import factory_of, new_index, train, training_rows
from xlret.search.faiss_files import write_index
from xlret.search.index import SearchIndex
from xlret.search.manifest import read_manifest, verify
from xlret.search.partition import TrainingRows, partitioned, shard_rows, training_ranks
from xlret.search.settings import IndexSettings
from xlret.search.vectors.store import VectorStore, vectors_of, write_store
from xlret.search.write import hashes, sample_of, write_shard

KILLED = """
import os, signal, sys
from pathlib import Path
from xlret.search import shard_task
from xlret.search.build import build_index
from xlret.search.settings import IndexSettings
from xlret.search.vectors.store import VectorStore
make_shard = shard_task.make_shard
def make_two(task):
    if task.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    make_shard(task)
shard_task.make_shard = make_two
settings = IndexSettings(shards=4, factory="IVF8,SQ8", certificate_queries=10, threads=1)
build_index(VectorStore.open(Path(sys.argv[1])), Path(sys.argv[2]), settings)
"""


@pytest.mark.parametrize("factory", ["Flat", "IVF8,SQ8", "HNSW8,SQ8", "OPQ4,IVF8,PQ4x4"])
def test_shards_are_those_cut_from_the_whole(
    factory: str, small_store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference holds all passages at once, trains on rows of the whole and filters it by hash."""
    monkeypatch.setattr(partition, "_BLOCK_ROWS", 150)  # several blocks
    version = build(small_store, tmp_path / "index", shards=3, factory=factory)
    table = pa.concat_tables(small_store.parts()).combine_chunks()
    rows, vectors = table.drop_columns(["vector"]), vectors_of(table)
    langs = np.array(rows.column("lang").to_pylist())
    kind = factory_of(factory, 700, 16, "float16")
    trained = None
    if not kind.lossless or kind.kind != "flat":
        trained = new_index(kind, 16, 0)
        ranks = training_ranks(small_store.languages, training_rows(kind, 700), 0)
        chosen = np.sort(np.concatenate([np.flatnonzero(langs == code)[ranks[code]] for code in ranks]))
        train(trained, vectors[chosen].astype(np.float32), 1)
        write_index(trained, tmp_path / "trained.faiss")
        assert (version / "trained.faiss").read_bytes() == (tmp_path / "trained.faiss").read_bytes()
    shard_N = hashes(rows.column("id").to_pylist()) % np.uint64(3)
    for shard in read_manifest(version).shards:
        inside = shard_N == shard.number
        wanted, _ = write_shard(
            tmp_path, shard.number, rows.filter(pa.array(inside)), vectors[inside], trained, trained is None, 1
        )
        assert shard == wanted
    assert SearchIndex.open(version).manifest.count == 700
    sample = pa.ipc.open_file(version / "sample.arrow").read_all()
    assert sample.equals(sample_of(rows, vectors, len(small_store.languages)))


def test_few_passes_over_the_vectors_whatever_the_number_of_shards(
    small_store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(VectorStore, "parts", lambda store: read.append("store") or map(partition_part, store.files()))
    whole = shard_task.shard_rows
    monkeypatch.setattr(shard_task, "shard_rows", lambda blocks, batch: read.append(f"shard {batch}") or whole(blocks, batch))
    for shards, debias, wanted in ((1, None, 1), (6, None, 1), (6, "shift", 2)):
        read.clear()
        said: list[str] = []
        settings = IndexSettings(shards=shards, factory="IVF8,SQ8", certificate_queries=10, threads=1)
        build_index(small_store, tmp_path / f"{shards}{debias}", settings, debias=debias, say=said.append)
        assert read == ["store"] * wanted + [f"shard {number}" for number in range(shards)]
        assert said[-1].endswith(f"all vectors were read {wanted + 1} times")


def partition_part(path: Path) -> pa.Table:
    return pa.ipc.open_file(path).read_all()


def test_a_shards_part_is_all_that_its_task_reads(small_store: VectorStore, tmp_path: Path) -> None:
    pieces = [(part.drop_columns(["vector"]), vectors_of(part)) for part in small_store.parts()]
    training = TrainingRows(small_store.languages, 100, 16, seed=0)
    blocks = partitioned(lambda: iter(pieces), 8, tmp_path, training)
    assert len(training.vectors_TD) >= 100
    seen = 0
    for number in range(8):
        rows, vectors = shard_rows(blocks, number)
        assert set((hashes(rows.column("id").to_pylist()) % np.uint64(8)).tolist()) == {number}
        assert len(vectors) == rows.num_rows < 150
        seen += rows.num_rows
    assert seen == 700


def test_a_killed_build_goes_on_with_the_shards_that_are_not_done(
    small_store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = build(small_store, tmp_path / "undisturbed", shards=4, factory="IVF8,SQ8")
    command = [sys.executable, "-c", KILLED, str(small_store.path), str(tmp_path / "index")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    made: list[int] = []
    make_shard = shard_task.make_shard
    monkeypatch.setattr(shard_task, "make_shard", lambda task: made.append(task.number) or make_shard(task))
    [left] = (tmp_path / "index").glob(".building.*")
    (left / "version/shard-0001.faiss").unlink()  # as if it had been killed while it published
    version = build(small_store, tmp_path / "index", shards=4, factory="IVF8,SQ8")
    assert made == [1, 2, 3]
    assert version.name == wanted.name
    verify(version)
    assert not left.exists()


def test_an_interrupted_compact_goes_on_and_another_plan_begins_anew(
    small_store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_dir, made = tmp_path / "index", []
    build(small_store, index_dir, shards=2, factory="IVF8,SQ8")
    append(index_dir, write_store(tmp_path / "more", make_passages(50, prefix="x"), make_vectors(50)), say=quiet)
    before = delete(index_dir, ["p1", "x2"], say=quiet)
    make_shard = shard_task.make_shard

    def stops_at_two(task: shard_task.ShardTask) -> None:
        if task.number == 2:
            raise KeyboardInterrupt
        make_shard(task)

    monkeypatch.setattr(shard_task, "make_shard", stops_at_two)
    for shards in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            compact(index_dir, shards=shards, say=quiet)
    monkeypatch.setattr(shard_task, "make_shard", lambda task: made.append(task.number) or make_shard(task))
    version = compact(index_dir, shards=4, say=quiet)
    assert made == [2, 3]
    manifest = verify(version)
    assert (manifest.parent, manifest.count, len(manifest.shards)) == (before.name, 748, 4)
    assert not list(index_dir.glob(".building.*"))
