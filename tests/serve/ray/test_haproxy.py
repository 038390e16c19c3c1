"""HAProxy's configuration as Ray writes it, made fit for clients; checked by HAProxy, and with the endpoint behind it."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import Answer, Client
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig, get_haproxy_binary
from ray.serve.config import HTTPOptions
from served import served
from stand_in import House
from starlette.types import Receive, Scope, Send

from xlret.ports import free_port
from xlret.serve.ray.haproxy import CONNECTIONS, hardened, install, write_errors
from xlret.serve.settings import ConnectionSettings

SOON_S = 20.0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration that Ray 2.60 writes for one application with one replica."""
    return write_config(tmp_path_factory.mktemp("haproxy"), 8123, 30000)


def write_config(directory: Path, port: int, replica: int) -> Path:
    """What Ray writes.

    Args:
        directory: of HAProxy's files.
        port: that clients come to.
        replica: the port of the one replica.
    """
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=port),
        metrics_port=free_port(),
        stats_port=free_port(),
        socket_path=str(directory / "admin.sock"),
        server_state_base=str(directory),
        server_state_file=str(directory / "state"),
        metrics_socket_path=str(directory / "metrics.sock"),
    )
    api = HAProxyApi(cfg=config, config_file_path=str(directory / "haproxy.cfg"))
    backend = BackendConfig(
        name="http-xlret", path_prefix="/", app_name="xlret", servers=[ServerConfig(name="one", host="127.0.0.1", port=replica)]
    )
    backend.fallback_server = ServerConfig(name="SERVE_PROXY_ACTOR-fallback-ab12", host="127.0.0.1", port=30001)
    api.set_backend_configs({"http-xlret": backend})
    api._generate_config_file_internal()
    return directory / "haproxy.cfg"


def test_everything_that_should_change_is_found_in_what_ray_writes(written: Path, tmp_path: Path) -> None:
    before = written.read_text()
    after = hardened(before, tmp_path, ConnectionSettings(request_s=2.5, idle_s=4, per_source=77))
    assert "timeout http-request 2500ms" in after
    assert re.findall(r"timeout http-keep-alive (\S+)", after) == ["4000ms"]
    assert "reject if { sc0_conn_cur gt 77 }" in after
    assert "stick-table" not in hardened(before, tmp_path, ConnectionSettings(per_source=0))
    assert f"http-request return status 503 errorfile {tmp_path}/503.http" in after  # where no route is known
    assert {path.rpartition("/")[0] for path in re.findall(r"errorfile (?:\d+ )?(\S+)", after)} == {str(tmp_path)}
    assert "http-request set-header x-request-id" in after
    assert "check backup" in before
    assert "check backup" not in after
    assert len(re.findall(r"^ +server \S+ \S+ check", after, re.MULTILINE)) == 1
    assert "status 404" in before
    assert "status 404" not in after
    assert re.search(r"frontend prometheus\n\s+bind 127\.0\.0\.1:", after)
    assert re.search(r"listen stats\n\s+bind 127\.0\.0\.1:", after)
    assert not re.search(r"bind (\*|):", after)
    assert "mode 600 level admin" in after
    settings = ConnectionSettings(request_s=2.5, idle_s=4, per_source=77)
    assert hardened(after, tmp_path, settings) == after  # once more changes nothing


def test_the_program_refuses_a_wrong_setting_checks_out_with_haproxy_and_leaves_it_hardened(
    written: Path, tmp_path: Path
) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(written.read_text())
    program = install(tmp_path)
    quoted = {**os.environ, CONNECTIONS: "'{}'"}
    refused = subprocess.run([program, "-c", "-f", config], capture_output=True, text=True, check=False, env=quoted, timeout=60)
    assert refused.returncode == 1
    assert re.fullmatch(r"error: the environment variable XLRET_CONNECTIONS is .*, quotes removed\n", refused.stderr)
    checked = subprocess.run([program, "-c", "-f", config], capture_output=True, text=True, check=False, cwd="/", timeout=60)
    assert checked.returncode == 0, checked.stderr
    assert "valid" in checked.stdout + checked.stderr
    assert config.read_text() == hardened(written.read_text(), tmp_path, ConnectionSettings())


def test_its_own_answers_are_whole_http_with_json(tmp_path: Path) -> None:
    write_errors(tmp_path)
    for status, said in ((400, 400), (408, 408), (500, 503), (502, 503), (503, 503), (504, 503)):
        head, _, body = (tmp_path / f"{status}.http").read_bytes().partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {said} ".encode())
        assert f"content-length: {len(body)}".encode() in head
        assert b'"error"' in body
        assert (b"retry-after: 1" in head) == (said == 503)


@contextmanager
def haproxy(directory: Path, replica: int) -> Iterator[Client]:
    """A client of HAProxy that has one replica, on the given port, behind it."""
    port = free_port()
    config = write_config(directory, port, replica)
    config.write_text(hardened(config.read_text(), directory, ConnectionSettings()))
    write_errors(directory)
    process = subprocess.Popen([get_haproxy_binary(), "-db", "-f", config], stdout=subprocess.DEVNULL)
    try:
        client = Client(f"http://127.0.0.1:{port}", timeout=SOON_S)
        end = time.monotonic() + SOON_S
        while not isinstance(client.ask("GET", "/healthz").status, int):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield client
    finally:
        process.kill()
        process.wait()


def test_the_reason_of_an_error_comes_through_haproxy_with_its_status(tmp_path: Path) -> None:
    house = House(log={"file": str(tmp_path / "log"), "stderr": False})

    async def replica(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and house.gateway.release is None:
            await house.gateway.swap(Path("/releases/red"))
        is_probe = scope.get("path") == "/-/healthz"  # HAProxy's; a replica of Ray's has this address
        await house.app({**scope, "path": "/healthz"} if is_probe else scope, receive, send)

    def asked(client: Client, name: str, query: Any = "cat") -> Answer:
        return client.ask("POST", "/v1/search", {"query": query}, {"x-request-id": name})

    with served(replica) as port, haproxy(tmp_path, port) as client:
        assert asked(client, "well").ok
        wrong = asked(client, "wrong", 5)
        house.encoder.trouble.error = OSError("the disk is gone")
        unavailable = asked(client, "no-encoder", "dog")  # whose vector is in no cache
        house.gateway.gate.enter = None  # type: ignore[assignment, method-assign]
        unexpected = asked(client, "broken")
    assert (wrong.status, unavailable.status, unexpected.status) == (422, 503, 500)
    assert wrong.body["error"]["field"] == "query"
    assert unavailable.body["error"]["code"] == "unavailable"
    assert unavailable.headers["retry-after"] == "1"
    assert unexpected.body["error"] == {
        "code": "internal",
        "message": "an error that xlret did not expect; the server's log has more under the request id",
        "field": None,
        "request_id": "broken",
    }
    assert unexpected.headers["x-request-id"] == "broken"
    logged = {line["request_id"]: line for line in map(json.loads, (tmp_path / "log").read_text().splitlines())}
    assert logged["broken"]["status"] == 500
    assert "TypeError: 'NoneType' object is not callable" in logged["broken"]["exception"]


def test_where_no_replica_answers_haproxy_says_503_in_json(tmp_path: Path) -> None:
    with haproxy(tmp_path, free_port()) as client:
        answer = client.ask("POST", "/v1/search", {"query": "cat"})
    assert answer.status == 503
    assert answer.body["error"]["code"] == "unavailable"
    assert answer.headers["retry-after"] == "1"
