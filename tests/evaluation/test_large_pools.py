"""Pools that do not fit into memory: blocks have the ranks of the whole, kept vectors are not made again, an index is asked."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.bench.evaluation import large_pool
from xlret.commands.app import main
from xlret.data import texts_on_disk
from xlret.data.corpus import ParallelCorpus
from xlret.data.sources.judged import read_judged
from xlret.data.texts_on_disk import TextsOnDisk
from xlret.errors import UserError
from xlret.evaluation import blocked
from xlret.evaluation import measure as measuring
from xlret.evaluation.blocked import retrieve_blocks
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.measure import Method, measure
from xlret.evaluation.pools import as_pools, merged
from xlret.evaluation.report import as_json
from xlret.evaluation.retrieve import retrieve
from xlret.evaluation.sets import RetrievalSet, from_corpus, from_judged, set_fingerprint
from xlret.model.encoder import Encoder
from xlret.search.build import build_index
from xlret.search.settings import IndexSettings
from xlret.search.vectors.store import VectorStore
from xlret.shapes import FloatMatrix, IntArray


class Blocks:
    """A matrix, some rows at a time."""

    def __init__(self, vectors_PD: FloatMatrix, rows: int) -> None:
        self.vectors_PD, self.size, self.count = vectors_PD, rows, len(vectors_PD)

    def blocks(self) -> Iterator[FloatMatrix]:
        for start in range(0, self.count, self.size):
            yield self.vectors_PD[start : start + self.size]

    def rows(self, rows: IntArray) -> FloatMatrix:
        return self.vectors_PD[rows]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [True, False])
def test_blocks_have_the_ranks_of_the_whole(
    made: Callable[..., Any], seed: int, ties: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked, "_QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(blocked, "_SPARSE", [4, 0, 10**9][seed % 3])  # as it is, always group by group, never
    monkeypatch.setattr(blocked, "_PASSAGES_AT_ONCE", 21)
    monkeypatch.setattr(blocked, "_GROUP", [16, 3][seed % 2])  # fewer groups than 4, and more
    retrieval_set, queries, passages = made(seed, groups=20, ties=ties)
    langs = retrieval_set.passage_langs
    for size in (1, 5, 1000):
        for depth in (0, 4, 500):
            whole = retrieve(queries, passages, retrieval_set.relevant, langs, depth)
            parts = retrieve_blocks(queries, Blocks(passages, size), retrieval_set.relevant, langs, depth)
            for name in ("query_N", "passage_N", "pooled_rank_N", "own_rank_N", "is_tied_N", "length_Q", "top_QK"):
                np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), err_msg=f"{name}, {size}, {depth}")
            np.testing.assert_allclose(parts.top_scores_QK, whole.top_scores_QK, atol=1e-5)


def test_equal_vectors_tie_in_any_block() -> None:
    rng = np.random.default_rng(0)
    vector = rng.normal(size=48).astype(np.float32)
    passages = np.stack([vector] * 37 + [rng.normal(size=48).astype(np.float32) / 9])
    query = (vector + 0.1 * rng.normal(size=48)).astype(np.float32)[None]
    retrieved = retrieve_blocks(query, Blocks(passages, 10), [np.array([25])], ["en"] * 38, 30)
    assert retrieved.pooled_rank_N.tolist() == [26]
    assert retrieved.top_QK[0].tolist() == list(range(30))
    assert retrieved.is_tied_N.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": np.ones((2, 3), np.float32)}, "2 rows|a row for each query"),
        ({"queries": np.full((1, 3), np.nan, np.float32)}, "query vectors hold NaN"),
        ({"queries": np.ones((1, 4), np.float32)}, "4 dimensions and passage vectors 3"),
        (
            {"passages": np.array([[1, 2, np.inf], [1, 2, 3]], np.float32)},
            "NaN or infinity in rows 0 to 1",
        ),
    ],
)
def test_what_does_not_fit_in_blocks_is_refused(change: dict[str, Any], message: str) -> None:
    given = {"queries": np.ones((1, 3), np.float32), "passages": np.ones((2, 3), np.float32)} | change
    with pytest.raises(ValueError, match=message):
        retrieve_blocks(given["queries"], Blocks(given["passages"], 8), [np.empty(0, np.int64)], ["en", "en"])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("queries", [1, 3])
def test_no_query_hides_a_number_that_is_not_finite(number: float, queries: int) -> None:
    passages = np.ones((40, 5), np.float32)
    passages[33, 2] = number
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="NaN or infinity in rows 32 to 39"):
        retrieve_blocks(np.zeros((queries, 5), np.float32), Blocks(passages, 8), [np.empty(0, np.int64)] * queries, ["en"] * 40)
    large = np.full((4, 5), 1e38, np.float32)  # their scores are not finite, and they are
    with np.errstate(all="ignore"):
        retrieved = retrieve_blocks(np.ones((1, 5), np.float32), Blocks(large, 8), [np.empty(0, np.int64)], ["en"] * 4, 2)
    assert retrieved.top_QK.tolist() == [[0, 1]]


def numbers(evaluation: Evaluation) -> dict[str, Any]:
    values = as_json(evaluation)
    return {name: values[name] for name in ("mo", "cr", "mul", "rank_distance", "pooled", "matrix", "pool", "by_language")}


@pytest.fixture
def pool(corpora: Path) -> RetrievalSet:
    return from_corpus(ParallelCorpus.open(corpora / "dev"))


def test_a_second_evaluation_encodes_nothing_and_has_the_same_numbers(
    tmp_path: Path, pool: RetrievalSet, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, kept = Encoder.load(encoder), Method(vectors=tmp_path / "kept")
    plain = measure(model, pool, Method()).evaluation
    assert numbers(measure(model, pool, kept).evaluation) == numbers(plain)
    monkeypatch.setattr(measuring, "MOST_IN_MEMORY", 10)
    again = Encoder.load(encoder)
    monkeypatch.setattr(Encoder, "encode", lambda *_, **__: pytest.fail("encoded again"))
    in_blocks = measure(again, pool, kept).evaluation
    assert numbers(in_blocks) == numbers(plain)
    centred = replace(kept, debias="centre")
    cleaned = measure(again, pool, centred).evaluation
    monkeypatch.setattr(measuring, "MOST_IN_MEMORY", 10**6)
    assert cleaned.mul == pytest.approx(measure(again, pool, centred).evaluation.mul, abs=1e-6)
    monkeypatch.setattr(measuring, "MOST_IN_MEMORY", 10)
    assert measure(again, pool, replace(kept, balance="quota")).evaluation.mul > 0  # has all of them in memory
    monkeypatch.undo()
    shorter = Encoder.load(encoder, max_passage_tokens=5)
    measure(shorter, pool, kept)
    assert len([path for path in (tmp_path / "kept").iterdir() if path.is_dir()]) == 2  # another limit, other vectors


def test_texts_on_disk_change_nothing(
    tmp_path: Path, pool: RetrievalSet, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, columns in (
        ("queries", (pool.query_ids, pool.query_langs, pool.query_texts)),
        ("corpus", (pool.passage_ids, pool.passage_langs, pool.passage_texts)),
    ):
        records = [{"_id": key, "lang": lang, "text": text} for key, lang, text in zip(*columns, strict=True)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "qrels").mkdir()
    answers = zip(pool.query_ids, pool.relevant, strict=True)
    lines = [f"{query}\t{pool.passage_ids[passage]}\t1" for query, passages in answers for passage in passages]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]))

    def sets() -> list[RetrievalSet]:
        whole = from_judged("pool", read_judged(tmp_path))
        parts = list(as_pools([whole], "cross"))
        by_language = [from_judged(lang, read_judged(tmp_path), languages=[lang], prefix=lang) for lang in pool.languages]
        return [whole, *parts, merged(by_language)]

    in_memory = sets()
    monkeypatch.setattr(texts_on_disk, "IN_MEMORY", 0)
    on_disk = sets()
    assert set_fingerprint(in_memory[0]) != set_fingerprint(in_memory[-1])
    for retrieval_set, same in zip(on_disk, in_memory, strict=True):
        assert isinstance(retrieval_set.passage_texts, TextsOnDisk)
        assert isinstance(same.passage_texts, list)
        assert set_fingerprint(retrieval_set) == set_fingerprint(same)
        assert (retrieval_set.name, retrieval_set.languages, retrieval_set.left_out) == (
            same.name,
            same.languages,
            same.left_out,
        )
    model = Encoder.load(encoder)
    expected = numbers(measure(model, in_memory[0], Method()).evaluation)
    for method in (Method(), Method(vectors=tmp_path / "kept")):
        assert numbers(measure(model, on_disk[0], method).evaluation) == expected


def test_an_index_of_the_kept_passages_is_asked(
    tmp_path: Path, corpora: Path, pool: RetrievalSet, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["evaluate", "--encoder", str(encoder), "--corpus", str(corpora / "dev")]
    assert main([*arguments, "--vectors", str(tmp_path / "kept"), "--out", str(tmp_path / "exact")]) == 0
    (store,) = (tmp_path / "kept").glob("*/*/passages")
    build_index(VectorStore.open(store), tmp_path / "index", IndexSettings(factory="Flat"))
    model = Encoder.load(encoder)
    exact = measure(model, pool, Method()).evaluation
    through = measure(model, pool, Method(index=tmp_path / "index")).evaluation
    for name in ("mo", "cr", "mul", "rank_distance"):
        assert getattr(through, name) == pytest.approx(getattr(exact, name), abs=0.01)  # ties go by id there
    monkeypatch.setattr(measuring, "INDEX_DEPTH", 10)
    short = measure(model, pool, Method(index=tmp_path / "index")).evaluation
    assert short.short == {"fewer than 100": len(pool.query_ids), "fewer than 1,000": len(pool.query_ids)}
    assert short.pooled["recall@10"] == pytest.approx(exact.pooled["recall@10"], abs=0.02)
    assert short.pooled["recall@100"] == short.pooled["recall@10"]  # what is not found counts nothing
    assert short.mul < exact.mul
    with pytest.raises(UserError, match=r"holds [0-9,]+ passages in .*build one of what evaluate --vectors"):
        main([*arguments, "--index", str(tmp_path / "index"), "--languages", "de"])
    with pytest.raises(UserError, match="an index has an order of its own"):
        main([*arguments, "--index", str(tmp_path / "index"), "--balance", "quota"])
    with pytest.raises(UserError, match="hold what an encoder has made"):
        main(["evaluate", "--baseline", "bm25", "--corpus", str(corpora / "dev"), "--vectors", str(tmp_path / "kept")])


def test_a_reordered_pool_needs_all_vectors(made: Callable[..., Any]) -> None:
    retrieval_set, queries, passages = made(1)
    with pytest.raises(UserError, match="other orders than that of the vectors need all of them in memory"):
        evaluate(retrieval_set, queries, Blocks(passages, 4), reorder=lambda rows, scores, columns: scores)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_million_passages_are_evaluated_in_less_than_6_gib(tmp_path: Path) -> None:
    """Vectors made up, from a store, to depth 1,000 of 200 queries; the process that evaluates does nothing else."""
    seconds, peak_gib, own_gib = large_pool(tmp_path / "pool", 2_000_000)
    assert own_gib <= peak_gib < 6
    assert own_gib > 2_000_000 * len("p1999999") / 2**30, "at least the passages' ids were in memory"
    print(f"{seconds:.0f} s, {peak_gib:.2f} GiB at most, {own_gib:.2f} of them no mapped file")
