"""Adding, deleting and compacting: what is found is what would be found in an index built anew."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from flat_oracle import assert_same, expected
from index_building import build, built, quiet
from made_up import make_passages, make_vectors

from xlret.errors import DataError, UserError
from xlret.search import calibration
from xlret.search.calibration import CALIBRATION, Calibration
from xlret.search.edit import append, compact, delete
from xlret.search.filters import Filter
from xlret.search.index import SearchIndex
from xlret.search.manifest import SAMPLE, VERSIONS, current_version, verify
from xlret.search.probing import ProbingPlan
from xlret.search.query import SearchOptions
from xlret.search.vectors.store import VectorStore, open_part, write_store
from xlret.search.write import scratch

FACTORIES = ["Flat", "IVF16,SQ8", "IVF16,PQ4x4"]
NUMBERS = (((1 << 53) + 1, "large"), (0.5, "small"))
STORED = make_vectors(700, distinct=400)
ALL = SearchOptions(top_k=2000, exact=True)


def bytes_of(version: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in version.iterdir()}


def more(index_dir: Path, count: int = 150, prefix: str = "q", languages: tuple[str, ...] = ("fr", "sw", "tr")) -> VectorStore:
    return write_store(index_dir, make_passages(count, 5, languages, prefix), make_vectors(count, seed=0, distinct=60))


@pytest.mark.parametrize("factory", FACTORIES)
def test_appended_deleted_compacted(factory: str, small_store: VectorStore, tmp_path: Path) -> None:
    index_dir, added = tmp_path / "index", more(tmp_path / "more")
    passages = [*make_passages(700), *make_passages(150, 5, ("fr", "sw", "tr"), "q")]
    vectors = np.concatenate([make_vectors(700, distinct=400), make_vectors(150, seed=0, distinct=60)]).astype(np.float16)
    queries = np.concatenate([make_vectors(8, seed=3), make_vectors(4, seed=0, distinct=60)])
    first = build(small_store, index_dir, shards=3, factory=factory, exact_rows=100)
    before = bytes_of(first)
    second = append(index_dir, added, say=quiet)
    gone = [one.id for one in passages[::3]]
    third = delete(index_dir, [*gone, "no such id"], say=quiet)
    fourth = compact(index_dir, say=quiet)
    fifth = compact(index_dir, shards=5, say=quiet)
    assert len({first, second, third, fourth, fifth}) == 5 == len(list((index_dir / VERSIONS).iterdir()))
    assert current_version(index_dir) == fifth
    assert bytes_of(first) == before
    for version in (first, second, third, fourth, fifth):
        verify(version)
    indexes = [SearchIndex.open(one) for one in (first, second, third, fourth, fifth)]
    assert [len(one.shards) for one in indexes] == [3, 4, 4, 3, 5]
    assert [one.manifest.count for one in indexes] == [700, 850, 566, 566, 566]
    assert indexes[1].manifest.languages.keys() == {"de", "en", "fr", "sw", "th", "tr"}
    for index, deleted in ((indexes[1], []), (indexes[2], gone), (indexes[3], gone), (indexes[4], gone)):
        for options in (
            ALL,
            SearchOptions(top_k=7, languages=("tr",)),
            SearchOptions(top_k=30, exact=True, filter=Filter({"year": {"gt": 2009}})),
        ):
            hits = index.search(queries, options)
            for query, vector in enumerate(queries):
                wanted = expected(passages, vectors, vector, options, deleted)
                assert (hits.ids[query], hits.scores[query].tolist()) == wanted
    options = SearchOptions(top_k=20, nprobe=2)
    assert_same(indexes[2].search(queries, options), indexes[3].search(queries, options))
    assert_same(indexes[2].search(queries, options), indexes[4].search(queries, options))
    hits = indexes[3].search(queries, ALL)
    assert [one.id for one in indexes[3].passages(hits, 0)] == hits.ids[0]


@pytest.mark.parametrize("factory", FACTORIES)
def test_appending_is_as_building_with_all(factory: str, small_store: VectorStore, tmp_path: Path) -> None:
    """The further shard is encoded by what the first ones were encoded by."""
    index_dir = tmp_path / "index"
    build(small_store, index_dir, shards=2, factory=factory)
    append(index_dir, more(tmp_path / "more"), say=quiet)
    appended = SearchIndex.open(index_dir)
    compact(index_dir, say=quiet)
    options = [SearchOptions(top_k=15, nprobe=2), SearchOptions(top_k=15, languages=("tr", "fr"), nprobe=1)]
    queries = make_vectors(2, seed=3)
    assert_same(appended.search(queries, options), SearchIndex.open(index_dir).search(queries, options))


def test_passages_that_are_there_already(small_store: VectorStore, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    build(small_store, index_dir, shards=2, factory="IVF8,SQ8")
    again = more(tmp_path / "again", 50, prefix="p", languages=("en",))
    with pytest.raises(UserError, match="50 of the ids are in the index already, such as 'p"):
        append(index_dir, again, say=quiet)
    append(index_dir, again, replace=True, say=quiet)
    index = SearchIndex.open(index_dir)
    assert index.manifest.count == 700
    hits = index.search(make_vectors(1), ALL)
    assert len(hits.ids[0]) == 700 == len(set(hits.ids[0]))
    texts = {one.id: one for one in make_passages(50, 5, ("en",), "p")}
    assert [one for one in index.passages(hits, 0) if one.id in texts] == [texts[name] for name in hits.ids[0] if name in texts]


def test_what_cannot_be_appended(small_store: VectorStore, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    build(small_store, index_dir)
    passages, vectors = make_passages(10, prefix="x"), make_vectors(10)
    other = write_store(tmp_path / "dimension", passages, make_vectors(10, 8))
    with pytest.raises(UserError, match="8 float16 numbers, the index 16"):
        append(index_dir, other, say=quiet)
    with pytest.raises(UserError, match="float32 numbers"):
        append(index_dir, write_store(tmp_path / "dtype", passages, vectors, dtype="float32"), say=quiet)
    encoder = {"dimension": 16, "sha256": {"model.safetensors": "0" * 64}}
    with pytest.raises(UserError, match="encoded otherwise"):
        append(index_dir, write_store(tmp_path / "encoder", passages, vectors, encoder=encoder), say=quiet)
    clash = [one._replace(metadata={"year": "long ago"}) for one in passages]
    with pytest.raises(DataError, match="year is a string in the new passages and a int"):
        append(index_dir, write_store(tmp_path / "clash", clash, vectors), say=quiet)
    assert len(list((index_dir / VERSIONS).iterdir())) == 1


def test_further_metadata_comes_with_appended_passages(small_store: VectorStore, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    build(small_store, index_dir, shards=2)
    passages = [one._replace(metadata={"year": 2001.5, "author": "Kafka"}) for one in make_passages(20, prefix="x")]
    append(index_dir, write_store(tmp_path / "more", passages, make_vectors(20)), say=quiet)
    for version in ("appended", "compacted"):
        index = SearchIndex.open(index_dir)
        assert index.manifest.fields == {
            "author": "string",
            "good": "bool",
            "kind": "string",
            "score": "float",
            "year": "float",
        }
        hits = index.search(make_vectors(1), SearchOptions(top_k=99, filter=Filter({"author": "Kafka", "year": {"lt": 2002}})))
        assert set(hits.ids[0]) == {one.id for one in passages}, version
        hits = index.search(make_vectors(1), SearchOptions(top_k=2000, filter=Filter({"author": None, "year": 2003.0})))
        assert set(hits.ids[0]) == {one.id for one in make_passages(700) if one.metadata["year"] == 2003}
        compact(index_dir, say=quiet)


def test_whole_numbers_that_no_float_can_be_join_floats(tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    large, small = ([one._replace(metadata={"n": n}) for one in make_passages(20, prefix=n_of)] for n, n_of in NUMBERS)
    build(write_store(tmp_path / "large", large, make_vectors(20)), index_dir)
    for step in ("appended", "compacted"):
        if step == "appended":
            append(index_dir, write_store(tmp_path / "small", small, make_vectors(20, seed=1)), say=quiet)
        else:
            compact(index_dir, say=quiet)
        index = SearchIndex.open(index_dir)
        assert index.manifest.fields == {"n": "float"}
        for condition, wanted in (({"gte": 0.5}, large + small), ({"gt": 0.5}, large), ({"in": [(1 << 53) + 1]}, large)):
            hits = index.search(make_vectors(1), SearchOptions(top_k=99, filter=Filter({"n": condition})))
            assert set(hits.ids[0]) == {one.id for one in wanted}, (step, condition)


def test_deleting(small_store: VectorStore, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    build(small_store, index_dir, shards=2)
    said: list[str] = []
    with pytest.raises(UserError, match="none of the 2 ids"):
        delete(index_dir, ["nothing", "no"], say=quiet)
    delete(index_dir, ["p1", "p2", "nothing"], say=said.append)
    assert said[0] == "2 passages deleted; 1 ids are not in the index"
    with pytest.raises(UserError, match="none of the 2 ids"):
        delete(index_dir, ["p1", "p2"], say=quiet)
    with pytest.raises(UserError, match="all 698 passages"):
        delete(index_dir, [one.id for one in make_passages(700)], say=quiet)
    delete(index_dir, [one.id for one in make_passages(700) if one.lang == "th"], say=quiet)
    index = SearchIndex.open(index_dir)
    assert index.manifest.languages["th"] == 0
    assert index.search(make_vectors(1), SearchOptions(languages=("th",))).ids == [[]]
    compact(index_dir, say=quiet)
    assert "th" not in SearchIndex.open(index_dir).manifest.languages


def test_the_sample_is_drawn_anew_where_its_passages_go(
    small_store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_SAMPLE_PER_LANGUAGE", 20)
    monkeypatch.setattr(calibration, "_SAMPLE", 20)
    index_dir, added = tmp_path / "index", make_passages(60, 5, ("fr", "tr"), "q")
    build(small_store, index_dir, shards=2, factory="IVF8,SQ8")
    gone: set[str] = set()
    passages = dict(zip((one.id for one in make_passages(700)), zip(make_passages(700), STORED, strict=True), strict=True))
    for _ in range(2):
        sample = open_part(current_version(index_dir) / SAMPLE)
        doomed = sample.column("id").to_pylist()
        assert not gone & set(doomed)
        gone |= set(doomed)
        version = delete(index_dir, doomed, say=quiet)
        index = SearchIndex.open(index_dir)
        plan = ProbingPlan.open(version, index.manifest)
        for code, count in index.manifest.languages.items():
            sampled = open_part(version / SAMPLE).column("lang").to_pylist().count(code)
            assert sampled == min(20, count)
            some = SearchOptions(languages=(code,), filter=Filter({"year": {"gte": 1999}}), top_k=50)
            assert plan.eligible(some) == count
            assert len(index.search(make_vectors(1), some).ids[0]) == min(50, count)
    assert {"th", "sw"} & {code for code, count in index.manifest.languages.items() if count < 20}
    append(index_dir, write_store(tmp_path / "more", added, STORED[:60]), say=quiet)
    compact(index_dir, say=quiet)
    left = [*(one for name, one in passages.items() if name not in gone), *zip(added, STORED, strict=False)]
    anew = write_store(tmp_path / "left", [one for one, _ in left], np.array([vector for _, vector in left]))
    both = [current_version(index_dir), build(anew, tmp_path / "anew", factory="IVF8,SQ8")]
    one, other = (open_part(version / SAMPLE) for version in both)
    assert one.to_pylist() == other.to_pylist()
    one, other = (Calibration.load(version / CALIBRATION) for version in both)
    assert one == other


def test_one_change_at_a_time(small_store: VectorStore, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    build(small_store, index_dir)
    (index_dir / ".building.left").mkdir()
    left = index_dir / VERSIONS / ".0123456789ab.left"  # of one that was killed while it published
    left.mkdir()
    (left / "shard-0000.arrow").write_text("")
    (index_dir / ".CURRENT.left").write_text("")
    with scratch(index_dir), pytest.raises(UserError, match="another process is changing"):
        delete(index_dir, ["p1"], say=quiet)
    delete(index_dir, ["p1"], say=quiet)
    assert sorted(path.name for path in index_dir.iterdir()) == [".lock", "CURRENT", "versions"]
    assert not left.exists()


def test_a_shard_of_each_size(tmp_path: Path) -> None:
    """Two passages in eight shards: most are empty, and may be appended to, deleted from and compacted."""
    store = write_store(tmp_path / "store", make_passages(2), make_vectors(2))
    for factory in ("Flat", "SQ8", "IVF1,SQ8", "HNSW8"):
        index_dir = tmp_path / factory
        assert set(built(store, index_dir, shards=8, factory=factory).search(make_vectors(1), ALL).ids[0]) == {"p0", "p1"}
        append(index_dir, more(tmp_path / f"more-{factory}", 3), say=quiet)
        delete(index_dir, ["p0"], say=quiet)
        compact(index_dir, say=quiet)
        assert set(SearchIndex.open(index_dir).search(make_vectors(1), ALL).ids[0]) == {"p1", "q0", "q1", "q2"}
