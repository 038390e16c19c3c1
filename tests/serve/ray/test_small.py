"""A small release as `jobs.serve` serves it unless told otherwise: its shards are searched in the ingress."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_releases import SHARDS, make_releases
from processes import Load, Service, service

from xlret.model.encoder import Encoder
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    return make_releases(tmp_path_factory.mktemp("served"), corpora / "train")


@pytest.fixture(scope="module")
def running(releases: Path) -> Iterator[Service]:
    with service(releases, "health_s=1") as one:
        yield one


def test_answers_are_those_of_the_index_called_in_process(running: Service, releases: Path) -> None:
    queries = ["badu gilo ?", "koru", "مرحبا"]
    answer = running.client().ask("POST", "/v1/search", {"queries": queries, "top_k": 20, "timeout_ms": 30_000})
    assert answer.whole, answer
    assert answer.body["shards"] == {"total": SHARDS, "ok": SHARDS, "failed": 0}
    index, encoder = SearchIndex.open(releases / "one" / "index"), Encoder.load(releases / "one" / "encoder")
    hits = index.search(encoder.encode(queries, "query"), SearchOptions(top_k=20))
    for place, result in enumerate(answer.body["results"]):
        assert [hit["id"] for hit in result["hits"]] == hits.ids[place]
        assert [hit["score"] for hit in result["hits"]] == pytest.approx(hits.scores[place].tolist(), abs=1e-5)


def test_the_ingress_holds_the_shards_and_no_torch(running: Service) -> None:
    kinds = {one["kind"] for one in running.status()["replicas"]}
    assert kinds == {"encoder", "ingress", "reranker"}
    (ingress,) = running.processes("ingress")
    maps = Path(f"/proc/{ingress}/maps").read_text()
    assert "libfaiss" in maps or "faiss" in maps
    assert "libtorch" not in maps


def test_swaps_under_load_lose_and_mix_nothing_and_a_damaged_release_is_refused(running: Service) -> None:
    running.whole()
    with Load(running.address) as load:
        load.wait(20)
        for name in ("two", "one"):
            swapped = running.swap(name)
            assert swapped.status == 200, swapped
            load.wait(20, lambda answer, name=name: answer.body.get("release") == name)
        refused = running.swap("bad")
        assert refused.status == 422, refused
        assert "shard-0002" in refused.body["error"]["message"]
        load.wait(5)
        answers = load.stop()
    assert not load.failed()
    assert all(answer.whole for answer in answers)
    made = [{hit["metadata"]["made"] for hit in answer.hits()} for answer in answers]
    assert all(one == {answer.body["release"]} for one, answer in zip(made, answers, strict=True))
