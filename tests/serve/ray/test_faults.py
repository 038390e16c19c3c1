"""The service on Ray, as real processes: answers, swaps, and what happens when its parts are killed, stopped or damaged.

One service for all tests, in this order; it has one replica of everything, so each fault takes away the only one. (Replicas
that stand in for each other are in test_replicas.py.)
"""

import asyncio
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from made_releases import DIMENSIONS, SHARDS, make_releases
from processes import LONG, Answer, Load, Service, alive, memory_mib, service

from jobs.bench.load import closed_loop, open_loop
from xlret.model.encoder import Encoder
from xlret.model.reranker import Reranker
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.serve.settings import ServeSettings

pytestmark = pytest.mark.ray

GROUPS = 2
IN_WORK = 16
"""Requests that the ingress takes on at a time."""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    return make_releases(tmp_path_factory.mktemp("served"), corpora / "train")


@pytest.fixture(scope="module")
def running(releases: Path) -> Iterator[Service]:
    with service(releases, f"shard_groups={GROUPS}", "health_s=1", f"load.requests={IN_WORK}") as one:
        yield one


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """A process that hangs (SIGSTOP) until the block ends."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def made_by(answer: Answer) -> set[str]:
    """The releases that the passages of an answer come from."""
    return {hit["metadata"]["made"] for result in answer.body["results"] for hit in result["hits"]}


def test_answers_are_those_of_the_index_called_in_process(running: Service, releases: Path) -> None:
    queries = ["badu gilo ?", "koru", "مرحبا", "何 ?", "x" * 500]
    answer = running.client().ask("POST", "/v1/search", {"queries": queries, "top_k": 20, "timeout_ms": 30_000})
    assert answer.whole, answer
    assert answer.body["shards"] == {"total": SHARDS, "ok": SHARDS, "failed": 0}
    index, encoder = SearchIndex.open(releases / "one" / "index"), Encoder.load(releases / "one" / "encoder")
    hits = index.search(encoder.encode(queries, "query"), SearchOptions(top_k=20))
    for place, result in enumerate(answer.body["results"]):
        assert [hit["id"] for hit in result["hits"]] == hits.ids[place]
        assert [hit["score"] for hit in result["hits"]] == pytest.approx(hits.scores[place].tolist(), abs=1e-5)
    assert made_by(answer) == {"one"}


def test_vectors_are_cut_to_the_lengths_that_the_encoder_was_trained_for(running: Service, releases: Path) -> None:
    texts = ["badu gilo", "koru"]
    vectors = Encoder.load(releases / "one" / "encoder").encode(texts, "passage")
    assert running.client().ask("GET", "/v1/info").body["encoder"]["dimensions"] == [*DIMENSIONS, vectors.shape[1]]
    for length in DIMENSIONS:
        answer = running.client().ask("POST", "/v1/embeddings", {"input": texts, "dimensions": length})
        short = vectors[:, :length] / np.linalg.norm(vectors[:, :length], axis=1, keepdims=True)
        np.testing.assert_allclose([one["embedding"] for one in answer.body["data"]], short, atol=1e-5)
    assert running.client().ask("POST", "/v1/embeddings", {"input": texts, "dimensions": 12}).status == 400


def test_the_reranker_of_the_release_orders_the_best_hits(running: Service, releases: Path) -> None:
    client, reranker = running.client(), Reranker.load(releases / "one" / "reranker")
    deepest = ServeSettings().rerank_depth
    plain = client.search("badu gilo ?", top_k=deepest, timeout_ms=30_000).hits()
    logits = reranker.score([("badu gilo ?", hit["text"]) for hit in plain])
    expected = [plain[place]["id"] for place in sorted(range(deepest), key=lambda one: (-logits[one], plain[one]["id"]))]
    assert expected != [hit["id"] for hit in plain]
    for top_k in (deepest, 7):
        answer = client.search("badu gilo ?", top_k=top_k, timeout_ms=30_000, rerank=True)
        assert answer.whole, answer
        assert [hit["id"] for hit in answer.hits()] == expected[:top_k]
    documents = [hit["text"] for hit in plain]
    lent = client.ask("POST", "/v1/rerank", {"query": "badu gilo ?", "documents": documents, "timeout_ms": 30_000})
    scores = {one["index"]: one["relevance_score"] for one in lent.body["results"]}
    np.testing.assert_allclose([scores[place] for place in range(deepest)], 1 / (1 + np.exp(-logits)), atol=1e-5)


@pytest.mark.slow  # 40 s until another one is up
def test_a_killed_reranker_costs_the_order_and_not_the_answer(running: Service) -> None:
    running.whole()
    (reranker,) = running.processes("reranker")
    with stopped(running.find("ServeController")):  # it would start another one, perhaps too soon to be missed
        os.kill(reranker, signal.SIGKILL)
        while alive(reranker):
            time.sleep(0.01)
        answer = running.client().search("who is first ?", timeout_ms=30_000, rerank=True)
        alone = running.client().ask("POST", "/v1/rerank", {"query": "a", "documents": ["b"], "timeout_ms": 5000})
    assert answer.ok, answer
    assert answer.body["partial"]
    assert "the reranker" in answer.body["partial_reason"]
    assert answer.body["shards"]["failed"] == 0
    assert [hit["id"] for hit in answer.hits()] == [hit["id"] for hit in running.client().search("who is first ?").hits()]
    assert alone.status in (503, 504), alone
    running.until(lambda: running.client().search("who is first ?", timeout_ms=30_000, rerank=True).whole)


def test_only_the_models_replicas_import_torch(running: Service) -> None:
    def maps(process: int) -> str:
        return Path(f"/proc/{process}/maps").read_text()

    for kind in ("encoder", "reranker"):
        (model,) = running.processes(kind)
        assert "libtorch" in maps(model)
    others = [process for kind in ("shards 0", "shards 1", "ingress") for process in running.processes(kind)]
    assert len(others) == 3
    assert not any("libtorch" in maps(process) for process in others)


def test_a_swap_and_a_rollback_under_load_lose_and_mix_nothing(running: Service) -> None:
    running.whole()
    processes = {kind: running.processes(kind) for kind in ("encoder", "ingress", "shards 0", "shards 1")}
    with Load(running.address) as load:
        load.wait(20)
        for name in ("two", "one", "two", "one"):
            swapped = running.swap(name)
            assert swapped.status == 200, swapped
            assert swapped.body["active"] == name
            load.wait(20, lambda answer, name=name: answer.body.get("release") == name)
        answers = load.stop()
    assert not load.failed()
    assert {answer.body["release"] for answer in answers} == {"one", "two"}
    assert all(made_by(answer) == {answer.body["release"]} for answer in answers)
    assert all(answer.whole for answer in answers)
    running.until(lambda: running.status()["live"] == ["one"])
    assert {kind: running.processes(kind) for kind in processes} == processes  # nothing was started again


def test_a_damaged_release_is_refused_and_the_old_one_serves_on(running: Service) -> None:
    with Load(running.address, clients=2) as load:
        load.wait(5)
        refused = running.swap("bad")
        assert refused.status == 422, refused
        assert refused.body["error"]["field"] == "release"
        assert "shard-0002" in refused.body["error"]["message"]
        for name in ("nowhere", "../one", "one/../two", ""):
            assert running.swap(name).status == 422, name
        assert running.admin("POST", "/admin/release", {"release": "two", "force": True}).status == 422
        wrong = running.client().ask("POST", "/admin/release", {"release": "two"}, {"authorization": "Bearer not the key"})
        assert wrong.status == 401
        load.wait(5)
        answers = load.stop()
    assert not load.failed()
    assert {answer.body["release"] for answer in answers} == {"one"}
    assert running.status()["live"] == ["one"]


def test_requests_of_clients_that_left_are_given_up(running: Service) -> None:
    def in_work() -> int:
        return sum(one["requests"] for one in running.status()["replicas"] if one["kind"] == "ingress")

    running.whole()
    where = urlsplit(running.address)
    assert where.hostname is not None
    body = '{"query": "somebody who leaves", "timeout_ms": 30000}'
    request = (
        f"POST /v1/search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )
    (shards,) = running.processes("shards 0")
    with stopped(shards):
        began = time.monotonic()
        clients = [socket.create_connection((where.hostname, where.port)) for _ in range(5)]
        for client in clients:
            client.sendall(request.encode())
        running.until(lambda: in_work() == 5)
        for client in clients:
            client.close()
        running.until(lambda: in_work() == 0)
        left = time.monotonic() - began
    assert left < 29, "they ended with their deadline, not with their clients"
    running.whole()


def test_a_shard_that_hangs_costs_its_hits_and_not_the_answer(running: Service) -> None:
    running.whole()
    (shards,) = running.processes("shards 1")
    with stopped(shards):
        answer = running.client().search("who waits ?", timeout_ms=12_000)
        strict = running.client().search("who does not ?", timeout_ms=12_000, allow_partial=False)
    assert answer.ok, answer
    assert answer.body["partial"]
    assert answer.body["shards"] == {"total": SHARDS, "ok": SHARDS // GROUPS, "failed": SHARDS // GROUPS}
    assert "did not answer" in answer.body["partial_reason"]
    assert len(answer.body["results"][0]["hits"]) == 5
    assert answer.body["took_ms"]["total"] < 12_000
    assert strict.status in (503, 504), strict
    running.whole()


def test_killed_shards_make_answers_partial_until_they_are_back(running: Service) -> None:
    running.whole()
    (shards,) = running.processes("shards 0")
    with Load(running.address, timeout_ms=20_000) as load:
        load.wait(10)
        with stopped(running.find("ServeController")):  # it would start another one, perhaps too soon to be missed
            os.kill(shards, signal.SIGKILL)
            load.wait(10, lambda answer: answer.ok and answer.body["partial"])
        load.wait(10, lambda answer: answer.whole)
        answers = load.stop()
    assert not load.failed()
    partial = [answer.body for answer in answers if answer.body["partial"]]
    assert all(body["shards"]["failed"] == SHARDS // GROUPS for body in partial)
    assert all(body["partial_reason"].startswith(f"{SHARDS // GROUPS} of {SHARDS} shards are missing") for body in partial)
    assert all(len(result["hits"]) == 5 for body in partial for result in body["results"])
    assert all(made_by(answer) == {"one"} for answer in answers)


def test_more_than_it_can_take_is_refused_at_once_and_the_rest_is_answered(running: Service) -> None:
    running.whole()
    count = itertools.count()
    url = f"{running.address}/v1/search"

    def bodies() -> Iterator[Any]:
        while True:
            yield {"queries": [f"much {next(count)}" for _ in range(16)], "top_k": 50, "timeout_ms": 30_000, "highlight": False}

    (ingress,) = running.processes("ingress")
    capacity = asyncio.run(closed_loop(url, bodies(), 4, 4.0)).rate
    before = memory_mib(ingress)
    number = max(IN_WORK * 4, int(4 * capacity * 6.0))
    found = asyncio.run(open_loop(url, bodies(), np.arange(number) / (4 * capacity)))
    assert not found.failed, found.failed[:3]
    assert found.refused
    assert not found.without_retry_after
    assert len(found.answered) >= IN_WORK
    assert memory_mib(ingress) < before + 200
    running.whole()


def test_a_killed_encoder_comes_back_and_clients_that_try_again_lose_nothing(running: Service) -> None:
    running.whole()
    (encoder,) = running.processes("encoder")
    with Load(running.address, tries=100) as load:
        load.wait(10)
        os.kill(encoder, signal.SIGKILL)
        while alive(encoder):
            time.sleep(0.01)
        load.wait(20)
        load.stop()
    assert not load.failed()
    bad = [one for one in load.tried if not one.ok]
    assert {one.status for one in bad} <= {429, 503, 504}  # 429: those before it still wait for an encoder
    assert all("retry-after" in one.headers for one in bad if one.status != 504)


def test_a_killed_proxy_comes_back_and_clients_that_try_again_lose_nothing(running: Service) -> None:
    running.whole()
    for command in ("/haproxy -db", "HAProxyManager"):
        process = running.find(command)
        with Load(running.address, tries=1000) as load:
            load.wait(10)
            os.kill(process, signal.SIGKILL)
            killed = time.monotonic()
            while alive(process) or running.client(timeout=2).ask("GET", "/readyz").status != 200:
                time.sleep(0.01)
            assert time.monotonic() - killed < 2, "it is stood in for at once"
            load.wait(20)
            load.stop()
    assert not load.failed()
    said = {one.status for one in load.tried if not one.ok and isinstance(one.status, int)}
    assert said <= {503}, "while it does not know where to send requests it says 503, as JSON, not 404"


def test_a_killed_control_learns_what_is_served_and_swaps_again(running: Service) -> None:
    assert running.swap("two").status == 200
    control = running.status()["control"]
    with Load(running.address, clients=2) as load:
        load.wait(5)
        os.kill(control, signal.SIGKILL)
        running.until(lambda: running.status()["control"] != control)
        status = running.until(lambda: found if len((found := running.status())["replicas"]) >= 2 + GROUPS else None)
        assert status["active"] == "two"  # not what the alias says, with which it started
        load.wait(10)
        back = running.swap("one")
        assert back.status == 200, back
        load.wait(5, lambda answer: answer.body.get("release") == "one")
        load.stop()
    assert not load.failed()


def test_requests_are_counted_for_prometheus(running: Service) -> None:
    running.whole()
    assert running.client().search("of a language").ok
    for name in (
        "ray_xlret_requests_total{",
        "ray_xlret_request_ms_bucket{",
        'stage="encode"',
        'stage="search"',
        "ray_xlret_shards_total{",
        'state="failed"',
        "ray_xlret_hits_total{",
        "ray_xlret_hits_expected_total{",
        'lang="tr"',
        'release="two"',
    ):
        running.until(lambda name=name: name in running.metrics())


def test_on_sigterm_requests_in_work_are_answered_and_then_all_ends(running: Service) -> None:
    running.whole()
    everything = running.descendants()
    (shards,) = running.processes("shards 1")
    slow: list[Answer] = []
    with stopped(shards):
        asking = threading.Thread(target=lambda: slow.append(running.client().search("the last one", timeout_ms=8000)))
        asking.start()
        running.until(lambda: any(one.get("requests") for one in running.status()["replicas"]))
        running.process.send_signal(signal.SIGTERM)
        client, refused = running.client(), Answer(200, {}, 0, 0)
        while refused.ok and asking.is_alive():
            refused = client.search("too late")
        asking.join(LONG)
    assert slow[0].ok, slow
    assert refused.ok or refused.status == 503, refused
    if refused.status == 503:
        assert "retry-after" in refused.headers
    assert running.process.wait(LONG) == 0
    assert "stopped" in running.lines[-1]
    end = time.monotonic() + LONG
    while any(alive(process) for process in everything):
        assert time.monotonic() < end
        time.sleep(0.1)
