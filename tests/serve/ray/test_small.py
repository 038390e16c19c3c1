"""A small release as `xlret serve` serves it unless told otherwise: encoded and searched in the ingress."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from made_releases import SHARDS, make_releases
from processes import Load, Service, service

from xlret.model.encoder import Encoder
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.serve.ray.processes import TOKEN, members

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, corpora: Path) -> Path:
    return make_releases(tmp_path_factory.mktemp("served"), corpora / "train")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "requests.jsonl"


@pytest.fixture(scope="module")
def running(releases: Path, log: Path) -> Iterator[Service]:
    with service(releases, "health_s=1", f"log.file={log}") as started:
        yield started


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


def test_the_ingress_holds_the_shards_and_the_encoder(running: Service) -> None:
    kinds = {one["kind"] for one in running.status()["replicas"]}
    assert kinds == {"ingress", "reranker"}
    (ingress,) = running.processes("ingress")
    maps = Path(f"/proc/{ingress}/maps").read_text()
    assert "libfaiss" in maps or "faiss" in maps
    assert "libtorch" in maps


@pytest.mark.slow
def test_a_killed_ingress_is_back_with_its_encoder_and_clients_that_try_again_get_their_answers(running: Service) -> None:
    running.whole()
    (killed,) = running.processes("ingress")
    with Load(running.address, tries=1000) as load:
        load.wait(10)
        os.kill(killed, signal.SIGKILL)
        load.wait(20)
        answers = load.stop()
    assert not load.failed()
    assert all(answer.whole for answer in answers)
    assert killed not in running.processes("ingress")


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


def test_a_line_of_the_log_for_each_request_in_the_file_and_on_standard_error(running: Service, log: Path) -> None:
    ids = [f"logged-{number}" for number in range(20)]
    client = running.client()
    for request_id in ids:
        body = {"query": "a question\r\nof nobody's business", "top_k": 3, "timeout_ms": 5000}
        assert client.ask("POST", "/v1/search", body, {"x-request-id": request_id}).ok
    assert client.ask("POST", "/v1/search", {"query": 5}, {"x-request-id": "logged-bad"}).status == 422
    running.until(lambda: "logged-bad" in log.read_text() and "logged-bad" in "".join(running.lines))
    for lines in (log.read_text().splitlines(), [line for line in running.lines if line.startswith("{")]):
        records = {record["request_id"]: record for record in map(json.loads, lines)}
        assert {"logged-bad", *ids} <= set(records)
        line = records[ids[0]]
        assert (line["status"], line["path"], line["source"]) == (200, "/v1/search", "127.0.0.1")
        assert line["release"] in ("one", "two")
        assert line["took_ms"]["total"] > 0
        assert records["logged-bad"]["status"] == 422
    assert "nobody's business" not in log.read_text()


def test_a_file_that_is_cut_short_is_said_at_once_and_forgiven_when_it_is_whole(running: Service, releases: Path) -> None:
    running.whole()
    file = sorted((releases / "one" / "index").glob("shard-0001*.faiss"))[0]
    content = file.read_bytes()
    os.truncate(file, len(content) // 2)
    try:
        client = running.client()
        for number in range(3):
            answer = client.search(f"cut {number}", timeout_ms=3000)
            assert answer.status in (503, 504), answer
            assert answer.body["error"]["code"] in ("unavailable", "timeout")
            assert answer.ended - answer.began < 5
        ready = client.ask("GET", "/readyz")
        assert ready.status == 503
        assert file.name in ready.body["error"]["message"]
        assert client.ask("GET", "/healthz").ok
    finally:
        with open(file, "r+b") as mended:
            mended.write(content)
    running.whole()
    running.until(lambda: running.client().ask("GET", "/readyz").ok)


def test_one_client_cannot_shut_the_others_out(running: Service) -> None:
    """5,000 idle connections from one address, then as many dribbled bodies as it may have: others are served as before."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 7000:
        pytest.skip("a process may not open 7,000 files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    running.whole()
    where = urlsplit(running.address)
    before = worst_of(200, where.hostname, where.port)
    idle = []
    try:
        for _ in range(5000):
            connection = socket.socket()
            connection.settimeout(5)
            connection.bind(("127.0.0.66", 0))
            idle.append(connection)
            with contextlib.suppress(OSError):  # refused: it has enough
                connection.connect((where.hostname, where.port))
        during = worst_of(200, where.hostname, where.port)
        for connection in idle:
            with contextlib.suppress(OSError):
                connection.sendall(b"POST /v1/search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
                connection.sendall(b"content-length: 100000\r\n\r\n" + b" " * 70_000)
        dribbled = worst_of(200, where.hostname, where.port)
    finally:
        for connection in idle:
            connection.close()
    assert during < 2 * before + 0.1
    assert dribbled < 2 * before + 0.1


def worst_of(count: int, host: str | None, port: int | None) -> float:
    """The 99th percentile of the seconds that searches of a client with another address take; all must be answered."""
    assert host is not None
    seconds = []
    for number in range(count):
        began = time.monotonic()
        if number % 50 == 0:
            client = http.client.HTTPConnection(host, port, timeout=10, source_address=("127.0.0.77", 0))
        body = json.dumps({"query": f"of another {time.monotonic_ns()}", "top_k": 3, "timeout_ms": 5000})
        client.request("POST", "/v1/search", body, {"content-type": "application/json"})
        response = client.getresponse()
        assert response.status == 200, response.read()
        response.read()
        seconds.append(time.monotonic() - began)
        if number % 50 == 49:
            client.close()
    return sorted(seconds)[int(0.99 * count) - 1]


def test_nobody_else_reaches_rays_own_ports(running: Service) -> None:
    """The metrics, the control store and the node manager listen on the loopback address."""
    assert "metrics: http://127.0.0.1:" in "".join(running.lines)
    assert "ray_xlret" in running.until(lambda: text if "ray_xlret" in (text := running.metrics()) else None)
    names = ("gcs_server", "raylet", "DashboardAgent", "haproxy")
    mine = {process for process, command in running.descendants().items() if any(name in command for name in names)}
    listening = [address for process in mine for address in listens(process)]
    assert len(listening) >= 6
    assert {address for address in listening if not address.startswith("127.")} == set()


def test_nothing_outlives_a_killed_job(running: Service) -> None:
    token = environment(running.find("raylet/raylet "))[TOKEN]
    directory = Path(environment(running.find("raylet/raylet "))["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"]).parent
    assert len(members(token)) >= 8
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    killed = time.monotonic()
    where = urlsplit(running.address)
    while members(token) or directory.exists():
        assert time.monotonic() < killed + 15, members(token)
        time.sleep(0.05)
    with socket.socket() as listener:  # as a restart does
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((where.hostname, where.port))


def environment(process: int) -> dict[str, str]:
    """What a process was started with."""
    pairs = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def listens(process: int) -> list[str]:
    """The addresses that a process takes TCP connections on; `*` for all."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()}
    addresses = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                packed = bytes.fromhex(local.partition(":")[0])
                words = [packed[start : start + 4][::-1] for start in range(0, len(packed), 4)]
                addresses.append(".".join(str(byte) for byte in words[-1]))
    return addresses
