import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from flat_oracle import assert_same
from index_building import build, built, quiet
from made_up import LANGUAGES, make_store, make_vectors

from xlret.errors import UserError
from xlret.files import _machine
from xlret.search import build as building
from xlret.search.build import build_index
from xlret.search.calibration import Calibration
from xlret.search.index import SearchIndex
from xlret.search.manifest import current_version, verify
from xlret.search.query import SearchOptions
from xlret.search.settings import IndexSettings
from xlret.search.vectors.store import VectorStore, passages_of
from xlret.search.write import hashes


@pytest.mark.parametrize("factory", ["Flat", "IVF8,SQ8", "HNSW8,SQ8", "OPQ4,IVF8,PQ4x4"])
def test_the_same_input_makes_the_same_version(factory: str, small_store: VectorStore, tmp_path: Path) -> None:
    versions = [build(small_store, tmp_path / name, shards=2, factory=factory) for name in ("one", "two")]
    assert versions[0].name == versions[1].name
    other = build(small_store, tmp_path / "one", shards=3, factory=factory)
    assert other.name != versions[0].name
    assert current_version(tmp_path / "one") == other
    assert build(small_store, tmp_path / "one", shards=2, factory=factory) == versions[0]
    assert current_version(tmp_path / "one") == versions[0]


def test_a_damaged_version_is_replaced_by_building_it_again(small_store: VectorStore, tmp_path: Path) -> None:
    version = build(small_store, tmp_path / "index")
    mapped = SearchIndex.open(version)
    query, options = make_vectors(1, seed=3), SearchOptions(top_k=20)
    before = mapped.search(query, options)
    for damage in ("shard-0000.arrow", "manifest.json", None):
        if damage is None:
            (version / "sample.arrow").unlink()
        else:
            content = (version / damage).read_bytes()
            (version / damage).unlink()  # whoever has it mapped keeps it
            (version / damage).write_bytes(content[:-1])
        assert build(small_store, tmp_path / "index") == version
        verify(version)
        assert [path.name for path in (tmp_path / "index" / "versions").iterdir()] == [version.name]
        assert_same(SearchIndex.open(tmp_path / "index").search(query, options), before)
    assert_same(mapped.search(query, options), before)


def test_rows_are_sorted_and_spread_by_hash(small_store: VectorStore, tmp_path: Path) -> None:
    index = built(small_store, tmp_path / "index", shards=4)
    seen = []
    for shard in index.shards:
        rows = passages_of(shard.table)
        assert [(passage.lang, passage.id) for passage in rows] == sorted((passage.lang, passage.id) for passage in rows)
        assert set((hashes([passage.id for passage in rows]) % np.uint64(4)).tolist()) == {shard.number}
        assert [passage.lang for passage in rows] == [
            code for code, (start, end) in sorted(shard.entry.languages.items()) for _ in range(start, end)
        ]
        seen += rows
    wanted = [passage for part in small_store.parts() for passage in passages_of(part)]
    assert sorted(seen, key=lambda passage: passage.id) == sorted(wanted, key=lambda passage: passage.id)
    assert index.manifest.languages == dict(sorted(small_store.languages.items()))


def test_hashes_are_the_same_everywhere() -> None:
    """As `b2sum -l 64` has them, the lowest byte first."""
    known = ("40f89e395b66422f", "55f19df5c1392f37", "e4a6a0577479b2b4")
    assert hashes(["a", "ü", ""]).tolist() == [int.from_bytes(bytes.fromhex(passage), "little") for passage in known]


def test_it_says_what_it_does(small_store: VectorStore, tmp_path: Path) -> None:
    said: list[str] = []
    build_index(small_store, tmp_path / "index", IndexSettings(certificate_queries=10), say=said.append)
    assert said[0].startswith("factory Flat: up to 100,000 passages an exact scan")
    assert said[1] == "700 passages: 32 bytes a vector in memory (0.00 GiB in all), mapped from the disk"
    assert "recall@10 1.000" in said[-2]
    assert re.fullmatch(r"[\d.]+ s: shards [\d.]+, measuring [\d.]+, checking [\d.]+; all vectors were read 1 times", said[-1])
    said.clear()
    build_index(small_store, tmp_path / "index", IndexSettings(certificate_queries=10, factory="IVF8,SQ8"), say=said.append)
    assert any("training on 700 passages of all 5 languages" in line for line in said)
    assert sum("<- default" in line for line in said) == 1


def test_queries_of_ones_own(small_store: VectorStore, tmp_path: Path) -> None:
    queries = {"en": make_vectors(30, seed=2), "xx": make_vectors(5, seed=3)}
    settings = IndexSettings(certificate_queries=20, threads=1)
    version = build_index(small_store, tmp_path / "index", settings, queries=queries, say=quiet)
    certificate = SearchIndex.open(version).manifest.certificate
    assert certificate is not None
    assert (certificate.queries, certificate.made_of) == (15, "queries")
    calibration = Calibration.load(version / "calibration.json")
    assert calibration.languages == tuple(sorted(LANGUAGES))


def test_what_cannot_be_built(small_store: VectorStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        build(small_store, tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/photo.jpg").write_text("")
    with pytest.raises(UserError, match="holds something that is no index"):
        build(small_store, tmp_path / "other")
    with pytest.raises(UserError, match="9999 lists for 700 passages"):
        build(small_store, tmp_path / "index", factory="IVF9999,SQ8")
    few = make_store(tmp_path / "few", 3)
    with pytest.raises(UserError, match="too few to train"):
        build(few, tmp_path / "index", factory="PQ4")


def test_what_a_killed_build_left_is_cleared_by_the_next(small_store: VectorStore, tmp_path: Path) -> None:
    version = build(small_store, tmp_path / "index")
    half = tmp_path / "index" / ".building.abcdefgh"
    half.mkdir()
    (half / "shard-0000.arrow").write_bytes(b"half")
    unfinished = version.with_name(f".{version.name}.building.{_machine()}.abcdefgh")
    version.rename(f"{unfinished}.old")  # killed while it took the old one's place
    unfinished.mkdir()
    assert build(small_store, tmp_path / "index", shards=2) != version
    verify(version)
    assert not list((tmp_path / "index").rglob("*building*"))


def test_a_full_disk_leaves_the_index_as_it_was(
    small_store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(small_store, tmp_path / "index")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    monkeypatch.setattr(building, "write_table", full)
    with pytest.raises(UserError, match="no space left on the disk while writing"):
        build(small_store, tmp_path / "index", shards=2)
    assert current_version(tmp_path / "index") == before
    verify(before)
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == [".lock", "CURRENT", "versions"]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_scores_are_those_of_the_stored_vectors(dtype: str, tmp_path: Path) -> None:
    """Whatever codes find a passage, its score is the inner product with its vector as stored."""
    store = make_store(tmp_path / "store", 200, dtype=dtype)
    stored = make_vectors(200).astype(dtype).astype(np.float64)
    rows = {passage.id: row for row, passage in enumerate(passage for part in store.parts() for passage in passages_of(part))}
    query = make_vectors(1, seed=1)
    for factory in ("Flat", "SQfp16", "SQ4", "IVF4,PQ4x4", "HNSW8,SQ8"):
        hits = built(store, tmp_path / factory, factory=factory).search(query, SearchOptions(top_k=50))
        exact = [float(stored[rows[name]] @ query[0].astype(np.float64)) for name in hits.ids[0]]
        np.testing.assert_allclose(hits.scores[0], exact, atol=2e-6)
