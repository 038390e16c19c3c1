"""Any number of shards answers as one flat index does."""

import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from flat_oracle import assert_same, expected
from hypothesis import given, settings
from hypothesis import strategies as st
from index_building import built, quiet
from made_up import LANGUAGES, make_passages, make_vectors, unit

from xlret.errors import UserError
from xlret.keys import generator
from xlret.search.edit import delete
from xlret.search.filters import Filter
from xlret.search.index import SearchIndex
from xlret.search.merge import Hits
from xlret.search.query import SearchOptions
from xlret.search.vectors.store import VectorStore, write_store

KINDS = ("SQ8", "IVF16,Flat", "IVF16,SQ8", "IVF16_HNSW8,SQ4", "PQ4x4", "IVF16,PQ4x4", "OPQ4,IVF8,PQ4x4")


def options_for(queries: int) -> list[SearchOptions]:
    """Options of all kinds in turn."""
    kinds = [
        SearchOptions(top_k=10),
        SearchOptions(top_k=1),
        SearchOptions(top_k=10, languages=("th",)),
        SearchOptions(top_k=10, languages=("en", "de")),
        SearchOptions(top_k=10, filter=Filter({"year": {"gte": 2004}})),
        SearchOptions(top_k=10, filter=Filter({"kind": "news", "good": True}), languages=("en", "de")),
        SearchOptions(top_k=300, nprobe=1, ef=4),
        SearchOptions(top_k=9, exclude_ids=frozenset(f"p{number}" for number in range(0, 700, 2))),
        SearchOptions(top_k=2000),
    ]
    return [kinds[index_dir % len(kinds)] for index_dir in range(queries)]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 12),
    st.lists(st.integers(1, 8), min_size=1, max_size=3),
    st.sampled_from(["float16", "float32"]),
    st.integers(1, 80),
    st.integers(0, 1000),
)
def test_shards_answer_as_one_flat_index(
    count: int, distinct: int, shards: list[int], dtype: str, top_k: int, seed: int
) -> None:
    passages = make_passages(count, seed)
    vectors = make_vectors(count, 8, seed, distinct)
    queries = np.concatenate([make_vectors(3, 8, seed + 1), vectors[:1]])
    gone = [one.id for one in passages[: count // 3]]
    with tempfile.TemporaryDirectory() as directory:
        store = write_store(Path(directory) / "store", passages, vectors, dtype=dtype)
        stored = vectors.astype(dtype)
        some = sorted({one.lang for one in passages})[:2]
        for number in shards:
            index_dir = Path(directory) / f"index-{number}"
            index = built(store, index_dir, shards=number, factory="Flat")
            if gone:
                deleted = SearchIndex.open(delete(index_dir, gone, say=quiet))
            for options in (
                SearchOptions(top_k=top_k),
                SearchOptions(top_k=top_k, languages=tuple(some)),
                SearchOptions(top_k=top_k, filter=Filter({"year": {"lt": 2010}, "good": True})),
                SearchOptions(top_k=top_k, exclude_ids=frozenset(one.id for one in passages[::2])),
            ):
                hits = index.search(queries, options)
                for query, vector in enumerate(queries):
                    assert (hits.ids[query], hits.scores[query].tolist()) == expected(passages, stored, vector, options)
                if gone:
                    hits = deleted.search(queries, options)
                    for query, vector in enumerate(queries):
                        wanted = expected(passages, stored, vector, options, gone)
                        assert (hits.ids[query], hits.scores[query].tolist()) == wanted


@pytest.mark.parametrize("factory", KINDS)
def test_shards_change_nothing(factory: str, small_store: VectorStore, tmp_path: Path) -> None:
    """Ids and scores are equal to the bit for any number of shards, with ties, filters and few probes; so are lost passages."""
    queries = np.concatenate([make_vectors(24, seed=7), make_vectors(700, distinct=400)[:12]])
    options = options_for(len(queries))
    first: Hits | None = None
    for shards in (1, 2, 5, 8):
        index = built(small_store, tmp_path / str(shards), shards=shards, factory=factory, exact_rows=100)
        hits = index.search(queries, options)
        if first is None:
            first = hits
            for query, one in enumerate(options):
                among = index.search(
                    queries[query : query + 1],
                    SearchOptions(
                        top_k=2000, languages=one.languages, filter=one.filter, exclude_ids=one.exclude_ids, exact=True
                    ),
                )
                assert len(hits.ids[query]) == min(one.top_k, len(among.ids[0]))
        assert_same(first, hits)


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "HNSW8,SQ8", *KINDS])
def test_a_batch_answers_as_its_queries_one_by_one(factory: str, small_store: VectorStore, tmp_path: Path) -> None:
    index = built(small_store, tmp_path / "index", shards=2, factory=factory, exact_rows=100)
    queries = make_vectors(70, seed=8)
    options = options_for(len(queries))
    together = index.search(queries, options)
    for query in range(len(queries)):
        alone = index.search(queries[query : query + 1], options[query])
        assert alone.ids[0] == together.ids[query]
        np.testing.assert_array_equal(alone.scores[0].view(np.uint32), together.scores[query].view(np.uint32))
    for size in (3, 64):
        parts = [index.search(queries[at : at + size], options[at : at + size]) for at in range(0, len(queries), size)]
        assert [one for part in parts for one in part.ids] == together.ids


@pytest.mark.parametrize("factory", ["Flat", "IVF16,SQ8", "HNSW8"])
def test_fewer_hits_are_the_first_of_more(factory: str, small_store: VectorStore, tmp_path: Path) -> None:
    index = built(small_store, tmp_path / "index", shards=3, factory=factory)
    queries = make_vectors(20, seed=9)
    few = index.search(queries, SearchOptions(top_k=3, nprobe=16, ef=400))
    many = index.search(queries, SearchOptions(top_k=10, nprobe=16, ef=400))
    assert few.ids == [ids[:3] for ids in many.ids]


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "HNSW8,SQ8"])
def test_there_are_always_as_many_hits_as_can_be(factory: str, small_store: VectorStore, tmp_path: Path) -> None:
    """With one probe into lists that hold none of the language, and a filter that leaves little of a large part."""
    index = built(small_store, tmp_path / "index", shards=4, factory=factory, exact_rows=0)
    rows = [one for part in small_store.parts() for one in part.column("lang").to_pylist()]
    for lang in LANGUAGES:
        hits = index.search(make_vectors(10, seed=3), SearchOptions(top_k=500, languages=(lang,), nprobe=1, ef=1))
        assert {len(ids) for ids in hits.ids} == {min(500, rows.count(lang))}
        assert {code for langs in hits.langs for code in langs} == {lang}
    one = Filter({"kind": "news", "year": 2003})
    exact = index.search(make_vectors(10, seed=3), SearchOptions(top_k=500, filter=one, exact=True))
    hits = index.search(make_vectors(10, seed=3), SearchOptions(top_k=500, filter=one, nprobe=1, ef=1))
    assert exact.ids[0]
    assert [sorted(ids) for ids in hits.ids] == [sorted(ids) for ids in exact.ids]


def test_passages_come_back_in_the_order_of_hits(small_store: VectorStore, tmp_path: Path) -> None:
    index = built(small_store, tmp_path / "index", shards=3)
    hits = index.search(make_vectors(2, seed=4), SearchOptions(top_k=20))
    known = {one.id: one for one in make_passages(700)}
    for query in range(2):
        passages_found = index.passages(hits, query)
        assert passages_found == [known[name] for name in hits.ids[query]]
        assert [one.lang for one in passages_found] == hits.langs[query]
    with pytest.raises(UserError, match="rows"):
        index.shards[0].passages([10_000])


def test_many_threads_get_the_same_answers(small_store: VectorStore, tmp_path: Path) -> None:
    index = built(small_store, tmp_path / "index", shards=2, factory="IVF16,SQ8", exact_rows=100)
    queries = make_vectors(36, seed=8)
    options = options_for(len(queries))
    alone = index.search(queries, options)
    answers: list[Hits] = []
    threads = [threading.Thread(target=lambda: answers.append(index.search(queries, options))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(threads)
    for one in answers:
        assert_same(alone, one)


def test_a_language_without_neighbours_is_found_in_its_own_lists(tmp_path: Path) -> None:
    """Two languages on opposite sides: the lists nearest to the query hold none of the other language."""
    numbers = generator(0, "two sides")
    side = np.eye(8)[0]
    vectors = np.concatenate(
        [unit(side + 0.2 * numbers.standard_normal((400, 8))), unit(-side + 0.2 * numbers.standard_normal((400, 8)))]
    )
    passages = [one._replace(lang="en" if row < 400 else "th") for row, one in enumerate(make_passages(800))]
    store = write_store(tmp_path / "store", passages, vectors)
    index = built(store, tmp_path / "index", factory="IVF16,SQ8", exact_rows=0)
    options = SearchOptions(top_k=10, languages=("th",), nprobe=2)
    passages_found = index.search(vectors[:20], options)
    exact = index.search(vectors[:20], SearchOptions(top_k=10, languages=("th",), exact=True))
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(passages_found.ids, exact.ids, strict=True)])
    assert recall > 0.6


@pytest.mark.parametrize(
    ("vectors", "options", "message"),
    [
        (np.full((1, 16), np.nan), SearchOptions(), "NaN"),
        (np.full((1, 16), np.inf), SearchOptions(), "infinity"),
        (np.full((1, 16), 1e30), SearchOptions(), "beyond"),
        (np.zeros((1, 15)), SearchOptions(), "shape"),
        (np.zeros(16), SearchOptions(), "shape"),
        (np.zeros((2, 16)), [SearchOptions()], "1 options for 2 queries"),
        (np.zeros((1, 16)), SearchOptions(top_k=0), "top_k is 0"),
        (np.zeros((1, 16)), SearchOptions(top_k=10**9), "top_k"),
        (np.zeros((1, 16)), SearchOptions(top_k=True), "top_k"),
        (np.zeros((1, 16)), SearchOptions(nprobe=0), "nprobe"),
        (np.zeros((1, 16)), SearchOptions(languages=("xx",)), "no passages in 'xx'"),
        (np.zeros((1, 16)), SearchOptions(languages=()), "languages is empty"),
        (np.zeros((1, 16)), SearchOptions(filter=Filter({"nothing": 1})), "unknown metadata field"),
        (np.zeros((1, 16)), SearchOptions(exclude_ids=frozenset(map(str, range(10_001)))), "exclude_ids"),
    ],
)
def test_questions_that_are_refused(
    vectors: np.ndarray, options: SearchOptions, message: str, small_store: VectorStore, shared_index: SearchIndex
) -> None:
    with pytest.raises(UserError, match=message):
        shared_index.search(vectors, options)


def test_a_zero_query_and_no_query(shared_index: SearchIndex) -> None:
    hits = shared_index.search(np.zeros((1, 16)), SearchOptions(top_k=5))
    assert hits.scores[0].tolist() == [0] * 5
    assert hits.ids[0] == sorted(f"p{number}" for number in range(700))[:5]
    assert shared_index.search(np.zeros((0, 16)), SearchOptions()).ids == []


@pytest.fixture(scope="session")
def shared_index(small_store: VectorStore, tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    return built(small_store, tmp_path_factory.mktemp("search") / "shared", shards=2)
